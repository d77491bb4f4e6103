// One model: its status, what can be done with it, and the tabs.

import { get, modelPath, put, remove } from "./api.js";
import { ask, fill, h, set, text, toast } from "./dom.js";
import { clock, elapsed } from "./time.js";
import { badge, isComing, plural } from "./words.js";
import { follow } from "./live.js";
import { versionsTab } from "./versions.js";
import { callTab } from "./call.js";
import { eventsTab } from "./events.js";
import { logsTab } from "./logs.js";
import { figuresTab } from "./figures.js";
import { settingsDialog } from "./settings.js";

const TABS = [
  ["versions", "Versions", versionsTab],
  ["call", "Call it", callTab],
  ["events", "Events", eventsTab],
  ["logs", "Logs", logsTab],
  ["metrics", "Metrics", figuresTab],
];

export function modelView(main, page, name, tabName) {
  const state = badge(null);
  const waiting = h("p.waiting", { role: "status" });
  const description = h("p.quiet", {});
  const enable = h("button.primary", { type: "button", hidden: true }, "Enable Serving");
  const stop = h("button", { type: "button", hidden: true }, "Stop …");
  const settings = h("button", { type: "button", hidden: true }, "Settings");
  const connection = h("span.connection", { role: "status" });
  const panel = h("div.panel", { role: "tabpanel", "aria-labelledby": `tab-${tabName}`, id: "panel" });
  const problem = h("p.problem", { role: "alert", hidden: true });
  const tabs = h("div.tabs", { role: "tablist", "aria-label": `Views of ${name}` });

  fill(main,
    h("p.crumbs", {}, page.link([], {}, "Models")),
    h("div.head", {}, h("h1", {}, name), state, connection, h("span.grow", {}), settings, stop, enable),
    description, waiting, problem, tabs, panel);

  const listeners = { model: new Set(), event: new Set() };
  const view = {
    page, name, model: null,
    onModel: (listener) => { listeners.model.add(listener); if (view.model) { listener(view.model); } },
    onEvent: (listener) => listeners.event.add(listener),
    show: (tab, query) => page.go("models", name, tab, ...(query ?? [])),
    refresh: () => load(),
  };

  const [, , tab] = TABS.find(([id]) => id === tabName) ?? TABS[0];
  for (const [id, title] of TABS) {
    tabs.append(page.link(["models", name, id], {
      role: "tab", id: `tab-${id}`, "aria-selected": id === tabName ? "true" : "false", "aria-controls": "panel",
      tabindex: id === tabName ? 0 : -1,
    }, title));
  }
  tabs.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const place = TABS.findIndex(([id]) => id === tabName);
    if (step !== undefined) {
      event.preventDefault();
      page.go("models", name, TABS[(place + step + TABS.length) % TABS.length][0]);
      document.querySelector("[role=tab][aria-selected=true]")?.focus();
    }
  });

  const draw = (model) => {
    view.model = model;
    const manages = model.permission === "MANAGE";
    state.update(model.state);
    text(description, model.description);
    fill(waiting, status(model));
    problem.hidden = true;
    enable.hidden = !manages || model.state !== null;
    stop.hidden = !manages || model.state === null;
    settings.hidden = model.state === null;
    listeners.model.forEach((listener) => listener(model));
  };
  const load = async () => {
    try {
      draw(await get(modelPath(name)));
    } catch (refusal) {
      text(problem, refusal.message);
      problem.hidden = false;
    }
  };

  enable.addEventListener("click", async () => {
    enable.disabled = true;
    try {
      draw(await put(modelPath(name, "serving")));
    } catch (refusal) {
      toast(refusal.message, "bad");
    }
    enable.disabled = false;
  });
  stop.addEventListener("click", async () => {
    const sure = await ask({
      title: `Stop serving ${name}?`,
      message: "Requests in flight are finished, then all of its URIs are gone. Its settings are kept for the next time.",
      action: "Stop serving", typed: name, danger: true,
    });
    if (sure) {
      try {
        await remove(modelPath(name, "serving"));
        toast(`${name} is no longer served.`);
      } catch (refusal) {
        toast(refusal.message, "bad");
      }
      load();
    }
  });
  settings.addEventListener("click", () => settingsDialog(view));

  load();
  let again = null;
  const end = follow(`/api/v1/events?model=${encodeURIComponent(name)}&status=true`, {
    status: (model) => draw({ ...view.model, ...model }),
    event: (event) => listeners.event.forEach((listener) => listener(event)),
  }, (connected) => {
    set(connection, "class", `connection ${connected ? "on" : "off"}`);
    text(connection, connected ? "Live" : "Reconnecting …");
    if (connected) {
      load();
    }
  });
  const endTab = tab(panel, view);
  return () => {
    end();
    endTab?.();
    clearTimeout(again);
  };
}

/// What is being waited for, or what to do next.
function status(model) {
  if (model.state === null) {
    return model.permission === "MANAGE"
      ? "Not served. Enable serving, and every version that is not archived gets its own address."
      : "Not served. Who manages this model can enable serving.";
  }
  if (model.state !== "READY") {
    return model.state_reason ?? "";
  }
  const coming = model.versions.filter((version) => isComing(version.state));
  if (coming.length > 0) {
    return ["Waiting for ", ...coming.slice(0, 3).flatMap((version, place) => [
      place > 0 ? "; " : "", `version ${version.version}: ${version.step ?? version.state.toLowerCase()} (`, clock(version.since, elapsed), ")",
    ]), coming.length > 3 ? ` and ${plural(coming.length - 3, "more version")}` : ""];
  }
  if (model.versions.length === 0) {
    return "No version to serve: all are archived, or none is registered yet. The next one comes up by itself.";
  }
  return "";
}
