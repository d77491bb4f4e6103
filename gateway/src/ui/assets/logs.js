// What builds and workers print: live, searched, followed, downloaded.

import { get, modelPath } from "./api.js";
import { fill, h, keyed, set, text } from "./dom.js";
import { logPane } from "./log-pane.js";
import { plain } from "./plain.js";
import { followLog } from "./printed.js";
import { span } from "./time.js";
import { plural } from "./words.js";

const SEARCH_AFTER = 300;
const COUNTED_AFTER = 150;
const SILENT_AFTER = 1000;
const OUTCOMES = { running: "running", succeeded: "succeeded", failed: "failed", stopped: "stopped", interrupted: "interrupted" };

export function logsTab(panel, view) {
  const version = h("select", { id: "log-version" });
  const kind = h("select", { id: "log-kind" }, h("option", { value: "worker" }, "Worker"), h("option", { value: "build" }, "Build"));
  const attempt = h("select", { id: "log-attempt" });
  const tail = h("select", { id: "log-tail" }, [1000, 10_000, 100_000].map((lines) => h("option", { value: String(lines) }, lines.toLocaleString("en"))));
  const search = h("input.search", { type: "search", placeholder: "Search the whole log", "aria-label": "Search the whole log", maxlength: 300 });
  const following = h("input", { type: "checkbox", checked: true });
  const download = h("a.button.small", { download: "" }, "Download");
  const state = h("span.trouble", { role: "status" });
  const found = h("span.quiet.small", { role: "status" });
  const newer = h("button.small.primary.newer", { type: "button", hidden: true }, "");
  const nothing = h("div.empty", { hidden: true }, h("h2", {}, "No log yet"),
    h("p", {}, "Once serving is enabled, what builds and workers print can be read here as they print it."));
  const pane = logPane((isAtEnd, unread) => {
    set(following, "checked", isAtEnd);
    newer.hidden = isAtEnd || unread === 0;
    text(newer, `↓ ${plural(unread, "new line")}`);
  });
  const tab = h("div.logs", {},
    h("div.row", {},
      choice("Version", version), choice("Log of", kind), choice("Attempt", attempt), choice("Last lines", tail), h("span.grow", {}), search),
    h("div.row.second", {}, found, state, h("span.grow", {}), h("label.check", {}, following, " Follow"), download),
    h("div.framed", {}, pane.element, newer));
  fill(panel, tab, nothing);

  let end = null;
  let counting = null;
  let searching = null;
  let current = null;
  let opened = "";
  let chosen = false;
  let left = false;

  const count = () => {
    clearTimeout(counting);
    counting = setTimeout(() => {
      const lines = pane.count();
      text(found, search.value === "" ? plural(lines, "line") : `${plural(lines, "line")} with “${search.value}”`);
    }, COUNTED_AFTER);
  };
  const open = () => {
    if (left) {
      return;
    }
    end?.();
    current = null;
    opened = version.value;
    clearTimeout(counting);
    text(found, "");
    pane.clear(version.value === "" ? "" : "Reading …", search.value);
    if (version.value === "") {
      return;
    }
    const path = modelPath(view.name, "versions", version.value, "logs");
    const query = new URLSearchParams({ kind: kind.value });
    if (attempt.value !== "") {
      query.set("attempt", attempt.value);
    }
    set(download, "href", `${path}?${query}&download=true`);
    query.set("tail", tail.value);
    query.set("follow", "true");
    if (search.value !== "") {
      query.set("contains", search.value);
    }
    // What there is comes at once when the connection stands; after that, silence means that there is nothing.
    let quiet = null;
    const silent = () => {
      pane.say(search.value === "" ? "Nothing has been printed yet. New lines appear here by themselves." : "No line has that. New ones that do appear here.");
      count();
    };
    // What has ended prints nothing any more.
    const over = () => {
      clearTimeout(quiet);
      pane.say(search.value === "" ? "Nothing was printed." : "No line has that.");
      count();
    };
    const ending = followLog(`${path}?${query}`, {
      state: (connected, refusal) => {
        text(state, connected ? "" : refusal === null ? "The connection broke off; trying again …" : "Waiting for it …");
        clearTimeout(quiet);
        if (connected) {
          quiet = setTimeout(silent, SILENT_AFTER);
        } else if (refusal !== null) {
          pane.say(refusal.message);
        }
      },
      line: (line, isWhole) => {
        pane.add({ text: plain(line).replaceAll("\t", "    "), kind: "line", isWhole });
        count();
      },
      attempt: (about) => {
        // After a new connection the same one is announced again.
        if (about.attempt !== current) {
          current = about.attempt;
          if (attempt.value === "" && search.value === "") {
            pane.add({ text: `Attempt ${about.attempt} · ${new Date(about.started).toLocaleString()}`, kind: "mark" });
          }
          if (about.begins) {
            listAttempts();
          }
        }
      },
      over,
      lost: (about) => pane.add({ text: `${about.bytes.toLocaleString("en")} bytes of attempt ${about.attempt} are not kept any more`, kind: "mark" }),
    });
    end = () => {
      clearTimeout(quiet);
      ending();
    };
  };

  const listAttempts = async () => {
    if (version.value === "" || left) {
      return;
    }
    const asked = `${version.value} ${kind.value}`;
    const answer = await get(modelPath(view.name, "versions", version.value, "logs", "attempts"), { kind: kind.value }).catch(() => null);
    if (left || answer === null || asked !== `${version.value} ${kind.value}`) {
      return;
    }
    if (answer.attempts.length === 0 && kind.value === "worker" && !chosen) {
      // No worker was ever started: what there is to read is the build's.
      kind.value = "build";
      fresh();
      return;
    }
    const newest = answer.attempts.toReversed();
    keyed(attempt, [{ attempt: "" }, ...newest], (one) => one.attempt, (one) => {
      const option = h("option", { value: String(one.attempt) });
      option.update = (now) => text(option, now.attempt === "" ? "All" : described(now));
      return option;
    });
  };
  const fresh = () => {
    attempt.value = "";
    listAttempts();
    open();
  };

  let states = "";
  let begins = true;
  const keep = () => view.keep({ version: version.value, kind: chosen ? kind.value : "" });
  view.onModel((model) => {
    // What was asked for before may come after somebody has gone.
    if (left) {
      return;
    }
    tab.hidden = model.versions.length === 0;
    nothing.hidden = model.versions.length > 0;
    keyed(version, model.versions, (one) => one.version, (one) => {
      const option = h("option", { value: String(one.version) });
      option.update = (now) => text(option, `${now.version}${now.state === "READY" ? "" : ` (${now.state.toLowerCase()})`}`);
      return option;
    });
    const asked = view.asked().get("version");
    if (asked !== version.value && model.versions.some((one) => String(one.version) === asked)) {
      version.value = asked;
    }
    if (begins && model.versions.length > 0) {
      begins = false;
      const kindAsked = view.asked().get("kind");
      chosen = kindAsked === "worker" || kindAsked === "build";
      kind.value = chosen ? kindAsked : kind.value;
      if (asked === version.value) {
        keep();
      }
    }
    if (version.value !== opened || end === null) {
      fresh();
    }
    const now = model.versions.map((one) => one.state).join();
    if (now !== states) {
      states = now;
      listAttempts();
    }
  });
  version.addEventListener("change", () => {
    keep();
    fresh();
  });
  kind.addEventListener("change", () => {
    chosen = true;
    keep();
    fresh();
  });
  attempt.addEventListener("change", open);
  tail.addEventListener("change", open);
  search.addEventListener("input", () => {
    clearTimeout(searching);
    searching = setTimeout(open, SEARCH_AFTER);
  });
  following.addEventListener("change", () => (following.checked ? pane.toEnd() : pane.stay()));
  newer.addEventListener("click", () => {
    pane.toEnd();
    pane.element.focus();
  });
  return () => {
    left = true;
    end?.();
    clearTimeout(counting);
    clearTimeout(searching);
  };
}

const choice = (name, select) => h("label.choice", {}, h("span", {}, name), select);

function described(attempt) {
  const end = attempt.ended === undefined ? Date.now() : Date.parse(attempt.ended);
  return `${attempt.attempt} – ${OUTCOMES[attempt.outcome] ?? attempt.outcome}, ${span((end - Date.parse(attempt.started)) / 1000)}`;
}
