// What happened to a model, newest first, as it happens.

import { get, modelPath } from "./api.js";
import { fill, h, keyed, text } from "./dom.js";
import { clock } from "./time.js";

const KEPT = 1000;
const BAD = new Set(["failed", "replica_crashed", "tag_refused"]);
const GOOD = new Set(["ready", "enabled"]);

export function eventsTab(panel, view) {
  const filter = h("select", { "aria-label": "Version" }, h("option", { value: "" }, "All versions"));
  const list = h("ol.events", { "aria-live": "off" });
  const older = h("button", { type: "button", hidden: true }, "Older events");
  const empty = h("div.empty", { hidden: true }, h("h2", {}, "Nothing has happened yet"), h("p", {}, "Enabling serving is the first event."));
  fill(panel, h("div.row", {}, h("label", {}, "Show ", filter)), list, empty, older);

  let events = new Map();
  let next = null;
  const draw = () => {
    const shown = [...events.values()]
      .filter((event) => filter.value === "" || String(event.version ?? "") === filter.value || event.version === undefined)
      .sort((one, other) => other.id - one.id);
    keyed(list, shown, (event) => event.id, entry);
    empty.hidden = shown.length > 0;
    older.hidden = next === null;
  };
  const add = (news) => {
    for (const event of news) {
      events.set(event.id, event);
    }
    if (events.size > KEPT) {
      events = new Map([...events].sort(([one], [other]) => other - one).slice(0, KEPT));
    }
  };
  const load = async (token) => {
    try {
      const answer = await get(modelPath(view.name, "events"), { page_token: token ?? undefined, max_results: 100 });
      add(answer.events);
      next = answer.next_page_token ?? null;
      draw();
    } catch (refusal) {
      fill(empty, h("p.problem", {}, refusal.message));
      empty.hidden = false;
    }
  };
  load();
  older.addEventListener("click", () => load(next));
  filter.addEventListener("change", draw);
  view.onEvent((event) => {
    add([event]);
    draw();
  });
  view.onModel((model) => keyed(filter, [{ version: "" }, ...model.versions], (version) => version.version, (version) =>
    h("option", { value: String(version.version) }, version.version === "" ? "All versions" : `Version ${version.version}`)));
}

function entry(event) {
  const kind = BAD.has(event.type) ? "bad" : GOOD.has(event.type) ? "good" : "";
  const lines = event.details?.last_lines ?? [];
  return h(`li.event${kind ? `.${kind}` : ""}`, { "data-type": event.type },
    clock(event.at), h("span.who", {}, event.version === undefined ? "" : `v${event.version}`),
    h("div", {}, h("span", {}, event.message),
      lines.length > 0 && h("details", {}, h("summary", {}, "Last lines"), h("pre.lines", { tabindex: 0 }, lines.join("\n")))));
}
