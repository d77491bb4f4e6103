// Small charts of figures over time, drawn as SVG. What a chart shows is also said in words for those who do not see it.

import { fill, h, set, text } from "./dom.js";

const WIDTH = 600;
const HEIGHT = 140;

/// A line without axes, for a table's cell. Where nothing is known there is no line.
export function spark(label) {
  const element = h("svg.spark", { viewBox: `0 0 ${WIDTH} 100`, preserveAspectRatio: "none", role: "img", "aria-label": label });
  element.update = (values) => {
    const all = (values ?? []).map((value) => value ?? null);
    const most = Math.max(...all.filter((value) => value !== null), 0);
    fill(element, runs(all, all.length, (value) => 96 - (most > 0 ? 88 * value / most : 0)).map((points) => drawn(points, "", 100)));
    element.classList.toggle("flat", most === 0);
  };
  return element;
}

/// Lines over time with scales, a legend that reads out one moment, and words for those who do not see it.
/// `lines` are `{ name, className, isFilled, isShy }`: one that is shy is drawn only where it was ever more than nothing.
/// `format` writes a value; `whole` keeps the scale from dividing what comes in ones; `base` is the step between units; `onread(place)` hears which moment is looked at, null for none.
export function chart({ title, lines, format, empty = "No figures yet", whole = false, base = 10, onread = () => {} }) {
  const written = (number) => (number === null ? "–" : format(number));
  const marker = h("line.cursor", { y1: 0, y2: HEIGHT, "vector-effect": "non-scaling-stroke", visibility: "hidden" });
  const inner = h("g", {});
  const plot = h("svg.plot", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" }, inner, marker);
  const scale = h("div.scale", { "aria-hidden": "true" });
  // As high as it will be when there are times to write.
  const axis = h("div.axis", { "aria-hidden": "true" }, "\u00a0");
  const numbers = lines.map(() => h("strong", {}, written(null)));
  const legend = h("ul.legend", {}, lines.map((line, number) => h("li", {}, h(`span.key.${line.className}`, { "aria-hidden": "true" }), `${line.name} `, numbers[number])));
  const when = h("span.when", {});
  const vacant = h("p.vacant", { hidden: true }, empty);
  const spoken = h("span.away", { role: "status" });
  const canvas = h("div.canvas", { tabindex: 0, role: "img" }, scale, plot, vacant, axis);
  const element = h("figure.chart", {}, h("figcaption", {}, h("span", {}, title), when), canvas, legend, spoken);
  let shown = { values: lines.map(() => []), step: 10, length: 0, end: 0 };
  let place = null;

  const value = (number, at) => shown.values[number][at - shown.length + shown.values[number].length] ?? null;
  const readings = (at) => lines.map((line, number) => `${line.name} ${written(value(number, at))}`).join(", ");
  const read = () => {
    const at = place ?? shown.length - 1;
    numbers.forEach((element, number) => text(element, written(value(number, at))));
    text(when, place === null || shown.length === 0 ? "" : clockTime(shown.end - (shown.length - 1 - at) * shown.step * 1000, true));
    set(marker, "visibility", place === null ? "hidden" : "visible");
    const x = at / Math.max(1, shown.length - 1) * WIDTH;
    set(marker, "x1", x);
    set(marker, "x2", x);
  };

  /// `values` has a list for each line, newest last; `length` values are the whole width, `end` is when the last one was.
  element.update = ({ values, step, length, end }) => {
    shown = { values, step, length, end };
    const known = values.flat().filter((one) => one !== null);
    const isEmpty = known.length === 0;
    const most = nice(Math.max(...known, 0), whole, base);
    fill(scale, [most, most / 2, 0].map((one) => h("span", {}, isEmpty || (whole && !Number.isInteger(one)) ? "" : one === 0 ? "0" : format(one))));
    const span = (length - 1) * step * 1000;
    fill(axis, [0, 1, 2, 3].map((part) => h("span", {}, part === 3 ? "now" : clockTime(end - span * (3 - part) / 3, false))));
    fill(inner,
      [0, HEIGHT / 2, HEIGHT].map((y) => h("line.grid", { x1: 0, x2: WIDTH, y1: y, y2: y, "vector-effect": "non-scaling-stroke" })),
      lines.map((line, number) => (line.isShy && !values[number].some((one) => one > 0) ? [] :
        runs(values[number], length, (one) => HEIGHT - HEIGHT * one / most).map((points) => drawn(points, line.className, line.isFilled ? HEIGHT : null)))));
    element.classList.toggle("nothing", isEmpty);
    vacant.hidden = !isEmpty;
    set(canvas, "aria-label", isEmpty ? `${title}: ${empty}` : `${title}. ${lines.map((line, number) => summary(line.name, values[number], format)).join("; ")}. Arrow keys read single moments.`);
    read();
  };
  element.read = (at) => {
    place = at;
    read();
  };

  const look = (at) => {
    const known = shown.length > 1 && !element.classList.contains("nothing") ? at : null;
    element.read(known);
    onread(known);
  };
  canvas.addEventListener("pointermove", (event) => {
    const box = plot.getBoundingClientRect();
    look(Math.min(shown.length - 1, Math.max(0, Math.round((event.clientX - box.left) / box.width * (shown.length - 1)))));
  });
  canvas.addEventListener("pointerleave", () => look(null));
  canvas.addEventListener("blur", () => look(null));
  canvas.addEventListener("keydown", (event) => {
    const last = shown.length - 1;
    const from = place ?? last;
    const to = { ArrowLeft: from - 1, ArrowRight: from + 1, PageUp: from - 30, PageDown: from + 30, Home: 0, End: last }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      look(Math.min(last, Math.max(0, to)));
      text(spoken, place === null ? "" : `${when.textContent}: ${readings(place)}`);
    } else if (event.key === "Escape") {
      look(null);
    }
  });
  return element;
}

function summary(name, values, format) {
  const known = values.filter((one) => one !== null);
  return known.length === 0 ? `${name}: nothing` : `${name}: now ${format(known.at(-1))}, between ${format(Math.min(...known))} and ${format(Math.max(...known))}`;
}

const joined = (points) => points.map(([x, y]) => `${x},${y}`).join(" ");

// One run as a line, with what is below it down to `ground` where that is given. A lone sample is a dot: a line of no length
// whose ends are round, since what is stretched would make an ellipse of a circle.
function drawn(points, className, ground) {
  const isLone = points.length === 1;
  const of = (...classes) => classes.filter((one) => one !== "").map((one) => `.${one}`).join("");
  return [
    ground !== null && !isLone && h(`polygon${of(className)}`, { points: `${points[0][0]},${ground} ${joined(points)} ${points.at(-1)[0]},${ground}` }),
    h(`polyline${of(className, isLone ? "lone" : "")}`, { points: joined(isLone ? [points[0], points[0]] : points), fill: "none", "stroke-linecap": "round", "vector-effect": "non-scaling-stroke" })];
}

// A gap is a gap: one run of points for each run of known values. The newest value is at the right edge.
function runs(values, length, height) {
  const all = [[]];
  const across = WIDTH / Math.max(1, length - 1);
  values.forEach((one, number) => {
    if (one === null) {
      all.push([]);
    } else {
      const x = (number + length - values.length) * across;
      all.at(-1).push([x.toFixed(1), height(one).toFixed(1)]);
    }
  });
  return all.filter((points) => points.length > 0);
}

// The next number at or above that is short to write, in steps of `base`; of what comes in ones, at least two.
function nice(most, whole, base) {
  if (most <= (whole ? 2 : 0)) {
    return whole ? 2 : 1;
  }
  const unit = base ** Math.floor(Math.log(most) / Math.log(base));
  const power = unit * 10 ** Math.floor(Math.log10(most / unit));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((step) => step >= most * 0.999 && (!whole || Number.isInteger(step))) ?? most;
}

const minutes = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const seconds = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const clockTime = (time, exact) => (exact ? seconds : minutes).format(new Date(time));
