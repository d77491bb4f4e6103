// The answer to a request that was sent by hand: exactly what a client gets, and what it means.

import { copyButton, fill, h, text } from "./dom.js";
import { Mistake, parse, pretty } from "./json.js";
import { span } from "./time.js";
import { bytes } from "./words.js";

/// Characters that are shown; the rest is in the file.
const SHOWN = 100_000;

/// What a person can do about a status, where the answer's own words do not say it.
const MEANINGS = {
  400: "The model could not make anything of this input.",
  401: "Your session has ended. Sign in again.",
  403: "You may not score this model.",
  404: "Nothing answers under this version or label, for the reason below.",
  413: "The body is larger than the gateway takes.",
  415: "The model does not take this content type.",
  429: "More requests wait for this version than its settings allow.",
  500: "The model failed on this input; its log has the details.",
  502: "The worker broke off while it answered; the Events tab tells of a crash.",
  503: "No worker of this version can answer at present.",
  504: "The answer took longer than the timeout in the settings.",
};

/// The same, for what the gateway expects to be otherwise soon.
const MEANINGS_FOR_NOW = {
  404: (pause) => `This version cannot answer yet. Send the request again in ${pause}; the Versions tab tells how far it is.`,
  429: (pause) => `More requests wait for this version than its settings allow. Send this one again in ${pause}.`,
  503: (pause) => `No worker of this version can answer at present. Send the request again in ${pause}.`,
};

/// Of these, the worker's log may say more.
const LOGGED = new Set([400, 500, 502, 503, 504]);

/// Takes the answer out of `place`, and the file that could be saved of it out of memory.
export function dropAnswer(place) {
  URL.revokeObjectURL(place.saved);
  place.saved = undefined;
  fill(place);
}

/// `result` is what `score` gave; `openLog` shows the log of a version.
export async function showAnswer(place, result, openLog) {
  const good = result.status >= 200 && result.status < 300;
  const whole = result.body.size <= SHOWN * 4;
  const read = await result.body.slice(0, SHOWN * 4).text();
  const cut = !whole || read.length > SHOWN;
  const shown = cut ? read.slice(0, SHOWN) : read;
  const error = good || cut ? null : object(read);
  const code = typeof error?.get("error_code") === "string" ? error.get("error_code") : null;
  const message = typeof error?.get("message") === "string" ? error.get("message") : null;
  const body = h("pre.lines.body", { tabindex: 0, role: "region", "aria-label": "Body of the answer" }, shown);
  dropAnswer(place);
  // Of no type: a model decides what it answers, and as a page it would be one of this origin.
  place.saved = URL.createObjectURL(new Blob([result.body], { type: "application/octet-stream" }));
  fill(place,
    h("p.result", { role: "status" },
      h(good ? "span.badge.ready" : "span.badge.failed", {}, `${result.status}${good ? " OK" : ""}`),
      h("span.took", {}, `${duration(result.took)}`),
      result.version && h("span", {}, "from ", h("strong.served", {}, `version ${result.version}`))),
    !good && h("div.failure", {},
      h("p", {}, code && h("span.code", {}, code), " ", meaning(result)),
      message && h("p.message", {}, message),
      result.retry && h("p", {}, "Retry-After: ", h("strong", {}, `${result.retry} s`)),
      result.version && LOGGED.has(result.status) && h("p", {}, h("button.small", { type: "button", onclick: () => openLog(result.version) }, `Log of version ${result.version}`))),
    body,
    cut && h("p.quiet.small", {}, `The first ${SHOWN.toLocaleString("en")} characters of ${bytes(result.body.size)}; save it to see the rest.`),
    h("p.foot", {},
      h("span.quiet.small", {}, [result.type, bytes(result.body.size)].filter(Boolean).join(" · ")),
      h("span.grow", {}),
      formatButton(body, shown, cut),
      copyButton(shown, "Copy the answer"),
      h("a.button.small", { href: place.saved, download: result.type.includes("json") ? "answer.json" : "answer.txt" }, "Save")),
    result.request && h("p.quiet.small", {}, "Request id ", h("code", {}, result.request)));
}

function meaning({ status, retry, version }) {
  if (status === 404 && version) {
    return "The model itself answers this.";
  }
  const pause = /^\d+$/.test(retry ?? "") ? span(Number(retry)) : null;
  return (pause !== null && MEANINGS_FOR_NOW[status]?.(pause)) || (MEANINGS[status] ?? "The request was refused.");
}

// A client gets the letters as they are; a person may want them in order.
function formatButton(body, raw, cut) {
  const value = cut ? undefined : read(raw);
  const formatted = value === undefined ? raw : pretty(value);
  if (formatted === raw || raw.length < 60) {
    return null;
  }
  const button = h("button.small", { type: "button", "aria-pressed": "false" }, "Format");
  button.addEventListener("click", () => {
    const pressed = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(pressed));
    text(body, pressed ? formatted : raw);
  });
  return button;
}

function read(body) {
  try {
    return parse(body);
  } catch (mistake) {
    if (mistake instanceof Mistake) {
      return undefined;
    }
    throw mistake;
  }
}

const object = (body) => {
  const value = read(body);
  return value instanceof Map ? value : null;
};

const duration = (milliseconds) => (milliseconds < 9_950 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`);
