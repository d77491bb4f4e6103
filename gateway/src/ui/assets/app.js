// The page as a whole: who is signed in, which view the address names, and moving between them without loading anew.

import * as api from "./api.js";
import { fill, h, text } from "./dom.js";
import { modelsView } from "./models.js";
import { modelView } from "./model.js";
import { signInView } from "./sign-in.js";

const main = document.getElementById("main");
const top = document.getElementById("top");

/// What the views are given: the session, and how to go somewhere.
const page = { session: null, go, link };
let leave = null;

/// The address of a view: `["models", "iris", "events"]`.
export function address(...parts) {
  return parts.length === 0 ? "/" : `/ui/${parts.map(encodeURIComponent).join("/")}`;
}

function go(...parts) {
  history.pushState(null, "", address(...parts));
  show();
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

function place() {
  const path = location.pathname.replace(/^\/ui\/?/, "/");
  try {
    return path.split("/").filter((part) => part !== "").map(decodeURIComponent);
  } catch {
    return [];
  }
}

async function show() {
  leave?.();
  leave = null;
  if (page.session === null) {
    document.title = "Sign in – Sluicegate";
    fill(main, signInView(page, entered));
    main.querySelector("input")?.focus();
    bar();
    return;
  }
  const [section, name, tab] = place();
  if (section === "models" && name !== undefined) {
    document.title = `${name} – Sluicegate`;
    leave = modelView(main, page, name, tab ?? "versions");
  } else {
    document.title = "Models – Sluicegate";
    leave = modelsView(main, page);
  }
  bar();
}

function bar() {
  const session = page.session;
  fill(top,
    h("div.inner", {},
      link([], { class: "brand", "aria-label": "Sluicegate, all models" }, h("img", { src: "/ui/icon.svg", alt: "", width: 22, height: 22 }), "Sluicegate"),
      h("span.grow", {}),
      session && h("span.who", { title: session.admin ? "Admin" : "" }, session.principal),
      session && session.authentication && h("button.small", { type: "button", onclick: signOut }, "Sign out")));
}

async function entered() {
  page.session = await api.get("/api/v1/session");
  await show();
  main.focus();
}

async function signOut() {
  await api.remove("/api/v1/session").catch(() => {});
  page.session = null;
  show();
}

api.onSignedOut(() => {
  if (page.session !== null) {
    page.session = null;
    show();
  }
});
addEventListener("popstate", show);

try {
  page.session = await api.get("/api/v1/session");
} catch (refusal) {
  if (refusal.status !== 401) {
    fill(main, h("p.problem", { role: "alert" }, text(h("span", {}), refusal.message)));
    throw refusal;
  }
}
await show();
