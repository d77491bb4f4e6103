// How a model does: the last hour in charts.

import { get, modelPath } from "./api.js";
import { chart } from "./chart.js";
import { fill, h, keyed, text } from "./dom.js";
import { bytes, count, latency } from "./words.js";

const EVERY = 10_000;
const WINDOWS = [["10m", "10 minutes", 600], ["1h", "Hour", 3600]];

export function figuresTab(panel, view) {
  const version = h("select", {});
  const span = h("select", {}, WINDOWS.map(([value, title]) => h("option", { value }, title)));
  span.value = "1h";
  const problem = h("p.problem", { hidden: true, role: "alert" });
  const nothing = h("div.empty", { hidden: true }, h("h2", {}, "No figures yet"),
    h("p", {}, "Once serving is enabled, what its versions do is counted here, in steps of ten seconds."));
  // Looking at one moment in one chart looks at it in all of them.
  const onread = (place) => charts.forEach(({ element }) => element.read(place));
  const quiet = "No requests in this time";
  const charts = [
    { series: [ok, "errors"], title: "Requests/s", format: rate, empty: quiet, lines: [line("ok", "one", { isFilled: true }), line("errors", "bad", { isFilled: true, isShy: true })] },
    { series: ["p50", "p95", "p99"], title: "Latency", format: latency, empty: quiet, lines: [line("p50", "one"), line("p95", "two"), line("p99", "three")] },
    { series: ["in_flight", "queue"], title: "In flight and queued", format: count, whole: true, lines: [line("In flight", "one", { isFilled: true }), line("Queued", "three")] },
    { series: ["batch_size"], title: "Rows a call", format: count, empty: "No request in this time could share a call", lines: [line("mean", "one", { isFilled: true })] },
    { series: ["memory"], title: "Memory", format: bytes, base: 1024, lines: [line("all workers", "one", { isFilled: true })] },
  ].map(({ series, ...about }) => ({ series, element: chart({ ...about, onread }) }));
  const all = h("div.charts", {}, charts.map(({ element }) => element));
  fill(panel,
    h("div.row", {}, h("label.choice", {}, h("span", {}, "Version"), version), h("label.choice", {}, h("span", {}, "Last"), span)),
    problem, nothing, all);

  let question = 0;
  const load = async () => {
    const asked = ++question;
    const [window, , length] = WINDOWS.find(([value]) => value === span.value);
    try {
      const { step_seconds: step, series } = await get(modelPath(view.name, "figures"), { window, version: version.value });
      if (asked !== question) {
        return;
      }
      const end = Date.now();
      for (const { series: wanted, element } of charts) {
        element.update({ step, end, length: length / step, values: wanted.map((one) => (typeof one === "function" ? one(series) : series[one] ?? [])) });
      }
      problem.hidden = true;
      const isEmpty = Object.values(series).every((values) => values.every((value) => value === null));
      nothing.hidden = !isEmpty || view.model?.versions.length > 0;
      all.hidden = !nothing.hidden;
    } catch (refusal) {
      if (asked !== question) {
        return;
      }
      text(problem, refusal.message);
      problem.hidden = refusal.status === 401;
    }
  };
  view.onModel((model) => keyed(version, ["", ...model.versions.map((one) => one.version)], (one) => one, (one) =>
    h("option", { value: String(one) }, one === "" ? "All" : String(one))));
  version.addEventListener("change", load);
  span.addEventListener("change", load);
  load();
  const timer = setInterval(() => document.hidden || load(), EVERY);
  const seen = () => document.hidden || load();
  document.addEventListener("visibilitychange", seen);
  return () => {
    question = -1;
    clearInterval(timer);
    document.removeEventListener("visibilitychange", seen);
  };
}

/// `0`, `0.04`, `0.3`, `12`: a rate of less than one is still one.
const rate = (number) => (number > 0 && number < 0.1 ? number.toFixed(2) : count(number));

const line = (name, className, more) => ({ name, className, ...more });

// Failed requests are among the requests.
const ok = ({ requests = [], errors = [] }) => requests.map((one, place) => (one === null ? null : Math.max(0, one - (errors[place] ?? 0))));
