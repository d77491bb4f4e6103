// Follows a stream of server-sent events for as long as somebody looks, over dropped connections and restarts of the gateway.

import { get } from "./api.js";

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 3_000;
/// How long a hidden page keeps its streams: a browser has only six connections to one origin for all of its tabs.
const HIDDEN_PAUSE = 20_000;
/// A stream that has said nothing for this long, in milliseconds, leads nowhere any more: the gateway sends a heartbeat every 15 s.
const SILENCE = 45_000;

/// Whether this gateway's heartbeats can be heard at all.
let isBeating = false;

/// Follows `path`. `handlers` are called by the name of the event with its data, parsed; `state(connected)` tells people.
/// Returns a function that ends it.
export function follow(path, handlers, state = () => {}) {
  let source = null;
  let last = null;
  let pause = FIRST_PAUSE;
  let timer = null;
  let resting = null;
  let ended = false;

  // Each opening makes the one that is still being prepared void.
  let turn = 0;
  let silence = null;

  const close = () => {
    turn += 1;
    clearTimeout(timer);
    clearTimeout(silence);
    source?.close();
    source = null;
  };
  const heard = () => {
    clearTimeout(silence);
    silence = isBeating ? setTimeout(renew, SILENCE) : null;
  };
  const open = () => {
    close();
    const address = new URL(path, location.origin);
    if (last !== null) {
      address.searchParams.set("last_event_id", last);
    }
    source = new EventSource(address);
    heard();
    source.onopen = () => {
      pause = FIRST_PAUSE;
      heard();
      state(true);
    };
    source.onerror = () => {
      if (ended) {
        return;
      }
      // The browser's own second try keeps silent about why, and gives up for good on an answer that is no stream.
      state(false);
      close();
      timer = setTimeout(again, pause * (0.75 + Math.random() / 2));
      pause = Math.min(pause * 2, LONGEST_PAUSE);
    };
    source.addEventListener("heartbeat", () => {
      isBeating = true;
      heard();
    });
    for (const [name, handler] of Object.entries(handlers)) {
      source.addEventListener(name, (message) => {
        heard();
        if (message.lastEventId !== "") {
          last = message.lastEventId;
        }
        handler(parsed(message.data), message.lastEventId);
      });
    }
  };
  // A stream cannot say why it was refused. A call can, and one that finds the session over says so to the page.
  const again = async () => {
    close();
    const own = turn;
    try {
      await get("/api/v1/session");
    } catch (refusal) {
      if (refusal.status === 401) {
        return;
      }
    }
    if (!ended && own === turn) {
      open();
    }
  };
  // After another network or a sleep, an old connection may look open and never speak again.
  const renew = () => {
    if (!document.hidden || source !== null) {
      state(false);
      again();
    }
  };
  const looked = () => {
    clearTimeout(resting);
    if (document.hidden) {
      resting = setTimeout(close, HIDDEN_PAUSE);
    } else if (source === null) {
      again();
    }
  };
  // A page that is kept for the way back would keep its connection too, and six such pages leave none for any other.
  const left = () => {
    clearTimeout(resting);
    close();
  };
  const returned = (event) => event.persisted && renew();

  const listeners = [[document, "visibilitychange", looked], [window, "online", renew], [window, "pagehide", left], [window, "pageshow", returned]];
  listeners.forEach(([target, name, listener]) => target.addEventListener(name, listener));
  open();
  return () => {
    ended = true;
    clearTimeout(resting);
    listeners.forEach(([target, name, listener]) => target.removeEventListener(name, listener));
    close();
  };
}

function parsed(data) {
  try {
    return JSON.parse(data);
  } catch {
    return data;
  }
}
