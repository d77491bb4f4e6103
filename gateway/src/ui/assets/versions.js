// The versions of a model: state, step, labels, URIs, workers, and why one failed.

import { modelPath, post } from "./api.js";
import { copyButton, h, fill, keyed, refill, set, text, toast } from "./dom.js";
import { clock, elapsed } from "./time.js";
import { plain } from "./plain.js";
import { badge, bytes, count, isComing, plural } from "./words.js";

/// The way of a version, and how it is told.
const WAY = [["PENDING", "Wait"], ["BUILDING", "Build"], ["STARTING", "Start"], ["READY", "Answer"]];

export function versionsTab(panel, view) {
  const list = h("div.versions", {});
  const empty = h("div.empty", { hidden: true });
  const labels = h("dl.pointers", {});
  const heading = h("h2.away", {}, "Stages and aliases");
  fill(panel, heading, labels, list, empty);
  view.onModel((model) => {
    keyed(labels, model.labels, (label) => label.label, pointer);
    labels.hidden = heading.hidden = model.labels.length === 0;
    keyed(list, model.versions, (version) => version.version, (version) => card(version, view));
    empty.hidden = model.versions.length > 0;
    refill(empty, [model.state, model.permission, model.isLookedFor], () => nothing(model));
  });
}

function pointer({ label }) {
  const target = h("span.target", {});
  const uri = h("code.uri", {});
  const reason = h("span.quiet.small", {});
  const copying = copyButton(() => uri.textContent, `Copy the URI of ${label}`);
  const element = h("div.pointer", {}, h("dt", {}, label), h("dd", {}, target, reason), h("dd.address", {}, uri, copying));
  let means;
  element.update = (now) => {
    const [current, aspired] = [now.current ?? null, now.aspired ?? null];
    text(target, current === null
      ? aspired === null ? "no version" : `version ${aspired}, ${now.reason ? "not served:" : "not ready yet"}`
      : current === aspired ? `version ${current}` : `version ${current}${aspired === null ? ", going away" : `, moving to ${aspired}`}`);
    text(reason, now.reason ? ` ${now.reason}` : "");
    set(target, "class", current === aspired ? "target" : "target moving");
    set(target, "title", current !== null && aspired !== null && current !== aspired ? `As soon as version ${aspired} is ready; until then version ${current} answers` : null);
    text(uri, now.uri);
    if (means !== undefined && means !== current) {
      element.classList.remove("moved");
      // Read, so that the mark is put anew.
      void element.offsetWidth;
      element.classList.add("moved");
    }
    means = current;
  };
  return element;
}

function card(version, view) {
  const number = version.version;
  const state = badge(version.state);
  const marks = h("span.marks", {});
  const line = h("div.now", {});
  const uris = h("ul.uris", {});
  const failure = h("div.failure", { hidden: true });
  const each = h("ul.each", {});
  const workers = h("details.workers", { hidden: true }, h("summary", {}, "Each worker"), each);
  const restart = h("button.small", { type: "button" });
  let told = version.state;
  restart.addEventListener("click", async () => {
    const isFailed = told === "FAILED";
    restart.disabled = true;
    try {
      await post(modelPath(view.name, "versions", String(number), "restart"));
      toast(isFailed ? `Version ${number} is tried again.` : `New workers for version ${number} take over, without a failed request.`);
    } catch (refusal) {
      toast(refusal.message, "bad");
    }
    restart.disabled = false;
    (restart.hidden ? logs : restart).focus();
  });
  const logs = view.link("logs", { version: number }, { class: "button small", "aria-label": `Logs of version ${number}` }, "Logs");
  const call = view.link("call", { reference: number }, { class: "button small", "aria-label": `Call it: version ${number}` }, "Call it");
  const mlflow = view.inMlflow(`version ${number}`, "versions", String(number));
  const element = h("article.version", { id: `version-${number}`, tabindex: -1, "aria-label": `Version ${number}` },
    h("header", {}, h("h2", {}, `Version ${number}`), state, marks, h("span.grow", {}), h("span.actions", {}, mlflow, call, logs, restart)),
    line, failure, uris, workers);

  element.update = (now) => {
    told = now.state;
    state.update(now.state);
    keyed(marks, [...(now.stage ? [now.stage] : []), ...now.aliases.map((alias) => `@${alias}`)], (mark) => mark, (mark) => h("span.tag", {}, mark));
    const up = since(now);
    refill(line, [now.state, now.step, now.step_since, now.renewing, now.replicas, now.asleep, now.memory_bytes, now.batching, now.crashes, up], () => standing(now, up, view));
    // The number's own: those of its labels are told above, with what they mean.
    keyed(uris, now.uris.slice(0, 1), (uri) => uri, (uri) => h("li.address", {}, h("code.uri", {}, uri), copyButton(uri, `Copy ${uri}`)));
    const detail = now.replicas_detail ?? [];
    workers.hidden = detail.length < 2;
    keyed(each, detail, (one) => `${one.replica} ${one.process_id} ${one.since}`, worker);
    const manages = view.model?.permission === "MANAGE";
    const isFailed = now.state === "FAILED";
    const isLost = document.activeElement === restart;
    restart.hidden = !manages || (now.state !== "READY" && !isFailed);
    text(restart, isFailed ? "Try again" : "Restart");
    set(restart, "aria-label", isFailed ? `Try again with version ${number}` : `Restart version ${number}`);
    set(restart, "title", isFailed ? "Build and start it once more, as it is" : "New workers take over, without a failed request");
    if (isLost && restart.hidden) {
      logs.focus();
    }
    call.hidden = now.state !== "READY";
    const error = now.last_error ?? now.last_renewal_failure;
    failure.hidden = !error;
    refill(failure, [error, now.state, manages], () => (error ? why(error, now.state, manages) : []));
  };
  return element;
}

// One line in every state, so that nothing moves when the state does.
function standing(version, up, view) {
  const crashes = version.crashes > 0 && h("span.fact", {}, view.page.link(["models", view.name, "events"], {}, `Crashes ${version.crashes}`));
  if (isComing(version.state)) {
    const place = WAY.findIndex(([state]) => state === version.state);
    return [
      h("ol.way", { "aria-label": "Steps" }, WAY.map(([, title], step) =>
        h(step < place ? "li.done" : step === place ? "li.here" : "li", { "aria-current": step === place ? "step" : null }, title))),
      doing(h("span", { role: "status" }, version.step ?? "waiting for its turn"), version.step_since ?? version.since)];
  }
  if (version.state === "FAILED") {
    return [fact("Failed", clock(version.since)), crashes];
  }
  if (version.state === "DRAINING") {
    return [doing("finishing requests in flight", version.since)];
  }
  return [
    fact("Workers", version.asleep ? "0, asleep until somebody calls" : version.replicas),
    version.memory_bytes === undefined ? null : fact("Memory", bytes(version.memory_bytes)),
    version.batching && fact("Batching", shared(version.batching)),
    version.replicas > 0 && fact("Up", clock(up, elapsed)),
    crashes,
    version.renewing && h("span.renewing", { role: "status" }, h("span.spinner", { "aria-hidden": "true" }), version.replicas === 0 ? "its worker comes up again" : "new workers come up beside the present ones")];
}

// Whether requests share calls of its workers, how far that goes, or why not.
function shared({ on, reason, mean_rows: rows }) {
  if (on) {
    return rows === undefined ? "on" : `on · ${count(rows)} ${rows === 1 ? "row" : "rows"} a call`;
  }
  return reason === undefined ? "off" : `off: ${reason}`;
}

// For how long it has answered without a break: since it became ready, or since its oldest worker came up after that.
function since(version) {
  const starts = (version.replicas_detail ?? []).map((one) => one.since).sort((one, other) => Date.parse(one) - Date.parse(other));
  return starts.length > 0 && Date.parse(starts[0]) > Date.parse(version.since) ? starts[0] : version.since;
}

const doing = (what, at) => h("span.doing", {}, h("span.spinner", { "aria-hidden": "true" }), what, " ", h("span.quiet", {}, clock(at, elapsed)));

const fact = (name, value) => h("span.fact", {}, h("span.quiet", {}, `${name} `), value);

function worker(one) {
  const memory = h("span", {});
  const element = h("li", {},
    h("span", {}, `Worker ${one.replica}`), h("span.quiet", {}, `process ${one.process_id}`), memory,
    h("span", {}, h("span.quiet", {}, "up "), clock(one.since, elapsed)));
  element.update = (now) => text(memory, bytes(now.memory_bytes));
  return element;
}

function why(error, state, manages) {
  return [
    state !== "FAILED" && h("p.quiet", {}, "The last try to replace its workers failed; the present ones go on."),
    h("p.reason", {}, error.message),
    error.code && h("p.code", {}, error.code),
    error.last_lines?.length > 0 && h("details", {}, h("summary", {}, "The last lines of its log"), h("pre.lines", { tabindex: 0 }, plain(error.last_lines.join("\n")))),
    state === "FAILED" && h("p.then", {}, error.next_try
      ? ["Tried ", plural(error.attempts, "time"), ", and once more ", clock(error.next_try), manages && "; or try again now", "."]
      : `It waits for a change: register a version that can be served, or change the settings${manages ? ", or try again" : ""}.`)];
}

function nothing(model) {
  if (model.state === null) {
    return [h("h2", {}, "No versions yet"), h("p", {}, model.permission === "MANAGE"
      ? "Press Enable Serving: every version that is not archived is deployed in the environment that it declares."
      : "Nothing to call until somebody who manages the model enables serving.")];
  }
  if (model.isLookedFor) {
    return [h("p", {}, h("span.spinner", { "aria-hidden": "true" }), "Each version that is not archived appears here, with what is being done for it.")];
  }
  return [h("h2", {}, "No version to serve"), h("p", {}, "Register a version of this model in MLflow, or take one out of Archived: it is deployed by itself.")];
}
