// The settings of a model: what holds, where it comes from, and changing it.

import { modelPath, put } from "./api.js";
import { fill, h, text, toast } from "./dom.js";

const ABOUT = {
  replicas: "Workers of each version",
  max_concurrency: "Requests that one worker handles at a time",
  max_queue: "Requests that may wait; one more is refused",
  timeout: "From the arrival of a request to the end of its answer",
  env_manager: "What builds the environments: conda, uv, virtualenv, local",
  environment: "Variables for the workers, as JSON",
  warm_up: "Whether a new worker scores the logged example first",
  versions: "all, {\"latest\": 2}, or a list such as [1, 3]",
  takeover: "availability_preserving starts the new before the old stops; resource_preserving stops first",
  memory_limit: "A worker that uses more is replaced: 1GB; null for none",
  batching: "auto, on or off",
  max_batch_rows: "Rows of one batch",
  max_batch_delay: "How long the first request of a batch may wait for others",
};
const ORIGINS = { person: "chosen here", tag: "from the registry's tags", default: "default" };

export function settingsDialog(view) {
  const manages = view.model.permission === "MANAGE";
  const settings = view.model.settings ?? {};
  const from = view.model.settings_from ?? {};
  const problem = h("p.problem", { role: "alert", hidden: true });
  const fields = Object.entries(settings).map(([key, value]) => {
    const shown = typeof value === "string" ? value : JSON.stringify(value);
    const input = h("input", { id: `setting-${key}`, value: shown, disabled: !manages, spellcheck: "false", autocomplete: "off" });
    input.before = shown;
    input.key = key;
    const element = h("div.field", {}, h("label", { for: input.id }, h("strong", {}, key), h("span.quiet", {}, ` ${ABOUT[key] ?? ""}`)), input,
      h("span.quiet.small", {}, ORIGINS[from[key]] ?? ""));
    return { element, input };
  });
  const save = h("button.primary", { type: "submit", hidden: !manages }, "Save");
  const dialog = h("dialog.wide", { "aria-labelledby": "settings-title" },
    h("form", {},
      h("h2", { id: "settings-title" }, `Settings of ${view.name}`),
      h("p.quiet", {}, manages ? "A change takes effect without a failed request. Leave a field empty to go back to the default." : "You may see these, but not change them."),
      problem, fields.map((field) => field.element),
      h("div.actions", {}, h("button", { type: "button", onclick: () => dialog.close() }, manages ? "Cancel" : "Close"), save)));
  dialog.addEventListener("close", () => dialog.remove());
  dialog.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const changed = fields.map((field) => field.input).filter((input) => input.value !== input.before);
    const changes = Object.fromEntries(changed.map((input) => [input.key, read(input.value)]));
    if (changed.length === 0) {
      dialog.close();
      return;
    }
    save.disabled = true;
    try {
      await put(modelPath(view.name, "serving"), changes);
      toast("Saved.");
      dialog.close();
      view.refresh();
    } catch (refusal) {
      text(problem, refusal.message);
      problem.hidden = false;
      save.disabled = false;
    }
  });
  document.body.append(dialog);
  dialog.showModal();
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
