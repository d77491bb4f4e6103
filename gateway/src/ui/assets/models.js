// All registered models that the caller may see: how each is served, and what it does just now.

import { get } from "./api.js";
import { fill, h, keyed, refill, text } from "./dom.js";
import { follow } from "./live.js";
import { FIGURES, SERIES, row } from "./model-row.js";

/// Between two looks at the figures, and at a list of which nothing tells when it grows, in milliseconds.
const FIGURES_EVERY = 10_000;
const LIST_EVERY = 15_000;
/// News that come at once are one reason to look again.
const GATHERED = 250;
/// Models that are not served, at a time.
const PAGE_SIZE = 200;
/// The most that the API gives at once, and the most models shown that are not served.
const MOST = 1000;

export function modelsView(main, page) {
  const asked = new URLSearchParams(location.search);
  const search = h("input.search", { type: "search", placeholder: "Search models", "aria-label": "Search models", value: asked.get("query") ?? "", spellcheck: "false", autocapitalize: "none" });
  const served = h("input", { type: "checkbox", checked: asked.has("served") });
  // The roles are said because on small screens none of it is laid out as a table.
  const rows = h("tbody", { role: "rowgroup" });
  const table = h("table.models", { role: "table", hidden: true },
    h("caption.away", {}, "Registered models"),
    h("colgroup", {}, ["model", "state", "counts", "labels", ...FIGURES.map(() => "figure"), "do"].map((kind) => h(`col.${kind}`, {}))),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, ["Model", "Serving", "Versions", "Labels"].map((title) => h("th", { scope: "col", role: "columnheader" }, title)),
      FIGURES.map(({ title, about }) => h("th", { scope: "col", role: "columnheader", title: about }, title)),
      h("th", { scope: "col", role: "columnheader" }, h("span.away", {}, "Actions")))),
    rows);
  const tally = h("span.quiet.tally", { role: "status" });
  const note = h("div.note", {});
  const more = h("button", { type: "button" }, "Show more");

  let models = page.listed?.models ?? new Map();
  let wanted = PAGE_SIZE;
  let isMore = false;
  let figures = page.listed?.figures ?? {};
  let problem = null;
  // Where a row stands is settled when it comes, so that none slips away under a hand that wants to press it.
  let ranks = new Map();
  // The question to the gateway that is under way, and how long the last one took.
  let asking = null;
  let took = 0;

  const draw = () => {
    for (const model of models.values()) {
      if (!ranks.has(model.name)) {
        ranks.set(model.name, model.state === null ? 1 : 0);
      }
    }
    const list = [...models.values()]
      .filter((model) => !served.checked || model.state !== null)
      .sort((one, other) => ranks.get(one.name) - ranks.get(other.name) || compare(one.name, other.name));
    keyed(rows, list, (model) => model.name, (model) => row(model, page));
    for (const element of rows.children) {
      element.figures(figures[element.name]);
    }
    table.hidden = list.length === 0;
    const up = list.filter((model) => model.state !== null).length;
    text(tally, list.length === 0 ? "" : `${up} served of ${served.checked ? up : list.length}${isMore ? " and more" : ""}`);
    tally.hidden = served.checked || search.value.trim() !== "";
    refill(note, [list.length === 0, isMore, wanted, problem, search.value, served.checked], () => [
      problem && h("p.problem", { role: "alert" }, problem),
      isMore && !served.checked && (wanted < MOST ? h("p.center", {}, more)
        : h("p.center.quiet", {}, `There are more than ${MOST} models that are not served. Search to find the others.`)),
      list.length === 0 && problem === null && nothing(search.value, served.checked, page.session?.admin)]);
  };

  let frame = null;
  const drawSoon = () => {
    frame ??= requestAnimationFrame(() => {
      frame = null;
      draw();
    });
  };

  // All that are served, however many others come before them by name, and as many of the others as one wants to see.
  const load = async () => {
    const query = search.value.trim();
    if (asking?.query === query && asking.wanted === wanted) {
      // An answer that never comes because the next question is more urgent would be worse than one a moment old.
      asking.isStale = true;
      return;
    }
    asking?.ending.abort();
    const own = asking = { query, wanted, ending: new AbortController(), isStale: false, heard: new Map() };
    const start = performance.now();
    try {
      const [up, rest] = await Promise.all([
        every(query, own.ending.signal),
        get("/api/v1/models", { query, served: false, max_results: wanted }, own.ending.signal)]);
      if (own !== asking) {
        return;
      }
      models = new Map([...rest.models, ...up].map((model) => [model.name, model]));
      // What was heard while the answer was on its way may be newer than it is.
      isMore = rest.next_page_token !== undefined;
      own.heard.forEach(merge);
      problem = null;
      if (query === "") {
        page.listed = { models, figures };
      }
      draw();
    } catch (error) {
      if (error.name !== "AbortError" && error.status !== 401) {
        problem = error.message;
        draw();
      }
    } finally {
      took = performance.now() - start;
      if (own === asking) {
        asking = null;
        if (own.isStale) {
          soon();
        }
      }
    }
  };
  // What the list lacks it is asked for again, unless it lacks it for a reason.
  const merge = (model) => {
    const known = models.get(model.name);
    if (known !== undefined) {
      models.set(model.name, { ...known, ...model });
      drawSoon();
    } else if (search.value.trim() === "" && (model.state !== null || !isMore)) {
      soon();
    }
  };
  const measure = async () => {
    if (document.hidden) {
      return;
    }
    try {
      figures = (await get("/api/v1/figures", { window: "10m", series: SERIES })).models;
      if (page.listed) {
        page.listed.figures = figures;
      }
      draw();
    } catch {
      // The list is worth showing without them.
    }
  };
  let again = null;
  const soon = () => {
    // A gateway that answers slowly is asked less often.
    again ??= setTimeout(() => {
      again = null;
      load();
    }, Math.min(Math.max(GATHERED, took), LIST_EVERY));
  };
  const chosen = () => {
    const address = new URL(location);
    for (const [name, value] of [["query", search.value.trim()], ["served", served.checked ? "true" : ""]]) {
      if (value === "") {
        address.searchParams.delete(name);
      } else {
        address.searchParams.set(name, value);
      }
    }
    history.replaceState(history.state, "", address);
    ranks = new Map();
  };

  let typing = null;
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      chosen();
      wanted = PAGE_SIZE;
      load();
    }, 150);
  });
  served.addEventListener("change", () => {
    chosen();
    draw();
  });
  more.addEventListener("click", () => {
    wanted = Math.min(MOST, wanted + PAGE_SIZE);
    load();
  });
  const slash = (event) => {
    if (event.key === "/" && !event.ctrlKey && !event.metaKey && !event.altKey && !event.target.closest("input, textarea, select, dialog")) {
      event.preventDefault();
      search.focus();
    }
  };
  addEventListener("keydown", slash);

  fill(main,
    h("div.head", {}, h("h1", {}, "Models"), tally, h("span.grow", {}), h("label.check", {}, served, " Served only"), search),
    table, note);
  const isKnown = models.size > 0 && search.value === "";
  if (isKnown) {
    draw();
  }
  const loaded = load();
  measure();
  const timers = [setInterval(measure, FIGURES_EVERY), setInterval(() => document.hidden || soon(), LIST_EVERY)];
  let wasConnected = false;
  const end = follow("/api/v1/events?status=true", {
    status: (model) => {
      asking?.heard.set(model.name, model);
      if (asking === null || models.has(model.name)) {
        merge(model);
      }
    },
    event: soon,
  }, (connected) => {
    page.live(connected);
    // The first time, the list was asked for just now.
    if (connected && wasConnected) {
      soon();
    }
    wasConnected ||= connected;
  });
  return {
    ready: isKnown ? null : loaded,
    leave: () => {
      end();
      timers.forEach(clearInterval);
      clearTimeout(again);
      clearTimeout(typing);
      cancelAnimationFrame(frame);
      removeEventListener("keydown", slash);
      asking?.ending.abort();
      asking = null;
    },
  };
}

// Page by page: a model that is served is never left out without a word.
async function every(query, signal) {
  const all = [];
  let token;
  do {
    const { models, next_page_token } = await get("/api/v1/models", { query, served: true, max_results: MOST, page_token: token }, signal);
    all.push(...models);
    token = models.length === 0 ? undefined : next_page_token;
  } while (token !== undefined);
  return all;
}

function nothing(query, servedOnly, isAdmin) {
  if (query.trim() !== "") {
    return h("div.empty", {}, h("h2", {}, `No model matches “${query.trim()}”`),
      h("p", {}, servedOnly ? "Untick “Served only”, or search for another part of its name." : "Any part of the name will do, in any case."));
  }
  if (servedOnly) {
    return h("div.empty", {}, h("h2", {}, "No model is served yet"), h("p", {}, "Untick “Served only”, find one, and press Enable."));
  }
  return h("div.empty", {}, h("h2", {}, isAdmin ? "No registered models" : "No models that you may see"),
    !isAdmin && h("p", {}, "If there are some, ask who manages them for the right to read."),
    h("p", {}, "A model that you register in MLflow appears here by itself:"),
    h("pre.lines.left", {}, "mlflow.sklearn.log_model(model, name=\"model\", registered_model_name=\"iris\")"));
}

const compare = new Intl.Collator("en", { numeric: true }).compare;
