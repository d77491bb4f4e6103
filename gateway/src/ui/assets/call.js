// Calling the model by hand: the logged example, the answer as a client gets it, and programs to take along.

import { get, modelPath, score } from "./api.js";
import { copyButton, fill, h, keyed, set, text } from "./dom.js";
import { schema } from "./schema.js";
import { snippets } from "./snippets.js";

const TYPES = ["application/json", "text/csv", "application/json; format=pandas-records", "application/json; format=pandas-split"];

export function callTab(panel, view) {
  const reference = h("select", { id: "reference" });
  const type = h("select", { id: "type" }, TYPES.map((name) => h("option", { value: name }, name)));
  const editor = h("textarea.editor", { id: "body", rows: 12, spellcheck: "false", "aria-label": "Request body", placeholder: "Paste JSON, or load the example that was logged with the model." });
  const load = h("button", { type: "button" }, "Load Example");
  const send = h("button.primary", { type: "button" }, "Send Request");
  const answer = h("div.answer", { role: "status", "aria-live": "polite" });
  const hint = h("div.hint", {});
  const programs = h("div.programs", {});
  let described = null;
  let example = null;

  fill(panel, h("div.call", {},
    h("section.request", {},
      h("div.row", {}, h("label", { for: "reference" }, "Version or label"), reference, h("label", { for: "type" }, "Content-Type"), type),
      editor,
      h("div.actions", {}, load, send, h("span.quiet", {}, "Ctrl+Enter sends"))),
    h("section.response", {}, h("h3", {}, "Answer"), answer),
    h("section", {}, h("h3", {}, "Schema"), hint),
    h("section.snippets", {}, h("h3", {}, "From your own program"), programs)));
  fill(answer, h("p.quiet", {}, "Nothing sent yet."));

  const uri = () => view.model?.labels.find((label) => label.label === reference.value)?.uri
    ?? view.model?.versions.find((version) => String(version.version) === reference.value)?.uris[0] ?? "";

  const draw_programs = () => fill(programs, uri() === "" ? h("p.quiet", {}, "Once a version is there.") : tabs(snippets(uri(), example)));

  const describe = async () => {
    const wanted = reference.value;
    if (wanted === "" || described === wanted) {
      return;
    }
    described = wanted;
    try {
      const about = await get(`/model/${encodeURIComponent(view.name)}/${encodeURIComponent(wanted)}`);
      if (described !== wanted) {
        return;
      }
      fill(hint, about.state === "READY" ? schema(about.signature) : h("p.quiet", {}, `Version ${about.version} is ${about.state.toLowerCase()}; its schema is known when it is ready.`));
      example = about.example ?? null;
      if (about.state !== "READY") {
        described = null;
      }
    } catch (refusal) {
      fill(hint, h("p.quiet", {}, refusal.message));
      example = null;
      described = null;
    }
    load.disabled = example === null;
    load.title = example === null ? "No example was logged with this version" : "";
    draw_programs();
  };

  const choices = (model) => [
    ...model.labels.map((label) => ({ value: label.label, shown: `${label.label} (version ${label.current ?? label.aspired ?? "–"}${label.current === undefined || label.current === null ? ", not ready" : ""})` })),
    ...model.versions.map((version) => ({ value: String(version.version), shown: `Version ${version.version}${version.state === "READY" ? "" : ` (${version.state.toLowerCase()})`}` })),
  ];
  view.onModel((model) => {
    const list = choices(model);
    keyed(reference, list, (choice) => choice.value, (choice) => {
      const option = h("option", { value: choice.value });
      option.update = (now) => text(option, now.shown);
      return option;
    });
    send.disabled = list.length === 0;
    describe();
  });
  reference.addEventListener("change", () => {
    described = null;
    describe();
  });

  load.addEventListener("click", () => {
    if (example !== null) {
      editor.value = pretty(example.body);
      type.value = TYPES.includes(example.content_type) ? example.content_type : "application/json";
      editor.focus();
    }
  });

  const request = async () => {
    if (send.disabled) {
      return;
    }
    send.disabled = true;
    fill(answer, h("p.quiet", {}, h("span.spinner", { "aria-hidden": "true" }), "Waiting for the answer …"));
    try {
      show(answer, await score(view.name, reference.value, type.value, editor.value));
    } catch {
      fill(answer, h("p.problem", {}, "The gateway cannot be reached."));
    }
    send.disabled = false;
  };
  send.addEventListener("click", request);
  editor.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      request();
    }
  });
}

// Only looks are changed: what JSON.parse would lose, a long number for one, stays as it was logged.
function pretty(body) {
  try {
    const again = JSON.stringify(JSON.parse(body), null, 2);
    return again.replace(/\s/g, "") === body.replace(/\s/g, "") ? again : body;
  } catch {
    return body;
  }
}

function show(answer, result) {
  const good = result.status >= 200 && result.status < 300;
  const error = good ? null : parsed(result.text);
  fill(answer,
    h("p.result", {},
      h(good ? "span.badge.ready" : "span.badge.failed", {}, String(result.status)),
      h("span", {}, ` ${Math.round(result.took)} ms`),
      result.served && h("span", {}, " from ", h("strong", {}, result.served)),
      result.retry && h("span.quiet", {}, ` – come again in ${result.retry} s`)),
    error?.message && h("p.reason", {}, error.error_code && h("span.code", {}, error.error_code), error.message),
    h("pre.lines", { tabindex: 0, "aria-label": "Body of the answer" }, result.text.length > 200_000 ? `${result.text.slice(0, 200_000)}\n… ${result.text.length} characters in all` : result.text),
    h("p.quiet.small", {}, result.type, result.request && ` · request ${result.request}`, " ", copyButton(result.text, "Copy the answer")));
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function tabs(list) {
  const code = h("pre.lines", { tabindex: 0 });
  const buttons = list.map((snippet, place) => {
    const button = h("button.small", { type: "button", "aria-pressed": "false" }, snippet.name);
    button.addEventListener("click", () => choose(place));
    return button;
  });
  const choose = (place) => {
    localStorage.setItem("snippet", list[place].name);
    text(code, list[place].text);
    set(code, "data-snippet", list[place].name);
    buttons.forEach((button, other) => set(button, "aria-pressed", other === place ? "true" : "false"));
  };
  choose(Math.max(0, list.findIndex((snippet) => snippet.name === localStorage.getItem("snippet"))));
  return [h("div.row", {}, buttons, h("span.grow", {}), copyButton(() => code.textContent, "Copy the program")), code];
}
