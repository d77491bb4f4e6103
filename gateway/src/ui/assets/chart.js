// Small charts of figures over time, drawn as SVG. What a chart shows is also said in words for those who do not see it.

import { fill, h, set, text } from "./dom.js";

const WIDTH = 600;

/// A line without axes, for a table's cell.
export function spark(label) {
  const line = h("polyline", { fill: "none", "vector-effect": "non-scaling-stroke" });
  const area = h("polygon", {});
  const element = h("svg.spark", { viewBox: `0 0 ${WIDTH} 100`, preserveAspectRatio: "none", role: "img", "aria-label": label }, area, line);
  element.update = (values) => {
    const known = (values ?? []).map((value) => value ?? 0);
    const most = Math.max(...known, 1e-9);
    const points = known.map((value, place) => [place * WIDTH / Math.max(1, known.length - 1), 96 - 88 * value / most]);
    const path = points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");
    set(line, "points", path);
    set(area, "points", points.length > 0 ? `0,100 ${path} ${WIDTH},100` : "");
    element.classList.toggle("flat", Math.max(...known, 0) === 0);
  };
  return element;
}

/// Lines over the last hour with a scale, a legend and a reading under the pointer.
/// `lines` are `{ name, values, className }`; `format` writes a value.
export function chart({ title, format, empty = "No figures yet" }) {
  const plot = h("svg.plot", { viewBox: `0 0 ${WIDTH} 160`, preserveAspectRatio: "none", "aria-hidden": "true" });
  const top = h("span.scale", {});
  const legend = h("ul.legend", {});
  const start = h("span", {});
  const reading = h("output.reading", {});
  const summary = h("span.away", {});
  const element = h("figure.chart", {},
    h("figcaption", {}, h("span", {}, title), reading),
    h("div.canvas", {}, top, plot),
    h("div.axis", { "aria-hidden": "true" }, start, h("span", {}, "now")),
    legend, summary);
  let shown = { lines: [], step: 10 };

  element.update = ({ lines, step }) => {
    shown = { lines, step };
    const all = lines.flatMap((line) => line.values.filter((value) => value !== null));
    const most = nice(Math.max(...all, 0));
    const length = Math.max(...lines.map((line) => line.values.length), 0);
    text(top, all.length > 0 ? format(most) : "");
    text(start, length > 0 ? `${Math.round(length * step / 60)} min ago` : "");
    fill(plot,
      [40, 80, 120].map((y) => h("line.grid", { x1: 0, x2: WIDTH, y1: y, y2: y, "vector-effect": "non-scaling-stroke" })),
      lines.flatMap((line) => segments(line.values, most).map((points) =>
        h(`polyline.${line.className}`, { points, fill: "none", "vector-effect": "non-scaling-stroke" }))));
    fill(legend, lines.map((line) => {
      const last = line.values.findLast((value) => value !== null);
      return h("li", {}, h(`span.key.${line.className}`, { "aria-hidden": "true" }), `${line.name} `, h("strong", {}, last === undefined ? "–" : format(last)));
    }));
    element.classList.toggle("empty", all.length === 0);
    text(reading, all.length === 0 ? empty : "");
    text(summary, all.length === 0 ? `${title}: ${empty}` : lines.map((line) => `${line.name}: at most ${format(Math.max(...line.values.filter((value) => value !== null), 0))}`).join("; "));
  };
  const read = (event) => {
    const box = plot.getBoundingClientRect();
    const length = Math.max(...shown.lines.map((line) => line.values.length), 0);
    if (length < 2 || element.classList.contains("empty")) {
      return;
    }
    const place = Math.min(length - 1, Math.max(0, Math.round((event.clientX - box.left) / box.width * (length - 1))));
    const ago = Math.round((length - 1 - place) * shown.step);
    const when = ago < 60 ? `${ago} s ago` : `${Math.round(ago / 60)} min ago`;
    text(reading, `${when}: ${shown.lines.map((line) => `${line.name} ${line.values[place] === null || line.values[place] === undefined ? "–" : format(line.values[place])}`).join(", ")}`);
  };
  plot.addEventListener("pointermove", read);
  plot.addEventListener("pointerleave", () => {
    if (!element.classList.contains("empty")) {
      text(reading, "");
    }
  });
  return element;
}

// A gap is a gap: one polyline for each run of known values.
function segments(values, most) {
  const runs = [];
  let run = [];
  const across = WIDTH / Math.max(1, values.length - 1);
  values.forEach((value, place) => {
    if (value === null || value === undefined) {
      runs.push(run);
      run = [];
    } else {
      run.push(`${(place * across).toFixed(1)},${(156 - 152 * value / (most || 1)).toFixed(1)}`);
    }
  });
  runs.push(run);
  return runs.filter((points) => points.length > 0).map((points) => (points.length === 1 ? `${points[0]} ${points[0]}` : points.join(" ")));
}

// The next round number: 1, 2 or 5 times a power of ten.
function nice(most) {
  if (most <= 0) {
    return 1;
  }
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= most * 0.999);
}
