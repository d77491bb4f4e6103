// All registered models that the caller may see: how each is served, and what it does just now.

import { get, modelPath, put } from "./api.js";
import { ask, fill, h, keyed, set, text, toast } from "./dom.js";
import { clock } from "./time.js";
import { badge, count, latency, plural } from "./words.js";
import { follow } from "./live.js";
import { spark } from "./chart.js";

/// Between two looks at the figures.
const FIGURES_EVERY = 10_000;

export function modelsView(main, page) {
  const search = h("input.search", { type: "search", placeholder: "Search models", "aria-label": "Search models", value: new URLSearchParams(location.search).get("query") ?? "" });
  const served = h("input", { type: "checkbox" });
  const rows = h("tbody", {});
  const table = h("table.models", {},
    h("thead", {}, h("tr", {}, ["Model", "Serving", "Versions", "Labels", "Requests/s", "p95", "Errors", ""].map((title) => h("th", { scope: "col" }, title)))),
    rows);
  const note = h("div.note", { "aria-live": "polite" });
  const connection = h("span.connection", { role: "status" });
  fill(main,
    h("div.head", {}, h("h1", {}, "Models"), connection, h("span.grow", {}), h("label.check", {}, served, " Served only"), search),
    table, note);

  let models = new Map();
  let more = false;
  let figures = {};
  let asked = null;

  const shown = () => [...models.values()]
    .filter((model) => !served.checked || model.state !== null)
    .sort((one, other) => (one.state === null) - (other.state === null) || one.name.localeCompare(other.name));

  const draw = () => {
    const list = shown();
    keyed(rows, list, (model) => model.name, (model) => row(model, page));
    for (const element of rows.children) {
      element.figures(figures[element.name]);
    }
    table.hidden = list.length === 0;
    fill(note, list.length > 0
      ? more && h("p.quiet", {}, "More models match: search for the one you want.")
      : nothing(search.value, served.checked));
  };

  const load = async () => {
    asked?.abort();
    asked = new AbortController();
    try {
      const answer = await get("/api/v1/models", { query: search.value.trim(), max_results: 200 }, asked.signal);
      models = new Map(answer.models.map((model) => [model.name, model]));
      more = answer.next_page_token !== undefined;
      draw();
    } catch (error) {
      if (error.name !== "AbortError") {
        fill(note, h("p.problem", { role: "alert" }, error.message));
      }
    }
  };
  const count_figures = async () => {
    try {
      figures = (await get("/api/v1/figures", { window: "10m" })).models;
      draw();
    } catch {
      // The list is worth showing without them.
    }
  };

  let typing = null;
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(load, 150);
  });
  served.addEventListener("change", draw);
  load();
  count_figures();
  const timer = setInterval(count_figures, FIGURES_EVERY);
  let again = null;
  const soon = () => {
    clearTimeout(again);
    again = setTimeout(load, 200);
  };
  const end = follow("/api/v1/events?status=true", {
    status: (model) => {
      if (models.has(model.name)) {
        models.set(model.name, { ...models.get(model.name), ...model });
        draw();
      } else {
        soon();
      }
    },
    event: soon,
  }, (connected) => {
    set(connection, "class", `connection ${connected ? "on" : "off"}`);
    text(connection, connected ? "Live" : "Reconnecting …");
    if (connected) {
      soon();
    }
  });
  return () => {
    end();
    clearInterval(timer);
    clearTimeout(again);
    clearTimeout(typing);
    asked?.abort();
  };
}

function row(model, page) {
  const state = badge(model.state);
  const versions = h("span", {});
  const labels = h("ul.labels", {});
  const requests = spark("Requests a second over the last ten minutes");
  const rate = h("span.figure", {});
  const slow = h("span.figure", {});
  const errors = h("span.figure", {});
  const enable = h("button.small.primary", { type: "button", "aria-label": `Enable serving of ${model.name}` }, "Enable");
  enable.addEventListener("click", async () => {
    enable.disabled = true;
    try {
      await put(modelPath(model.name, "serving"));
      page.go("models", model.name);
    } catch (refusal) {
      toast(refusal.message, "bad");
      enable.disabled = false;
    }
  });
  const changed = model.last_updated ? clock(model.last_updated) : null;
  const element = h("tr", {},
    h("th", { scope: "row" }, page.link(["models", model.name], { class: "name" }, model.name),
      h("div.quiet.small", {}, changed && ["changed ", changed])),
    h("td", { "data-title": "Serving" }, state),
    h("td", { "data-title": "Versions" }, versions),
    h("td", { "data-title": "Labels" }, labels),
    h("td.number", { "data-title": "Requests/s" }, rate, requests),
    h("td.number", { "data-title": "p95" }, slow),
    h("td.number", { "data-title": "Errors" }, errors),
    h("td.actions", {}, enable));
  element.name = model.name;
  element.update = (now) => {
    state.update(now.state);
    text(versions, tally(now));
    keyed(labels, now.labels ?? [], (label) => label.label, label);
    enable.hidden = now.state !== null || now.permission !== "MANAGE";
  };
  element.figures = (series) => {
    requests.update(series?.requests);
    text(rate, series ? count(mean(series.requests, 3)) : "–");
    text(slow, series ? latency(last(series.p95)) : "–");
    const failed = series ? mean(series.errors, series.errors.length) / Math.max(1e-9, mean(series.requests, series.requests.length)) : null;
    text(errors, failed === null || Number.isNaN(failed) ? "–" : `${(failed * 100).toFixed(failed > 0 && failed < 0.01 ? 2 : 0)} %`);
    errors.classList.toggle("bad", failed > 0);
  };
  return element;
}

function label({ label: name }) {
  const target = h("span", {});
  const element = h("li.tag", {}, h("span.tag-name", {}, name), " ", target);
  element.update = ({ current, aspired }) => {
    text(target, current === undefined || current === null
      ? `→ ${aspired ?? "–"}, not ready`
      : aspired !== undefined && aspired !== current ? `${current} → ${aspired}` : `${current}`);
    element.classList.toggle("moving", aspired !== current);
  };
  return element;
}

function tally(model) {
  if (model.state === null) {
    return "–";
  }
  const coming = model.versions - model.ready - model.failed;
  const parts = [`${model.ready} ready`];
  if (coming > 0) {
    parts.push(`${coming} coming`);
  }
  if (model.failed > 0) {
    parts.push(`${model.failed} failed`);
  }
  return parts.join(", ");
}

function nothing(query, servedOnly) {
  if (query.trim() !== "") {
    return h("div.empty", {}, h("h2", {}, `No model matches “${query.trim()}”`), h("p", {}, "Names are compared without regard to case."));
  }
  if (servedOnly) {
    return h("div.empty", {}, h("h2", {}, "No model is served yet"), h("p", {}, "Untick “Served only”, find one, and press Enable."));
  }
  return h("div.empty", {}, h("h2", {}, "No registered models"),
    h("p", {}, "Register one in MLflow, and it appears here by itself: ",
      h("code", {}, "mlflow.sklearn.log_model(model, name=\"model\", registered_model_name=\"iris\")")),
    h("p.quiet", {}, "Or you may not see those that there are: ask who manages them."));
}

const known = (values) => (values ?? []).filter((value) => value !== null);
const last = (values) => known(values).at(-1);
const mean = (values, most) => {
  const recent = known(values).slice(-most);
  return recent.length === 0 ? 0 : recent.reduce((sum, value) => sum + value, 0) / recent.length;
};
