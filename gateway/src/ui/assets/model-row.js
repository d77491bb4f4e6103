// One model in the list: its state, its labels, its small charts, and enabling it from there.

import { modelPath, put } from "./api.js";
import { h, keyed, refill, set, text, toast } from "./dom.js";
import { badge, count, isAddressable, latency, pointing } from "./words.js";
import { spark } from "./chart.js";

/// Labels that a row names.
const LABELS = 8;
/// What a row shows of figures: a chart, a number, and how one tells it of a series.
export const FIGURES = [
  { title: "Requests/s", about: "Requests a second over the last ten minutes", key: "requests", read: (series) => count(mean(series.requests, 3)) },
  { title: "p95", about: "95th percentile of the latency over the last ten minutes", key: "p95", read: (series) => latency(known(series.p95).at(-1)) },
  { title: "Errors", about: "Share of requests not answered with 2xx, last ten minutes", key: "errors", line: shares, read: share, isBad: (series) => sum(series.errors) > 0 },
];
/// The series that they are made of, as the gateway is asked for them.
export const SERIES = "requests,errors,p95";

/// The row of `model`; `update` and `figures` keep it true.
export function row(model, page) {
  const { name } = model;
  const state = badge(model.state);
  const versions = h("td.counts", { role: "cell", "data-title": "Versions" });
  const labels = h("ul.labels", {});
  const others = h("span.quiet.small", { hidden: true });
  const description = h("div.quiet.small.clip", {});
  const cells = FIGURES.map((figure) => ({ ...figure, chart: spark(figure.about), number: h("span.figure", {}) }));
  const enable = h("button.small.soft", { type: "button", "aria-label": `Enable serving of ${name}` }, "Enable");
  enable.addEventListener("click", async () => {
    enable.disabled = true;
    try {
      await put(modelPath(name, "serving"));
      page.enabled = name;
      page.go("models", name);
    } catch (refusal) {
      toast(refusal.message, "bad");
      enable.disabled = false;
    }
  });
  const figures = cells.map(({ title, key, chart, number }) => h(`td.number.${key}`, { role: "cell", "data-title": title }, h("div.cell", {}, number, chart)));
  const element = h("tr", { role: "row" },
    h("th", { scope: "row", role: "rowheader" }, isAddressable(name)
      ? [page.link(["models", name], { class: "name", title: name }, name), description]
      : [h("span.name", {}, name), h("div.quiet.small", {}, "No browser can ask for this name; register the model under another.")]),
    h("td", { role: "cell", "data-title": "Serving" }, state),
    versions,
    h("td.pointing", { role: "cell", "data-title": "Labels" }, labels, others),
    figures,
    h("td.actions", { role: "cell" }, enable));
  element.name = name;
  element.update = (now) => {
    state.update(now.state, now.ready > 0);
    text(description, now.description);
    set(description, "title", now.description);
    element.classList.toggle("idle", now.state === null);
    refill(versions, [now.state, now.versions, now.ready, now.failed], () => counts(now));
    const all = now.labels ?? [];
    keyed(labels, all.slice(0, LABELS), (label) => label.label, label);
    others.hidden = all.length <= LABELS;
    text(others, others.hidden ? "" : `and ${all.length - LABELS} more`);
    enable.hidden = now.state !== null || now.permission !== "MANAGE" || !isAddressable(name);
  };
  element.figures = (series) => {
    if (element.series === series && element.hasSeries) {
      return;
    }
    element.series = series;
    element.hasSeries = true;
    const has = series !== undefined && known(series.requests).length > 0;
    cells.forEach(({ key, chart, number, line, read, isBad }, place) => {
      const values = has ? line?.(series) ?? series[key] ?? [] : [];
      figures[place].classList.toggle("none", !has);
      chart.update(known(values).length > 0 ? values : []);
      text(number, has ? read(series) : "");
      number.classList.toggle("bad", has && isBad?.(series) === true);
    });
  };
  return element;
}

function label({ label: name }) {
  const target = h("span.target", {});
  const element = h("li.tag", {}, h("span.tag-name", {}, name), " ", target);
  element.update = (now) => {
    text(target, pointing(now));
    element.classList.toggle("moving", (now.current ?? null) !== (now.aspired ?? null));
  };
  return element;
}

function counts(model) {
  if (model.state === null) {
    return [];
  }
  const coming = model.versions - model.ready - model.failed;
  return [
    model.versions === 0 && h("span.quiet", {}, "none"),
    model.ready > 0 && h("span.count.good", {}, `${model.ready} ready`),
    coming > 0 && h("span.count.busy", {}, `${coming} coming`),
    model.failed > 0 && h("span.count.bad", {}, `${model.failed} failed`)];
}

const known = (values) => (values ?? []).filter((value) => value !== null);
const sum = (values) => known(values).reduce((total, value) => total + value, 0);
const mean = (values, most) => {
  const recent = known(values).slice(-most);
  return recent.length === 0 ? 0 : sum(recent) / recent.length;
};

// A moment without requests is one without errors.
function shares(series) {
  return (series.requests ?? []).map((requests, place) => {
    const failed = series.errors?.[place] ?? null;
    return requests === null || failed === null ? null : requests > 0 ? failed / requests : 0;
  });
}

// What is more than nothing is never written as nothing.
function share(series) {
  const requests = sum(series.requests);
  const failed = requests > 0 ? 100 * sum(series.errors) / requests : 0;
  if (failed > 0 && failed < 0.01) {
    return "<0.01 %";
  }
  return `${failed.toFixed(failed > 0 && failed < 1 ? 2 : 0)} %`;
}
