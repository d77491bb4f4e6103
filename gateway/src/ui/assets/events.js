// What happened to a model, newest first, as it happens.

import { get, modelPath } from "./api.js";
import { fill, h, keyed, text } from "./dom.js";
import { plain } from "./plain.js";
import { clock } from "./time.js";
import { plural } from "./words.js";

/// Entries that are kept; older ones are asked for again.
const KEPT = 2000;
const PAGE = 100;
/// News that come together are shown together, in milliseconds.
const DRAWN_AFTER = 50;
const BAD = new Set(["failed", "replica_crashed", "tag_refused"]);
const GOOD = new Set(["ready", "enabled", "replica_started"]);
/// What a person looks for, in types of events.
const KINDS = [
  { value: "", title: "Everything" },
  { value: "failed,fork_failed,replica_crashed,replica_replaced,tag_refused", title: "Trouble" },
  { value: "label_moved", title: "Stages and aliases" },
  { value: "discovered,prepared,ready,batching,draining,retired,restarting,replica_started,scaled,asleep,woken", title: "Life of versions" },
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
  /// How many are kept: more only for somebody who asks for older ones.
  let room = KEPT;
  /// Which list this is: an answer to what was asked for another one is none.
  let number = 0;
  let isKnown = false;
  let left = false;
  let drawing = null;

  const isReading = () => list.getBoundingClientRect().top < 0 || list.querySelector("details[open]") !== null || !(getSelection()?.isCollapsed ?? true);
  const fits = (event) => (version.value === "" || String(event.version ?? "") === version.value)
    && (kind.value === "" || kind.value.split(",").includes(event.type));
  const draw = () => {
    clearTimeout(drawing);
    drawing = null;
    const known = [...events.values()].sort((one, other) => other.id - one.id);
    const all = known.slice(0, room);
    if (all.length < known.length) {
      events = new Map(all.map((event) => [event.id, event]));
      next = String(all.at(-1).id);
    }
    const waiting = all.filter((event) => event.id > shownUpTo).length;
    const shown = all.slice(waiting);
    keyed(list, shown, (event) => event.id, (event) => entry(event, view));
    list.hidden = shown.length === 0;
    newer.hidden = waiting === 0;
    text(newer, `↑ ${plural(waiting, "new event")}`);
    empty.hidden = shown.length > 0 || !isKnown;
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
  };
  const page = async (token) => {
    const asked = number;
    const isOld = () => asked !== number || left;
    try {
      const answer = await get(modelPath(view.name, "events"),
        { page_token: token ?? undefined, max_results: PAGE, version: version.value, type: kind.value });
      if (isOld()) {
        return null;
      }
      problem.hidden = true;
      return answer;
    } catch (refusal) {
      if (!isOld()) {
        text(problem, refusal.message);
        problem.hidden = refusal.status === 0;
      }
      return null;
    }
  };
  // The newest page. Where it does not join what is there, the list begins anew with it and what came later.
  const look = async () => {
    const answer = await page(null);
    if (answer === null) {
      return;
    }
    const isWhole = answer.next_page_token === undefined;
    if (!isKnown || !(isWhole || events.has(answer.events.at(-1).id))) {
      const newest = Math.max(...answer.events.map((event) => event.id));
      number += 1;
      events = new Map([...events].filter(([id]) => id > newest));
      shownUpTo = Infinity;
      next = answer.next_page_token ?? null;
    }
    isKnown = true;
    add(answer.events);
    draw();
  };
  let looking = look();
  const choose = () => {
    number += 1;
    isKnown = false;
    next = null;
    room = KEPT;
    shownUpTo = Infinity;
    events = new Map([...events].filter(([, event]) => fits(event)));
    draw();
    looking = look();
  };
  // What was missed while there was no connection; one look after the other.
  let isPlanned = false;
  const catchUp = async () => {
    if (!isPlanned && !left) {
      isPlanned = true;
      await looking;
      isPlanned = false;
      looking = look();
    }
  };

  older.addEventListener("click", async () => {
    older.disabled = true;
    const token = next;
    const answer = await page(token);
    // Of a list that has lost its end meanwhile, the page after it is another one.
    if (answer !== null && token === next) {
      room = Math.max(room, events.size + answer.events.length);
      next = answer.next_page_token ?? null;
      add(answer.events);
      draw();
    }
    older.disabled = false;
  });
  version.addEventListener("change", choose);
  kind.addEventListener("change", choose);
  newer.addEventListener("click", () => {
    shownUpTo = Infinity;
    draw();
    list.scrollIntoView({ block: "start" });
    scrollBy(0, -60);
  });
  view.onEvent((event) => {
    add([event]);
    drawing ??= setTimeout(draw, DRAWN_AFTER);
  });
  view.onModel((model) => {
    const numbers = model.versions.map((one) => one.version);
    keyed(version, ["", ...numbers], (one) => one, (one) => h("option", { value: String(one) }, one === "" ? "All" : String(one)));
  });
  (view.onConnect ?? view.onModel)(catchUp);
  return () => {
    left = true;
    clearTimeout(drawing);
  };
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
