// The settings of a model: what holds, where it comes from, and changing it.

import { modelPath, put } from "./api.js";
import { h, set, text, toast } from "./dom.js";

/// What each is, and, where there are only so many, the values that it takes.
const ABOUT = {
  replicas: ["Workers of each version: 2, or a range such as 1..4 or 0..4"],
  scale_down_after: ["How long fewer workers have to be enough until there are fewer"],
  max_concurrency: ["Requests that one worker handles at a time"],
  max_queue: ["Requests that may wait; one more is refused"],
  timeout: ["From the arrival of a request to the end of its answer"],
  batching: ["Whether requests share calls of a worker; auto: where the answers are the same", ["auto", "on", "off"]],
  max_batch_rows: ["Rows in one such call; a request of more goes alone"],
  max_batch_delay: ["How long a request waits for others though a worker is free: 0s to 1s"],
  env_manager: ["What builds the environments", ["conda", "uv", "virtualenv", "local"]],
  environment: ["Variables for the workers, as JSON"],
  warm_up: ["A new worker scores the logged example first", ["true", "false"]],
  memory_limit: ["A worker that uses more is replaced: 1GB, or none"],
  versions: ["all, latest:2, or a list such as [1, 3]"],
  takeover: ["Whether the new starts before the old stops", ["availability_preserving", "resource_preserving"]],
};
const ORIGINS = { person: "chosen here", tag: "from the registry’s tag", default: "default" };

export function settingsDialog(view) {
  const manages = view.model.permission === "MANAGE";
  const from = view.model.settings_from ?? {};
  const fields = Object.entries(view.model.settings ?? {}).map(([key, value]) =>
    (manages ? field(key, written(key, value), from[key]) : shown(key, written(key, value), from[key])));
  const problem = h("p.problem", { role: "alert", hidden: true });
  const save = h("button.primary", { type: "submit", hidden: !manages }, "Save");
  const dialog = h("dialog.wide", { "aria-labelledby": "settings-title" },
    h("form", { novalidate: true },
      h("header", {},
        h("h2", { id: "settings-title" }, "Settings of ", h("span.typed", {}, view.name)),
        h("p.quiet", {}, manages ? "A change takes effect without a failed request. An empty field goes back to the default." : "You may see these, but not change them.")),
      h(manages ? "div.fields" : "dl.fields", { tabindex: manages ? null : 0 }, fields.map((one) => one.element)),
      h("footer", {}, problem,
        h("div.actions", {}, h("button", { type: "button", onclick: () => dialog.close() }, manages ? "Cancel" : "Close"), save))));

  const refuse = (message) => {
    fields.forEach((one) => one.refuse(""));
    // A refusal names the setting that it is about.
    const about = fields.find((one) => message.startsWith(`the setting "${one.key}"`));
    about?.refuse(message);
    text(problem, about ? "" : message);
    problem.hidden = about !== undefined;
  };
  dialog.addEventListener("close", () => dialog.remove());
  dialog.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const changed = fields.filter((one) => one.isChanged());
    if (!manages || changed.length === 0) {
      dialog.close();
      return;
    }
    save.disabled = true;
    try {
      await put(modelPath(view.name, "serving"), Object.fromEntries(changed.map((one) => [one.key, one.read()])));
      toast("Saved.");
      dialog.close();
      view.refresh();
    } catch (refusal) {
      refuse(refusal.message);
    }
    save.disabled = false;
  });
  document.body.append(dialog);
  dialog.showModal();
  if (!manages) {
    dialog.querySelector("button").focus();
  }
}

function field(key, before, origin) {
  const [about, values] = ABOUT[key] ?? [""];
  const id = `setting-${key}`;
  const attributes = { id, "aria-describedby": `${id}-about ${id}-problem`, spellcheck: "false", autocomplete: "off", autocapitalize: "none" };
  const input = values === undefined
    ? h(key === "environment" ? "textarea" : "input", { ...attributes, rows: key === "environment" ? 2 : null })
    : h("select", attributes,
      h("option", { value: "" }, "the default"),
      [...new Set([...values, before])].map((value) => h("option", { value }, value)));
  input.value = before;
  const problem = h("p.refused", { id: `${id}-problem`, role: "alert" });
  const element = h("div.setting", {},
    h("label", { for: id }, h("code", {}, key)),
    input,
    h("span.origin.quiet.small", {}, ORIGINS[origin] ?? ""),
    h("p.quiet.small", { id: `${id}-about` }, about),
    problem);
  return {
    element, key,
    isChanged: () => input.value !== before,
    read: () => read(input.value),
    refuse: (message) => {
      text(problem, message);
      set(input, "aria-invalid", message === "" ? null : "true");
      if (message !== "") {
        input.focus();
      }
    },
  };
}

function shown(key, value, origin) {
  const element = h("div.setting", {},
    h("dt", {}, h("code", {}, key)), h("dd", {}, value === "" ? "none" : value),
    h("dd.origin.quiet.small", {}, ORIGINS[origin] ?? ""), h("dd.about.quiet.small", {}, ABOUT[key]?.[0] ?? ""));
  return { element, key, isChanged: () => false, read: () => null, refuse: () => {} };
}

function written(key, value) {
  if (value === null) {
    return "none";
  }
  if (key === "environment" && Object.keys(value).length === 0) {
    return "";
  }
  return typeof value === "string" ? value : JSON.stringify(value, null, key === "environment" ? 1 : undefined);
}

// Empty is the default; JSON where it is JSON, and a text otherwise.
function read(value) {
  if (value.trim() === "") {
    return null;
  }
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}
