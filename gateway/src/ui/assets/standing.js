// How a model stands, in one sentence: what is being waited for, who answers, or what to do next.

import { set } from "./dom.js";
import { isComing, plural } from "./words.js";

/// `words`, which are texts and links to a version's card, and, while something is waited for, `since` when.
export function status(model) {
  const { state, versions } = model;
  if (state === null) {
    const draining = versions.filter((version) => version.state === "DRAINING");
    if (draining.length > 0) {
      return { words: [`Stopping: requests in flight are finished by ${plural(draining.length, "version")}.`] };
    }
    return { words: [model.permission === "MANAGE"
      ? "Not served. Enable serving, and every version that is not archived gets its own address."
      : "Not served. Who manages this model can enable serving."] };
  }
  if (state !== "READY") {
    return { words: [sentence(model.state_reason ?? "waiting for its versions")] };
  }
  // The one that is worked on, and has been for longest, before those that wait for their turn.
  const coming = versions.filter((version) => isComing(version.state)).sort((one, other) =>
    (one.state === "PENDING") - (other.state === "PENDING") || Date.parse(one.since) - Date.parse(other.since));
  const [first] = coming;
  if (first !== undefined) {
    const others = coming.length > 1 ? `, and ${plural(coming.length - 1, "more version")}` : "";
    return { words: [`Waiting for version ${first.version}: ${first.step ?? "its turn"}${others}.`], since: first.step_since ?? first.since };
  }
  const ready = versions.filter((version) => version.state === "READY");
  const between = ready.filter((version) => version.replicas === 0 && !version.asleep);
  if (between.length > 0) {
    const which = between.length === 1 ? `Version ${between[0].version} is` : `${between.length} versions are`;
    return { words: [`${which} between workers: callers wait for the next one.`] };
  }
  const failed = versions.filter((version) => version.state === "FAILED");
  const answers = ready.length === 0 ? "No version answers." : ready.length === 1 ? "1 version answers." : `${ready.length} versions answer.`;
  if (failed.length > 0) {
    const which = failed.length === 1 ? `Version ${failed[0].version} failed` : `${failed.length} versions failed`;
    return { words: [`${answers} ${which}: `, { version: failed[0].version, title: "see why" }, "."] };
  }
  if (model.isLookedFor) {
    return { words: ["Looking for its versions in the registry …"] };
  }
  if (versions.length === 0 && model.last_updated === undefined) {
    return { words: ["The registry has no model of this name any more. Stop serving it, or register it again."] };
  }
  return { words: [versions.length === 0
    ? "No version to serve: all are archived, or none is registered yet. The next one comes up by itself."
    : answers] };
}

/// One of the words, as it is shown. A link leads to the card even where that is on the page already.
export function shown(word, page, name) {
  if (typeof word === "string") {
    return word;
  }
  const link = page.link(["models", name, "versions"], {}, word.title);
  link.addEventListener("click", (event) => {
    // The page has gone there by itself, unless another tab or window was asked for.
    const card = event.defaultPrevented ? document.getElementById(`version-${word.version}`) : null;
    if (card !== null) {
      set(card, "tabindex", -1);
      card.querySelectorAll(".failure details").forEach((one) => set(one, "open", true));
      card.scrollIntoView({ block: "nearest" });
      card.focus({ preventScroll: true });
    }
  });
  return link;
}

const sentence = (words) => (words === "" ? "" : `${words[0].toUpperCase()}${words.slice(1)}${/[.!?…]$/.test(words) ? "" : "."}`);
