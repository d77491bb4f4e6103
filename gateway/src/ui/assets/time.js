// Times: relative for people, absolute on hover, kept fresh by one ticking clock.

import { h, text } from "./dom.js";

const UNITS = [["day", 86_400], ["hour", 3600], ["minute", 60]];
const words = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });
const absolute = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

/// `3 min. ago`, of a text in RFC 3339.
export function relative(at) {
  const seconds = (Date.parse(at) - Date.now()) / 1000;
  for (const [unit, length] of UNITS) {
    if (Math.abs(seconds) >= length) {
      return words.format(Math.round(seconds / length), unit);
    }
  }
  return Math.abs(seconds) < 5 ? "now" : words.format(Math.round(seconds), "second");
}

/// How long something has taken since `at`: `12 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`.
export function elapsed(at) {
  return span((Date.now() - Date.parse(at)) / 1000);
}

export function span(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) {
    return `${whole} s`;
  }
  if (whole < 3600) {
    return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  }
  if (whole < 86_400) {
    return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  }
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`;
}

const ticking = new Set();

/// An element whose text follows the clock. `show` is `relative` or `elapsed`.
export function clock(at, show = relative) {
  const element = h("time", {});
  element.update = (now) => {
    element.at = now;
    element.setAttribute("datetime", now);
    element.title = absolute.format(new Date(now));
    text(element, show(now));
  };
  element.show = show;
  element.update(at);
  ticking.add(new WeakRef(element));
  return element;
}

setInterval(() => {
  for (const reference of ticking) {
    const element = reference.deref();
    if (element === undefined) {
      ticking.delete(reference);
    } else if (element.isConnected) {
      text(element, element.show(element.at));
    }
  }
}, 1000);
