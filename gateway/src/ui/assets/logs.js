// What builds and workers print: live, searched, followed, downloaded.

import { getText, modelPath } from "./api.js";
import { fill, h, keyed, set, text } from "./dom.js";
import { follow } from "./live.js";

/// Lines that are kept here; the rest is in the download.
const KEPT = 5000;

export function logsTab(panel, view) {
  const version = h("select", { id: "log-version" });
  const kind = h("select", { id: "log-kind" }, h("option", { value: "worker" }, "Worker"), h("option", { value: "build" }, "Build"));
  const search = h("input.search", { type: "search", placeholder: "Search in these lines", "aria-label": "Search in these lines" });
  const following = h("input", { type: "checkbox", checked: true });
  const download = h("a.button.small", { download: "" }, "Download");
  const found = h("span.quiet", { role: "status" });
  const pane = h("pre.log", { tabindex: 0, "aria-label": "Log" });
  fill(panel,
    h("div.row", {}, h("label", { for: "log-version" }, "Version"), version, h("label", { for: "log-kind" }, "Log of"), kind, search, found,
      h("span.grow", {}), h("label.check", {}, following, " Follow"), download),
    pane);

  let lines = [];
  let end = null;
  let drawn = false;
  const draw = () => {
    drawn = false;
    const wanted = search.value.toLowerCase();
    const shown = wanted === "" ? lines : lines.filter((line) => line.toLowerCase().includes(wanted));
    text(pane, shown.length > 0 ? `${shown.join("\n")}\n` : wanted === "" ? "Nothing has been printed yet." : "No line has that.");
    text(found, wanted === "" ? "" : `${shown.length} of ${lines.length} lines`);
    if (following.checked) {
      pane.scrollTop = pane.scrollHeight;
    }
  };
  const soon = () => {
    if (!drawn) {
      drawn = true;
      requestAnimationFrame(draw);
    }
  };
  const add = (line) => {
    lines.push(typeof line === "string" ? line : line.line ?? "");
    if (lines.length > KEPT * 1.2) {
      lines = lines.slice(-KEPT);
    }
    soon();
  };
  const open = () => {
    end?.();
    lines = [];
    soon();
    if (version.value === "") {
      return;
    }
    const path = modelPath(view.name, "versions", version.value, "logs");
    set(download, "href", `${path}?kind=${kind.value}&tail=100000&download=true`);
    end = follow(`${path}?kind=${kind.value}&tail=1000&follow=true`, { line: add, message: add, attempt: () => {} });
  };
  view.onModel((model) => {
    const before = version.value;
    keyed(version, model.versions, (one) => one.version, (one) => {
      const option = h("option", { value: String(one.version) });
      option.update = (now) => text(option, `${now.version}${now.state === "READY" ? "" : ` (${now.state.toLowerCase()})`}`);
      return option;
    });
    const asked = sessionStorage.getItem("version");
    if (asked !== null && model.versions.some((one) => String(one.version) === asked)) {
      sessionStorage.removeItem("version");
      version.value = asked;
      const one = model.versions.find((each) => String(each.version) === asked);
      kind.value = one.state === "BUILDING" || (one.state === "FAILED" && one.replicas === 0) ? "build" : "worker";
    }
    if (version.value !== before || end === null) {
      open();
    }
  });
  version.addEventListener("change", open);
  kind.addEventListener("change", open);
  search.addEventListener("input", draw);
  pane.addEventListener("scroll", () => {
    // Who scrolls up wants to read.
    following.checked = pane.scrollTop + pane.clientHeight >= pane.scrollHeight - 8;
  });
  following.addEventListener("change", draw);
  return () => end?.();
}
