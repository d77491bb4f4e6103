// Shows very many lines with few elements: only those near what is looked at exist.

import { fill, h, text } from "./dom.js";

/// Lines that are kept here; older ones are in the download.
const KEPT = 100_000;
/// Letters of a line that are shown.
const WIDEST = 4000;
/// Lines beyond the edges that exist as well.
const BEYOND = 40;

/// `element` with `add(line)`, `clear(words, search)`, `say(words)` while there is no line, `toEnd()`, `stay()` and `count()`;
/// `onReading(isAtEnd, unread)` hears where somebody reads.
export function logPane(onReading) {
  const before = h("div", {});
  const rows = h("div.rows", {});
  const after = h("div", {});
  const message = h("p.quiet", {});
  const probe = h("span.probe", { "aria-hidden": "true" }, "0".repeat(100));
  const element = h("div.log", { tabindex: 0, role: "region", "aria-label": "Log" }, message, before, rows, after, probe);

  let lines = [];
  let tops = [0];
  let columns = 80;
  let height = 18;
  let isAtEnd = true;
  let unread = 0;
  let searched = "";
  let shown = [0, 0];
  let planned = false;

  const rowsOf = (line) => Math.max(1, Math.ceil(Math.min(line.text.length, WIDEST) / columns));
  const measure = () => {
    const box = probe.getBoundingClientRect();
    const style = getComputedStyle(element);
    const inside = element.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    const fits = Math.max(10, Math.floor(inside / (box.width / 100)));
    if (box.width > 0 && (fits !== columns || box.height !== height)) {
      columns = fits;
      height = box.height;
      place(0);
    }
  };
  /// The tops of lines, in rows, from line `first` on.
  const place = (first) => {
    tops.length = first + 1;
    for (let at = first; at < lines.length; at += 1) {
      tops.push(tops[at] + rowsOf(lines[at]));
    }
  };
  const lineAt = (row) => {
    let low = 0;
    let high = lines.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (tops[middle + 1] <= row) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  };

  const draw = () => {
    planned = false;
    if (!element.isConnected) {
      return;
    }
    measure();
    const visible = element.clientHeight / height;
    const top = isAtEnd ? Math.max(0, tops[lines.length] - visible) : element.scrollTop / height;
    const first = Math.max(0, lineAt(top) - BEYOND);
    const last = Math.min(lines.length, lineAt(top + visible) + 1 + BEYOND);
    before.style.height = `${tops[first] * height}px`;
    after.style.height = `${(tops[lines.length] - tops[last]) * height}px`;
    if (first !== shown[0] || last !== shown[1] || lines[last - 1]?.fresh) {
      const known = new Map([...rows.children].map((row) => [row.line, row]));
      const wanted = lines.slice(first, last).map((line) => (line.fresh ? null : known.get(line)) ?? row(line, searched));
      rows.replaceChildren(...wanted);
      shown = [first, last];
    }
    if (isAtEnd) {
      element.scrollTop = element.scrollHeight;
    }
  };
  const soon = () => {
    if (!planned) {
      planned = true;
      requestAnimationFrame(draw);
    }
  };
  const reading = (now) => {
    isAtEnd = now;
    unread = now ? 0 : unread;
    onReading(isAtEnd, unread);
  };
  element.addEventListener("scroll", () => {
    const now = element.scrollTop + element.clientHeight >= element.scrollHeight - height;
    if (now !== isAtEnd) {
      reading(now);
    }
    soon();
  }, { passive: true });
  new ResizeObserver(soon).observe(element);

  return {
    element,
    /// `{ text, kind, isWhole }`; a line that is not whole is gone on with by the next one.
    add(line) {
      const last = lines.at(-1);
      if (last !== undefined && last.isWhole === false && line.kind === "line") {
        // Beyond what is shown only the length counts.
        last.cut += Math.max(0, last.text.length + line.text.length - WIDEST);
        last.text = (last.text + line.text).slice(0, WIDEST);
        last.isWhole = line.isWhole;
        last.fresh = true;
        place(lines.length - 1);
      } else {
        lines.push({ ...line, text: line.text.slice(0, WIDEST), cut: Math.max(0, line.text.length - WIDEST), fresh: false });
        tops.push(tops[lines.length - 1] + rowsOf(lines.at(-1)));
      }
      if (lines.length > KEPT * 1.1) {
        lines = lines.slice(-KEPT);
        place(0);
        shown = [0, 0];
      }
      message.hidden = true;
      if (!isAtEnd) {
        unread += 1;
        onReading(isAtEnd, unread);
      }
      soon();
    },
    clear(words, search = "") {
      lines = [];
      tops = [0];
      shown = [0, 0];
      searched = search.toLowerCase();
      rows.replaceChildren();
      text(message, words);
      message.hidden = false;
      reading(true);
      soon();
    },
    say(words) {
      text(message, words);
      message.hidden = lines.length > 0 || words === "";
    },
    toEnd() {
      reading(true);
      soon();
    },
    stay: () => reading(false),
    count: () => lines.length,
  };
}

function row(line, searched) {
  const element = h(`div.line${line.kind === "line" ? "" : ".mark"}`, {});
  element.line = line;
  line.fresh = false;
  fill(element, marked(line.text, searched), line.cut > 0 && h("span.quiet", {}, ` … and ${line.cut.toLocaleString("en")} more letters`));
  return element;
}

function marked(shown, searched) {
  const parts = [];
  const lower = shown.toLowerCase();
  let at = 0;
  // Letters whose lower case is longer would shift all that follows.
  while (searched !== "" && lower.length === shown.length) {
    const found = lower.indexOf(searched, at);
    if (found < 0) {
      break;
    }
    parts.push(shown.slice(at, found), h("mark", {}, shown.slice(found, found + searched.length)));
    at = found + searched.length;
  }
  return [...parts, shown.slice(at)];
}
