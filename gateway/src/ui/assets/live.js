// Follows a stream of server-sent events for as long as somebody looks, over dropped connections and restarts of the gateway.

import { get } from "./api.js";

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 3_000;
/// How long a hidden page keeps its streams: a browser has only six connections to one origin for all of its tabs.
const HIDDEN_PAUSE = 20_000;

/// Follows `path`. `handlers` are called by the name of the event with its data, parsed; `state(connected)` tells people.
/// Returns a function that ends it.
export function follow(path, handlers, state = () => {}) {
  let source = null;
  let last = null;
  let pause = FIRST_PAUSE;
  let timer = null;
  let resting = null;
  let ended = false;

  const close = () => {
    source?.close();
    source = null;
  };
  const open = () => {
    clearTimeout(timer);
    close();
    const address = new URL(path, location.origin);
    if (last !== null) {
      address.searchParams.set("last_event_id", last);
    }
    source = new EventSource(address);
    source.onopen = () => {
      pause = FIRST_PAUSE;
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
    for (const [name, handler] of Object.entries(handlers)) {
      source.addEventListener(name, (message) => {
        if (message.lastEventId !== "") {
          last = message.lastEventId;
        }
        handler(parsed(message.data), message.lastEventId);
      });
    }
  };
  // A stream cannot say why it was refused. A call can, and one that finds the session over says so to the page.
  const again = async () => {
    try {
      await get("/api/v1/session");
    } catch (refusal) {
      if (refusal.status === 401) {
        return;
      }
    }
    if (!ended) {
      open();
    }
  };
  const looked = () => {
    clearTimeout(resting);
    if (document.hidden) {
      resting = setTimeout(() => { clearTimeout(timer); close(); }, HIDDEN_PAUSE);
    } else if (source === null) {
      open();
    }
  };
  // After another network or a sleep, an old connection may look open and never speak again.
  const online = () => { state(false); open(); };

  document.addEventListener("visibilitychange", looked);
  addEventListener("online", online);
  open();
  return () => {
    ended = true;
    clearTimeout(timer);
    clearTimeout(resting);
    document.removeEventListener("visibilitychange", looked);
    removeEventListener("online", online);
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
