// The versions of a model: state, step, labels, URIs, figures, and why one failed.

import { getText, modelPath, post } from "./api.js";
import { copyButton, fill, h, keyed, set, text, toast } from "./dom.js";
import { clock, elapsed, relative } from "./time.js";
import { badge, bytes, isComing, plural } from "./words.js";

export function versionsTab(panel, view) {
  const list = h("div.versions", {});
  const empty = h("div.empty", { hidden: true });
  const labels = h("dl.pointers", {});
  fill(panel, labels, list, empty);
  view.onModel((model) => {
    keyed(labels, model.labels, (label) => label.label, pointer);
    labels.hidden = model.labels.length === 0;
    keyed(list, model.versions, (version) => version.version, (version) => card(version, view));
    empty.hidden = model.versions.length > 0;
    fill(empty, nothing(model));
  });
}

function pointer({ label }) {
  const target = h("dd", {});
  const uri = h("code.uri", {});
  const element = h("div", {}, h("dt", {}, label), target, uri, copyButton(() => uri.textContent, `Copy the URI of ${label}`));
  element.update = (now) => {
    const [current, aspired] = [now.current ?? null, now.aspired ?? null];
    text(target, current === null
      ? `version ${aspired}, not ready yet`
      : current === aspired ? `version ${current}` : `version ${current}, moving to ${aspired} when that is ready`);
    set(target, "class", current === aspired ? "" : "moving");
    text(uri, now.uri);
  };
  return element;
}

function card(version, view) {
  const number = version.version;
  const state = badge(version.state);
  const since = clock(version.since);
  const step = h("p.step", { role: "status" });
  const marks = h("span.marks", {});
  const facts = h("dl.facts", {});
  const uris = h("ul.uris", {});
  const failure = h("div.failure", { hidden: true });
  const restart = h("button.small", { type: "button" }, "Restart");
  restart.addEventListener("click", async () => {
    restart.disabled = true;
    try {
      await post(modelPath(view.name, "versions", String(number), "restart"));
      toast(`New workers for version ${number} replace the present ones, without a failed request.`);
    } catch (refusal) {
      toast(refusal.message, "bad");
    }
    restart.disabled = false;
  });
  const element = h("article.version", { "aria-label": `Version ${number}` },
    h("header", {}, h("h3", {}, `Version ${number}`), state, marks, h("span.quiet", {}, "since ", since), h("span.grow", {}),
      view.page.link(["models", view.name, "logs"], { class: "button small" }, "Logs"),
      restart),
    step, failure, uris, facts);
  element.querySelector("a.button").addEventListener("click", () => sessionStorage.setItem("version", String(number)));

  element.update = (now) => {
    state.update(now.state);
    since.update(now.since);
    fill(step, isComing(now.state)
      ? [h("span.spinner", { "aria-hidden": "true" }), now.step ?? "waiting for its turn", " ", h("span.quiet", {}, clock(now.step_since ?? now.since, elapsed))]
      : now.renewing ? [h("span.spinner", { "aria-hidden": "true" }), "new workers are coming up beside the present ones"] : []);
    step.hidden = step.childNodes.length === 0;
    keyed(marks, [...(now.stage ? [now.stage] : []), ...now.aliases.map((alias) => `@${alias}`)], (mark) => mark, (mark) => h("span.tag", {}, mark));
    keyed(uris, now.uris, (uri) => uri, (uri) => h("li", {}, h("code.uri", {}, uri), copyButton(uri, `Copy ${uri}`)));
    fill(facts,
      fact("Workers", now.replicas),
      now.memory_bytes === undefined ? null : fact("Memory", bytes(now.memory_bytes)),
      now.state === "READY" ? fact("Up", clock(now.since, elapsed)) : null,
      now.crashes > 0 ? fact("Crashes", now.crashes) : null);
    restart.hidden = view.model?.permission !== "MANAGE" || now.state !== "READY";
    why(failure, now, view);
  };
  return element;
}

const fact = (name, value) => h("div", {}, h("dt", {}, name), h("dd", {}, value));

// Built anew only when it says something else, so that an opened log stays open.
function why(element, version, view) {
  const error = version.last_error;
  element.hidden = !error;
  const said = JSON.stringify(error ?? null);
  if (!error || element.said === said) {
    return;
  }
  element.said = said;
  fill(element,
    h("p.reason", {}, error.code && h("span.code", {}, error.code), error.message),
    error.last_lines?.length > 0 && h("details", {}, h("summary", {}, "The last lines of its log"), h("pre.lines", { tabindex: 0 }, error.last_lines.join("\n"))),
    h("p.quiet", {}, error.next_try
      ? ["Tried ", plural(error.attempts, "time"), "; tried again ", clock(error.next_try)]
      : "It waits for a change: register a version that can be built, or change the settings."));
}

function nothing(model) {
  if (model.state === null) {
    return [h("h2", {}, "Not served"), h("p", {}, model.permission === "MANAGE"
      ? "Press Enable Serving: every version that is not archived is deployed in the environment that it declares."
      : "Nothing to call until somebody who manages the model enables serving.")];
  }
  return [h("h2", {}, "No version to serve"), h("p", {}, "Register a version of this model in MLflow, or take one out of Archived: it is deployed by itself.")];
}
