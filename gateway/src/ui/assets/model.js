// One model: its status, what can be done with it, and the tabs.

import { get, modelPath, put, remove, segment } from "./api.js";
import { ask, fill, h, refill, say, set, text, toast } from "./dom.js";
import { clock, elapsed } from "./time.js";
import { badge, isAddressable } from "./words.js";
import { follow } from "./live.js";
import { shown, status } from "./standing.js";
import { versionsTab } from "./versions.js";
import { callTab } from "./call.js";
import { eventsTab } from "./events.js";
import { logsTab } from "./logs.js";
import { figuresTab } from "./figures.js";
import { settingsDialog } from "./settings.js";

export const TABS = [
  ["versions", "Versions", versionsTab],
  ["call", "Call it", callTab],
  ["events", "Events", eventsTab],
  ["logs", "Logs", logsTab],
  ["metrics", "Metrics", figuresTab],
];
/// Between two looks at what no news tell of, such as memory, in milliseconds.
const AGAIN_EVERY = 15_000;
/// How long after it was enabled no version means that nobody knows yet, in milliseconds.
const LOOKED_FOR = 10_000;
/// An answer that takes longer than this, in milliseconds, is waited for with a word.
const PATIENCE = 300;

/// Shows the model in `main` once it is known; until then, what was there before stays.
export function modelView(main, page, name) {
  const state = badge(null);
  const words = h("span", { role: "status" });
  const since = clock(new Date().toISOString(), elapsed);
  const waiting = h("p.waiting", {}, words, " ", since);
  const description = h("p.quiet.description", {});
  const enable = h("button.primary", { type: "button", hidden: true }, "Enable Serving");
  const stop = h("button", { type: "button", hidden: true }, "Stop …");
  const settings = h("button", { type: "button", hidden: true }, "Settings");
  const panel = h("div.panel", { role: "tabpanel", id: "panel" });
  const problem = h("p.problem", { role: "alert", hidden: true });
  const tags = h("ul.problem.mild", { hidden: true });
  const tabs = h("div.tabs", { role: "tablist", "aria-label": `Views of ${name}` });
  const changed = h("span.quiet", {});
  const crumbs = h("p.crumbs", {}, page.link([], {}, "Models"), h("span.quiet", { "aria-hidden": "true" }, "/"), h("span.quiet.clip.grow", {}, name), changed);
  const everything = [
    crumbs,
    h("div.head", {}, h("div.title", {}, h("h1", {}, name), state), h("div.actions", {}, settings, stop, enable)),
    description, waiting, problem, tags, tabs, panel];
  const mlflow = inMlflow(page, name, "the model");

  const listeners = { model: new Set(), event: new Set(), connect: new Set() };
  const view = {
    page, name, model: null,
    onModel: (listener) => {
      listeners.model.add(listener);
      if (view.model) {
        listener(view.model);
      }
    },
    onEvent: (listener) => listeners.event.add(listener),
    onConnect: (listener) => listeners.connect.add(listener),
    show: async (tab, query) => {
      wanted = query;
      await page.go("models", name, tab);
      wanted = null;
    },
    // A link to a tab and to what is to be chosen there.
    link: (id, query, attributes, ...children) => h("a", {
      href: `/ui/models/${segment(name)}/${id}?${new URLSearchParams(query)}`,
      ...attributes,
      onclick: (event) => {
        if (event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey) {
          event.preventDefault();
          view.show(id, query);
        }
      },
    }, ...children),
    // What is to be chosen in a tab that begins, and keeping in the address what is, so that a reload shows it again.
    asked: () => new URLSearchParams(wanted ?? location.search),
    keep: (query) => {
      const address = new URL(location);
      address.search = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== ""));
      if (address.href !== location.href) {
        history.replaceState(history.state, "", address);
      }
    },
    inMlflow: (what, ...rest) => inMlflow(page, name, what, ...rest),
    refresh: () => load(),
  };
  let wanted = null;
  let enabledAt = 0;
  let tab = null;
  let rendered = null;
  let endTab = null;
  let stage = "waiting";
  let absence = null;

  // The tabs: links, so that each has an address, and one view for all of them.
  const links = new Map(TABS.map(([id, title]) => [id, page.link(["models", name, id], { role: "tab", id: `tab-${id}`, "aria-controls": "panel", "data-title": title }, title)]));
  fill(tabs, [...links.values()]);
  tabs.addEventListener("keydown", (event) => {
    const place = TABS.findIndex(([id]) => id === tab);
    const wanted = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: TABS.length - 1 }[event.key];
    if (wanted !== undefined) {
      event.preventDefault();
      const [id] = TABS[(wanted + TABS.length) % TABS.length];
      page.go("models", name, id);
      links.get(id).focus();
    } else if (event.key === " ") {
      event.preventDefault();
      event.target.click();
    }
  });
  const turn = (asked) => {
    const [id, , make] = TABS.find(([one]) => one === asked) ?? TABS[0];
    if (id === tab && rendered === tab) {
      return;
    }
    tab = id;
    for (const [one, link] of links) {
      set(link, "aria-selected", one === id ? "true" : "false");
      set(link, "tabindex", one === id ? 0 : -1);
    }
    if (stage === "shown") {
      endTab?.();
      listeners.model.clear();
      listeners.event.clear();
      listeners.connect.clear();
      set(panel, "aria-labelledby", `tab-${id}`);
      fill(panel);
      endTab = make(panel, view);
      rendered = id;
      links.get(id).scrollIntoView({ block: "nearest", inline: "nearest" });
    }
  };

  const draw = (model) => {
    // An answer that comes when nobody looks any more.
    if (stage === "left") {
      return;
    }
    const before = view.model;
    if (model.state !== null && (before?.state === null || page.enabled === name)) {
      enabledAt = Date.now();
      page.enabled = null;
    }
    model.isLookedFor = model.versions.length === 0 && Date.now() - enabledAt < LOOKED_FOR;
    view.model = model;
    const manages = model.permission === "MANAGE";
    state.update(model.state, model.versions.some((version) => version.state === "READY"));
    text(description, model.description);
    description.hidden = !model.description;
    refill(changed, model.last_updated, () => (model.last_updated ? ["changed ", clock(model.last_updated)] : []));
    const told = status(model);
    refill(words, told.words, () => told.words.map((word) => shown(word, page, name)));
    since.hidden = told.since === undefined;
    if (told.since !== undefined) {
      since.update(told.since);
    }
    problem.hidden = true;
    refill(tags, model.tag_problems, () => (model.tag_problems ?? []).map(({ key, problem: why }) =>
      h("li", {}, "The tag ", h("code", {}, `sluicegate.${key}`), ` changes nothing: ${why}`)));
    tags.hidden = (model.tag_problems ?? []).length === 0;
    const focused = document.activeElement;
    enable.hidden = !manages || model.state !== null;
    stop.hidden = !manages || model.state === null;
    settings.hidden = model.state === null;
    if (focused?.hidden && focused === stop) {
      enable.focus();
    }
    moves(before, model);
    listeners.model.forEach((listener) => listener(model));
  };
  const mount = () => {
    if (stage === "waiting") {
      stage = "shown";
      absence = null;
      crumbs.append(mlflow);
      fill(main, everything);
      page.entitle();
      turn(tab);
    }
  };
  // What is not there has nothing to follow.
  let end = null;
  const listen = () => {
    end ??= follow(`/api/v1/events?model=${encodeURIComponent(name)}&status=true`, {
      // The settings may be left out; everything else that is absent is gone.
      status: (model) => stage === "shown" && draw({ settings: view.model.settings, settings_from: view.model.settings_from, ...model }),
      event: (event) => listeners.event.forEach((listener) => listener(event)),
    }, (connected) => {
      page.live(connected);
      if (connected) {
        load();
        listeners.connect.forEach((listener) => listener());
      }
    });
  };
  const quiet = () => {
    end?.();
    end = null;
    page.live(null);
  };
  const load = async () => {
    try {
      const model = await get(modelPath(name));
      if (stage === "gone") {
        stage = "waiting";
      }
      if (stage !== "left") {
        draw(model);
        mount();
        listen();
      }
    } catch (refusal) {
      if (stage === "left" || refusal.status === 401) {
        return;
      }
      if (refusal.status === 404 || refusal.status === 403 || stage === "waiting") {
        endTab?.();
        endTab = rendered = null;
        document.querySelectorAll("dialog").forEach((dialog) => dialog.close());
        refill(changed, null, () => []);
        mlflow.remove();
        // Asked again and again: what is said already stays, and the focus in it.
        const telling = JSON.stringify([refusal.status, refusal.message]);
        if (absence !== telling) {
          absence = telling;
          fill(main, crumbs, gone(page, name, refusal, view.model !== null));
        }
        stage = refusal.status === 0 ? "waiting" : "gone";
        listeners.model.clear();
        listeners.event.clear();
        listeners.connect.clear();
        quiet();
      } else {
        text(problem, refusal.message);
        problem.hidden = refusal.status === 0;
      }
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
    (enable.hidden ? settings : enable).focus();
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
  settings.addEventListener("click", async () => {
    // As they are now: others may change them too.
    await load();
    if (stage === "shown") {
      settingsDialog(view);
    }
  });

  if (!isAddressable(name)) {
    fill(main, crumbs, gone(page, name, null));
    return { ready: null };
  }
  const impatient = setTimeout(() => stage === "waiting" && absence === null && fill(main, crumbs, h("p.quiet", {}, "Loading …")), PATIENCE);
  const timer = setInterval(() => document.hidden || load(), AGAIN_EVERY);
  return {
    ready: load(),
    turn,
    leave: () => {
      stage = "left";
      clearTimeout(impatient);
      clearInterval(timer);
      quiet();
      endTab?.();
      listeners.model.clear();
      listeners.event.clear();
    },
  };
}

// What the registry's own page shows of the model, where it has one.
function inMlflow(page, name, what, ...rest) {
  const link = h("a.small", { hidden: true, target: "_blank", rel: "noopener", "aria-label": `Open in MLflow: ${what}` }, "Open in MLflow");
  // Asked for once; what was asked for in vain is asked for again.
  page.registry ??= get("/api/v1/status").then(({ registry }) => registry.url).catch(() => {
    page.registry = null;
    return null;
  });
  page.registry.then((url) => {
    if (/^https?:/i.test(url ?? "") && URL.canParse(url)) {
      const address = new URL(url);
      address.pathname = address.pathname.replace(/\/*$/, "/");
      address.hash = `/${["models", name, ...rest].map(segment).join("/")}`;
      set(link, "href", address.href);
      link.hidden = false;
    }
  });
  return link;
}

// Those who cannot see a label move are told.
function moves(before, after) {
  const old = new Map((before?.labels ?? []).map((label) => [label.label, label.current]));
  const moved = before === null ? [] : after.labels.filter((label) => label.current !== undefined && old.get(label.label) !== label.current);
  if (moved.length > 0) {
    say(moved.map((label) => `${label.label} now means version ${label.current}`).join(", "));
  }
}

function gone(page, name, refusal, wasThere) {
  const [title, message] = refusal === null
    ? ["This name cannot be asked for", `A browser leaves “${name}” out of every address. Register the model under another name.`]
    : refusal.status === 404 && wasThere
      ? ["This model is gone", `“${name}” was deleted or renamed in the registry, or you may no longer see it. Should it come back, so does this page.`]
      : refusal.status === 404
        ? ["No such model", `There is no model “${name}”, or you may not see it.`]
        : [refusal.status === 0 ? "The gateway does not answer" : "This did not work", refusal.message];
  page.entitle(title);
  return h("div.empty", { role: "alert" }, h("h1", {}, title), h("p", {}, message), h("p", {}, page.link([], { class: "button" }, "All models")));
}
