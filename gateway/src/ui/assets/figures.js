// How a model does: the last hour in charts.

import { get, modelPath } from "./api.js";
import { fill, h, keyed, text } from "./dom.js";
import { bytes, count, latency } from "./words.js";
import { chart } from "./chart.js";

const EVERY = 10_000;

export function figuresTab(panel, view) {
  const version = h("select", { "aria-label": "Version" });
  const requests = chart({ title: "Requests a second", format: count, empty: "No requests in the last hour" });
  const times = chart({ title: "Latency", format: latency, empty: "No requests in the last hour" });
  const queue = chart({ title: "Waiting and in flight", format: count });
  const batch = chart({ title: "Rows a batch", format: count, empty: "Nothing was batched in the last hour" });
  const memory = chart({ title: "Memory of the workers", format: bytes });
  const problem = h("p.problem", { hidden: true, role: "alert" });
  fill(panel, h("div.row", {}, h("label", {}, "Show ", version)), problem, h("div.charts", {}, requests, times, queue, batch, memory));

  const load = async () => {
    try {
      const figures = await get(modelPath(view.name, "figures"), { window: "1h", version: version.value });
      const step = figures.step_seconds;
      const line = (name, key, className) => ({ name, values: figures.series[key] ?? [], className });
      requests.update({ step, lines: [line("answered", "requests", "one"), line("failed", "errors", "bad")] });
      times.update({ step, lines: [line("p50", "p50", "one"), line("p95", "p95", "two"), line("p99", "p99", "three")] });
      queue.update({ step, lines: [line("in flight", "in_flight", "one"), line("waiting", "queue", "two")] });
      batch.update({ step, lines: [line("rows", "batch", "one")] });
      memory.update({ step, lines: [line("memory", "memory", "one")] });
      problem.hidden = true;
    } catch (refusal) {
      text(problem, refusal.message);
      problem.hidden = false;
    }
  };
  view.onModel((model) => keyed(version, [{ version: "" }, ...model.versions], (one) => one.version, (one) =>
    h("option", { value: String(one.version) }, one.version === "" ? "All versions" : `Version ${one.version}`)));
  version.addEventListener("change", load);
  load();
  const timer = setInterval(load, EVERY);
  return () => clearInterval(timer);
}
