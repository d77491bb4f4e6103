// How states, sizes and numbers are written and shown.

import { h, set, text } from "./dom.js";

const STATES = {
  PENDING: "Pending", BUILDING: "Building", STARTING: "Starting", READY: "Ready", DRAINING: "Draining", FAILED: "Failed",
};

/// A state as a badge; null is a model that is not served. Not by colour alone: the word says it. A model that is ready and
/// of which no version answers is so with less stress.
export function badge(state) {
  const element = h("span.badge", {});
  element.update = (now, answers = true) => {
    set(element, "class", `badge ${now ? now.toLowerCase() : "off"}${answers ? "" : " hollow"}`);
    set(element, "title", now && !answers ? "Serving is on; no version answers" : null);
    text(element, now ? STATES[now] ?? now : "Not served");
  };
  element.update(state);
  return element;
}

export const isComing = (state) => state === "PENDING" || state === "BUILDING" || state === "STARTING";

/// `1.2 GB`, in units of 1024.
export function bytes(count) {
  if (count === null || count === undefined) {
    return "–";
  }
  let size = count;
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (size < 1024 || unit === "GB") {
      return `${size >= 10 || unit === "B" ? Math.round(size) : size.toFixed(1)} ${unit}`;
    }
    size /= 1024;
  }
  return "";
}

/// `0`, `0.3`, `12`, `1.2 k`.
export function count(number) {
  if (number === null || number === undefined || Number.isNaN(number)) {
    return "–";
  }
  if (number >= 10_000) {
    return `${(number / 1000).toFixed(0)} k`;
  }
  if (number >= 1000) {
    return `${(number / 1000).toFixed(1)} k`;
  }
  return number >= 10 || Number.isInteger(number) ? String(Math.round(number)) : number.toFixed(1);
}

/// A duration given in seconds, short: `4.2 ms`, `0.31 s`.
export function latency(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) {
    return "–";
  }
  if (seconds < 0.01) {
    return `${(seconds * 1000).toFixed(1)} ms`;
  }
  return seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(2)} s`;
}

/// How a label stands: the version that answers by it, and the one that shall.
export function pointing({ current, aspired }) {
  if (current === undefined || current === null) {
    return aspired === undefined || aspired === null ? "nothing" : `${aspired}, not ready yet`;
  }
  if (aspired === undefined || aspired === null) {
    return `${current}, going away`;
  }
  return aspired === current ? `${current}` : `${current} → ${aspired}`;
}

/// Whether a browser can ask for a model of this name at all: these two vanish from every address, however they are encoded.
export const isAddressable = (name) => name !== "." && name !== "..";

export const plural = (number, one, more = `${one}s`) => `${number} ${number === 1 ? one : more}`;
