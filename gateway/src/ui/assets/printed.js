// Follows a log: a stream of events that is asked for again where it broke off, so that no line is missed or comes twice.

import { Refusal } from "./api.js";

const FROM_PAGE = { "X-Sluicegate-Page": "1" };
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 8_000;
/// How long a hidden page keeps its stream: a browser has only six connections to one origin for all of its tabs.
const HIDDEN_PAUSE = 20_000;
/// A stream says something every fifteen seconds at least. One that is silent for longer than this, in milliseconds, is dead, however open
/// it looks: after a sleep or in another network nobody tells the browser so.
const SILENCE = 45_000;

/// Whether the page was left, and is kept for the way back.
let isLeft = false;
addEventListener("pagehide", () => { isLeft = true; });
addEventListener("pageshow", () => { isLeft = false; });

/// Follows `path`. `on` has `line(text, isWhole)`, `attempt(about)`, `lost(about)`, `state(connected, refusal)`.
/// Where nothing follows any more, `over()` is called. Returns a function that ends it.
export function followLog(path, on) {
  const ending = new AbortController();
  run(path, on, ending.signal);
  return () => ending.abort();
}

// A browser's own event source cannot say where it was after a new start, nor why it was refused.
async function run(path, on, signal) {
  let last = null;
  let pause = FIRST_PAUSE;
  while (!signal.aborted) {
    await looked(signal);
    if (signal.aborted) {
      return;
    }
    const resting = new AbortController();
    const unwatch = whenHidden(() => resting.abort());
    const dead = new AbortController();
    let silence = null;
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(() => dead.abort(), SILENCE);
    };
    try {
      heard();
      const answer = await fetch(path, {
        signal: AbortSignal.any([signal, resting.signal, dead.signal]),
        headers: { ...FROM_PAGE, Accept: "text/event-stream", ...(last === null ? {} : { "Last-Event-ID": last }) },
      });
      if (!answer.ok) {
        const told = await answer.json().catch(() => ({}));
        throw new Refusal(answer.status, told.error_code ?? "", told.message ?? `The gateway answered ${answer.status}.`);
      }
      on.state(true, null);
      let isOver = false;
      await records(answer.body, heard, ({ id, event, data }) => {
        pause = FIRST_PAUSE;
        if (id !== null) {
          last = id;
        }
        if (event === "attempt" || event === "lost") {
          on[event](JSON.parse(data));
        } else if (event === "message" || event === "part") {
          on.line(data, event === "message");
        } else if (event === "end") {
          isOver = true;
        }
      });
      if (isOver) {
        on.over();
        return;
      }
      on.state(false, null);
    } catch (error) {
      if (signal.aborted) {
        return;
      }
      if (resting.signal.aborted) {
        continue;
      }
      on.state(false, error instanceof Refusal ? error : null);
    } finally {
      clearTimeout(silence);
      unwatch();
    }
    await sleep(pause, signal);
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  }
}

/// Calls `rest` once the page has been hidden for a while, or is left and kept for the way back. Returns a function that ends it.
function whenHidden(rest) {
  let timer = null;
  const changed = () => {
    clearTimeout(timer);
    timer = document.hidden ? setTimeout(rest, HIDDEN_PAUSE) : null;
  };
  document.addEventListener("visibilitychange", changed);
  addEventListener("pagehide", rest);
  changed();
  return () => {
    clearTimeout(timer);
    removeEventListener("pagehide", rest);
    document.removeEventListener("visibilitychange", changed);
  };
}

/// Resolves when somebody can see the page, or nobody wants to any more.
function looked(signal) {
  return new Promise((resolve) => {
    const done = () => {
      if ((!document.hidden && !isLeft) || signal.aborted) {
        document.removeEventListener("visibilitychange", done);
        removeEventListener("pageshow", done);
        signal.removeEventListener("abort", done);
        resolve();
      }
    };
    document.addEventListener("visibilitychange", done);
    addEventListener("pageshow", done);
    signal.addEventListener("abort", done);
    done();
  });
}

/// Calls `take` with each record of a stream, as a browser's event source would, and `heard` at whatever comes.
async function records(body, heard, take) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) {
      return;
    }
    heard();
    const pieces = (rest + value).split("\n\n");
    rest = pieces.pop();
    pieces.forEach((piece) => record(piece, take));
  }
}

function record(piece, take) {
  let id = null;
  let event = "message";
  const data = [];
  for (const line of piece.split("\n")) {
    const colon = line.indexOf(":");
    const name = line.slice(0, colon);
    const value = line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (name === "id") {
      id = value;
    } else if (name === "event") {
      event = value;
    } else if (name === "data") {
      data.push(value);
    }
  }
  if (data.length > 0) {
    take({ id, event, data: data.join("\n") });
  }
}

function sleep(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    }, { once: true });
  });
}
