// What happened to a model, newest first, as it happens.

import { get, modelPath } from "./api.js";
import { fill, h, keyed, text } from "./dom.js";
import { plain } from "./plain.js";
import { clock } from "./time.js";
import { plural } from "./words.js";

/// Entries that are kept; older ones are asked for again.
const KEPT = 2000;
const PAGE = 100;
const BAD = new Set(["failed", "replica_crashed", "tag_refused"]);
const GOOD = new Set(["ready", "enabled", "replica_started"]);
/// What a person looks for, in types of events.
const KINDS = [
  { value: "", title: "Everything" },
  { value: "failed,replica_crashed,replica_replaced,tag_refused", title: "Trouble" },
  { value: "label_moved", title: "Stages and aliases" },
  { value: "discovered,prepared,ready,draining,retired,restarting,replica_started", title: "Life of versions" },
  { value: "enabled,disabled,settings_changed,restart_requested", title: "Done by people" },
];

export function eventsTab(panel, view) {
  const version = h("select", {});
  const kind = h("select", {}, KINDS.map(({ value, title }) => h("option", { value }, title)));
  const newer = h("button.small.primary", { type: "button" }, "");
  const hint = h("span.quiet.small.live-hint", {}, "Newest first, live");
  const list = h("ol.events", { "aria-label": "Events" });
  const older = h("button", { type: "button", hidden: true }, "Older events");
  const emptyTitle = h("h2", {}, "");
  const emptyHint = h("p", {}, "");
  const empty = h("div.empty", { hidden: true }, emptyTitle, emptyHint);
  const problem = h("p.problem", { role: "alert", hidden: true });
  newer.hidden = true;
  fill(panel,
    h("div.row.sticky", {},
      h("label.choice", {}, h("span", {}, "Version"), version), h("label.choice", {}, h("span", {}, "Show"), kind),
      hint, h("span.grow", {}), newer),
    problem, list, empty, h("p.centred", {}, older));

  let events = new Map();
  /// Newer ones wait until nobody reads further down.
  let shownUpTo = Infinity;
  let next = null;
  let asked = 0;

  const isReading = () => list.getBoundingClientRect().top < 0 || list.querySelector("details[open]") !== null || !(getSelection()?.isCollapsed ?? true);
  const fits = (event) => (version.value === "" || String(event.version ?? "") === version.value)
    && (kind.value === "" || kind.value.split(",").includes(event.type));
  const draw = () => {
    const all = [...events.values()].sort((one, other) => other.id - one.id);
    const waiting = all.filter((event) => event.id > shownUpTo).length;
    const shown = all.slice(waiting);
    keyed(list, shown, (event) => event.id, (event) => entry(event, view));
    list.hidden = shown.length === 0;
    newer.hidden = waiting === 0;
    text(newer, `↑ ${plural(waiting, "new event")}`);
    empty.hidden = shown.length > 0 || asked === 0;
    const filtered = version.value !== "" || kind.value !== "";
    text(emptyTitle, filtered ? "Nothing of this kind" : "Nothing has happened yet");
    text(emptyHint, filtered ? "What happens appears here by itself. Choose another version, or show everything." : "Enabling serving is the first event. What happens then appears here by itself.");
    older.hidden = next === null;
  };
  const add = (news) => {
    const newest = Math.max(...events.keys());
    const fresh = news.filter((event) => fits(event) && !events.has(event.id));
    if (fresh.some((event) => event.id > newest) && events.size > 0) {
      shownUpTo = isReading() ? Math.min(shownUpTo, newest) : Infinity;
    }
    fresh.forEach((event) => events.set(event.id, event));
    if (events.size > KEPT && next === null) {
      const kept = [...events.keys()].sort((one, other) => other - one).slice(0, KEPT);
      events = new Map(kept.map((id) => [id, events.get(id)]));
      next = String(kept.at(-1));
    }
  };
  const page = async (token) => {
    const question = ++asked;
    try {
      const answer = await get(modelPath(view.name, "events"),
        { page_token: token ?? undefined, max_results: PAGE, version: version.value, type: kind.value });
      problem.hidden = true;
      return question === asked || token === null ? answer : null;
    } catch (refusal) {
      text(problem, refusal.message);
      problem.hidden = refusal.status === 0;
      return null;
    }
  };
  const begin = async () => {
    const answer = await page(null);
    if (answer !== null) {
      events = new Map();
      shownUpTo = Infinity;
      add(answer.events);
      next = answer.next_page_token ?? null;
      draw();
    }
  };
  // What was missed while there was no connection; where that is more than a page, the list begins anew.
  const catchUp = async () => {
    const newest = Math.max(...events.keys());
    const answer = await page(null);
    if (answer === null) {
      return;
    }
    const joins = events.size === 0 || answer.next_page_token === undefined || answer.events.some((event) => event.id <= newest);
    if (!joins || events.size === 0) {
      events = new Map();
      shownUpTo = Infinity;
      next = answer.next_page_token ?? null;
    }
    add(answer.events);
    draw();
  };

  begin();
  older.addEventListener("click", async () => {
    older.disabled = true;
    const answer = await page(next);
    if (answer !== null) {
      add(answer.events);
      next = answer.next_page_token ?? null;
      draw();
    }
    older.disabled = false;
  });
  version.addEventListener("change", begin);
  kind.addEventListener("change", begin);
  newer.addEventListener("click", () => {
    shownUpTo = Infinity;
    draw();
    list.scrollIntoView({ block: "start" });
    scrollBy(0, -60);
  });
  view.onEvent((event) => {
    add([event]);
    draw();
  });
  let first = true;
  view.onModel((model) => {
    const numbers = model.versions.map((one) => one.version);
    keyed(version, ["", ...numbers], (one) => one, (one) => h("option", { value: String(one) }, one === "" ? "All" : String(one)));
    if (!first) {
      catchUp();
    }
    first = false;
  });
}

function entry(event, view) {
  const kind = BAD.has(event.type) ? "bad" : GOOD.has(event.type) ? "good" : "";
  const lines = event.details?.last_lines ?? [];
  return h(`li.event${kind ? `.${kind}` : ""}`, { "data-type": event.type },
    clock(event.at),
    h("span.who", {}, event.version === undefined ? "" : `v${event.version}`),
    h("div", {}, h("p.said", {}, plain(event.message)),
      lines.length > 0 && h("details", {}, h("summary", {}, `Last ${plural(lines.length, "line")}`),
        h("pre.lines", { tabindex: 0, role: "region", "aria-label": "Last lines" }, plain(lines.join("\n")))),
      BAD.has(event.type) && event.version !== undefined && h("button.small", {
        type: "button",
        onclick: () => {
          view.show("logs", { version: event.version });
        },
      }, `Log of version ${event.version}`)));
}
