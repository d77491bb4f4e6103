// The page as a whole: who is signed in, which view the address names, and moving between them without loading anew.

import * as api from "./api.js";
import { fill, h, refill, say, set, text, toast } from "./dom.js";
import { modelsView } from "./models.js";
import { TABS, modelView } from "./model.js";
import { signInView } from "./sign-in.js";

/// Between two looks at how the gateway itself is doing, in milliseconds.
const STATUS_EVERY = 15_000;

const main = document.getElementById("main");
const foot = document.getElementById("foot");

/// What the views are given: the session, how to go somewhere, how to say whether they are live, how to put the title right,
/// a promise of where the registry is, the list as last seen, the model that was enabled there, and what was written and not sent.
const page = { session: null, go, link, live, entitle, registry: null, listed: null, enabled: null, drafts: new Map() };
let shown = null;

const connection = h("span.connection", { role: "status" });
const who = h("span.who", {});
const leaving = h("button.small", { type: "button", onclick: signOut }, "Sign out");
const banner = h("p.banner", { role: "status", hidden: true });
fill(document.getElementById("top"),
  h("div.inner", {},
    link([], { class: "brand", "aria-label": "Sluicegate, all models" }, h("img", { src: "/ui/icon.svg", alt: "", width: 22, height: 22 }), "Sluicegate"),
    h("span.grow", {}), connection, who, leaving),
  banner);

/// The address of a view: `["models", "iris", "events"]`.
export function address(...parts) {
  return parts.length === 0 ? "/" : `/ui/${parts.map(encodeURIComponent).join("/")}`;
}

async function go(...parts) {
  const wanted = address(...parts);
  if (wanted === location.pathname) {
    return;
  }
  const before = shown?.key;
  history.replaceState({ scroll: scrollY }, "");
  history.pushState(null, "", wanted);
  await show();
  if (shown?.key !== before) {
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
  }
}

function link(parts, attributes, ...children) {
  return h("a", {
    href: address(...parts),
    ...attributes,
    onclick: (event) => {
      if (event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey) {
        event.preventDefault();
        go(...parts);
      }
    },
  }, ...children);
}

/// Whether what is shown follows the gateway; null where nothing does.
function live(connected) {
  set(connection, "class", `connection ${connected === null ? "" : connected ? "on" : "off"}`);
  text(connection, connected === null ? "" : connected ? "Live" : "Reconnecting …");
}

function place() {
  const path = location.pathname.replace(/^\/ui\/?/, "/");
  try {
    return path.split("/").filter((part) => part !== "").map(decodeURIComponent);
  } catch {
    // No address of this page.
    return [""];
  }
}

/// Gives the page the title of what the address names, or of what was found there instead.
function entitle(instead) {
  document.title = `${instead ?? titled(...place())} – Sluicegate`;
}

function titled(section = "models", name, tab) {
  if (page.session === null) {
    return "Sign in";
  }
  if (section !== "models") {
    return "No such page";
  }
  return name === undefined ? "Models" : `${name} · ${(TABS.find(([id]) => id === tab) ?? TABS[0])[1]}`;
}

function nowhere() {
  fill(main, h("div.empty", {}, h("h1", {}, "No such page"), h("p", {}, "Nothing of this gateway has this address."),
    h("p", {}, link([], { class: "button" }, "All models"))));
  return {};
}

async function show() {
  bar();
  // Going back leaves what was asked there.
  document.querySelectorAll("dialog").forEach((dialog) => dialog.close());
  entitle();
  if (page.session === null) {
    turn("sign-in", () => {
      fill(main, signInView(entered));
      main.querySelector("input").focus();
      return {};
    });
    return;
  }
  const [section = "models", name, tab] = place();
  if (section !== "models") {
    turn("nowhere", nowhere);
  } else if (name !== undefined) {
    turn(`model ${name}`, () => modelView(main, page, name), tab);
  } else {
    turn("models", () => modelsView(main, page));
  }
  await shown.ready;
}

// A view that is already there only turns to another of its tabs.
function turn(key, make, tab) {
  if (shown?.key !== key) {
    shown?.leave?.();
    live(null);
    shown = { key, ...make() };
  }
  shown.turn?.(tab);
}

function bar() {
  const session = page.session;
  text(who, session?.principal);
  set(who, "title", session?.admin ? `${session.principal}, who may do everything` : session?.principal);
  who.hidden = session === null;
  leaving.hidden = !session?.authentication;
}

async function entered() {
  page.session = await api.get("/api/v1/session");
  look();
  await show();
  main.focus();
}

async function signOut() {
  leaving.disabled = true;
  try {
    await api.remove("/api/v1/session");
    ended();
  } catch (refusal) {
    // One that is over already has been heard of; any other is still there, and nobody shall believe that it is not.
    if (refusal.status !== 401) {
      toast(`You are still signed in. ${refusal.message}`, "bad");
    }
  }
  leaving.disabled = false;
  if (page.session !== null) {
    leaving.focus();
  }
}

function ended() {
  if (page.session !== null) {
    page.session = null;
    banner.hidden = true;
    refill(foot, null, () => []);
    say("");
    show();
    // After the view was left: the next person finds nothing of this one.
    page.registry = null;
    page.listed = null;
    page.enabled = null;
    page.drafts = new Map();
    sessionStorage.clear();
  }
}

// What people would otherwise take for the truth of now: a registry that does not answer.
async function look() {
  if (page.session === null || document.hidden) {
    return;
  }
  const asked = api.get("/api/v1/status");
  page.registry ??= asked.then(({ registry }) => registry.url, () => {
    page.registry = null;
    return null;
  });
  try {
    const { version, registry } = await asked;
    if (page.session === null) {
      return;
    }
    const url = h("code", {}, registry.url);
    refill(foot, [version, registry.url], () => h("div.inner", {}, `Sluicegate ${version}`, h("span", {}, "Registry ",
      /^https?:/.test(registry.url) ? h("a", { href: registry.url, target: "_blank", rel: "noopener" }, url) : url)));
    text(banner, registry.reachable ? "" : `The registry does not answer: what is shown of it may be old. What is served goes on. ${registry.error ?? ""}`);
    banner.hidden = registry.reachable;
  } catch {
    // The views say that the gateway is away.
  }
}

api.onSignedOut(ended);
addEventListener("popstate", async (event) => {
  await show();
  scrollTo(0, event.state?.scroll ?? 0);
});
setInterval(look, STATUS_EVERY);
document.addEventListener("visibilitychange", look);

async function start() {
  try {
    page.session = await api.get("/api/v1/session");
  } catch (refusal) {
    if (refusal.status !== 401) {
      fill(main, h("div.empty", { role: "alert" }, h("h1", {}, "The gateway does not answer"), h("p", {}, refusal.message),
        h("p", {}, h("button.primary", { type: "button", onclick: start }, "Try again"))));
      return;
    }
  }
  // Before the view, which may want to know where the registry is.
  look();
  await show();
}
await start();
