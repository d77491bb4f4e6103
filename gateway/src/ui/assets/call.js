// Calling the model by hand: the logged example, the answer as a client gets it, and programs to take along.

import { get, score, segment } from "./api.js";
import { dropAnswer, showAnswer } from "./answer.js";
import { FORMS, formIn, formOf, inForm, skeleton, table } from "./bodies.js";
import { fill, h, keyed, set, text } from "./dom.js";
import { parse, parsed, pretty } from "./json.js";
import { programs } from "./programs.js";
import { schema } from "./schema.js";

const CHECK_AFTER = 250;

export function callTab(panel, view) {
  // What was written for each model, for as long as the session lasts: who looks into the log comes back to it.
  const drafts = (view.page.drafts ??= new Map());
  const draft = drafts.get(view.name) ?? { reference: null, form: "dataframe_split", body: "" };
  drafts.set(view.name, draft);
  const reference = h("select", { id: "reference" });
  const form = h("select", { id: "form" }, FORMS.map(({ id, title }) => h("option", { value: id }, title)));
  const sentAs = h("span.quiet.small", {});
  const editor = h("textarea.editor", {
    id: "body", rows: 16, spellcheck: "false", autocapitalize: "off", "aria-label": "Request body", "aria-describedby": "body-hint",
    placeholder: "Write the body here, or load the example that was logged with the model.",
  });
  const hint = h("p.hint", { id: "body-hint", role: "status" });
  const load = h("button", { type: "button", disabled: true }, "Load Example");
  const made = h("button", { type: "button", hidden: true }, "From the schema");
  const send = h("button.primary", { type: "button" }, "Send Request");
  const cancel = h("button", { type: "button", hidden: true }, "Cancel");
  const answer = h("div.answer", {});
  const shape = h("div.shape", {});
  const own = programs();
  const tab = h("div.call", {},
    h("section.request", {}, h("h2", {}, "Request"),
      h("div.row", {},
        h("label.choice", {}, h("span", {}, "Version or label"), reference),
        h("label.choice", {}, h("span", {}, "Form"), form)),
      editor, h("div.below", {}, hint, sentAs),
      h("div.actions", {}, send, cancel, load, made, h("span.quiet.small.keys", {}, "Ctrl+Enter sends"))),
    h("section.response", {}, h("h2", {}, "Answer"), answer),
    h("section.wanted", {}, h("h2", {}, "Schema"), shape),
    h("section.snippets", {}, h("h2", {}, "From your own program"), own));
  const nothing = h("div.empty", { hidden: true }, h("h2", {}, "Nothing to call yet"),
    h("p", {}, "Once serving is enabled and a version is there, it can be called from here."));
  fill(panel, tab, nothing);
  fill(answer, h("p.quiet", {}, "Nothing sent yet."));
  set(editor, "value", draft.body);
  set(form, "value", draft.form);

  let example = null;
  let described = null;
  let running = null;
  let checking = null;
  let left = false;

  const uri = () => view.model?.labels.find((label) => label.label === reference.value)?.uri
    ?? view.model?.versions.find((version) => String(version.version) === reference.value)?.uris[0] ?? "";
  const drawPrograms = () => {
    const typed = editor.value.trim() !== "" && (form.value === "csv" || parsed(editor.value) !== undefined);
    const used = typed ? { body: editor.value, form: form.value } : example ?? { body: '{"dataframe_records": [{}]}', form: "dataframe_records" };
    own.update({ uri: uri(), secured: view.page.session?.authentication !== false, ...used });
  };

  // Said, not forbidden: how a client's mistake is answered can be what somebody wants to see.
  const check = () => {
    let problem = "";
    if (form.value !== "csv" && editor.value.trim() !== "") {
      try {
        parse(editor.value);
        const is = formIn(editor.value);
        if (is !== form.value && is !== "json" && formOf(form.value).type === formOf(is).type) {
          problem = `This is ${is}, not ${form.value}; it is sent as it is.`;
        }
      } catch (mistake) {
        problem = mistake.message;
      }
    }
    text(hint, problem);
    drawPrograms();
  };
  const changed = () => {
    draft.body = editor.value;
    draft.form = form.value;
    text(sentAs, `sent as ${formOf(form.value).type}`);
    clearTimeout(checking);
    checking = setTimeout(check, CHECK_AFTER);
  };
  const put = (body, name) => {
    set(form, "value", name);
    editor.value = body;
    shaped = name;
    changed();
    check();
  };

  // The same rows in the other form, where it can hold them.
  let shaped = draft.form;
  form.addEventListener("change", () => {
    const rows = table(editor.value, shaped);
    const other = rows === null ? null : inForm(rows, form.value);
    put(other ?? editor.value, form.value);
    if (rows !== null && other !== null && rows.params !== undefined && !["dataframe_split", "dataframe_records", "inputs", "instances"].includes(form.value)) {
      text(hint, "This form has no place for the parameters; they were left out.");
    }
  });

  const describe = async () => {
    const version = view.model?.versions.find((one) => String(one.version) === reference.value)
      ?? view.model?.versions.find((one) => one.version === view.model.labels.find((label) => label.label === reference.value)?.current);
    const wanted = `${reference.value} ${version?.version} ${version?.state}`;
    if (left || reference.value === "" || described === wanted) {
      return;
    }
    described = wanted;
    let about = null;
    let problem = "";
    try {
      about = await get(`/model/${segment(view.name)}/${segment(reference.value)}`);
    } catch (refusal) {
      problem = refusal.message;
    }
    if (left || described !== wanted) {
      return;
    }
    // What could not be told now is asked for again with the next news.
    described = about === null ? null : wanted;
    const ready = about?.state === "READY" || Boolean(about?.signature);
    fill(shape, ready ? schema(about.signature) : h("p.quiet", {}, about === null ? problem : `Version ${about.version} ${about.state === "FAILED" ? "has failed" : `is ${about.state.toLowerCase()}`}; what it takes is known when it is ready.`));
    example = about?.example ? { body: inOrder(about.example.body), form: formIn(about.example.body, about.example.content_type) } : null;
    load.disabled = example === null;
    set(load, "title", ready && example === null ? "No example was logged with this version" : "");
    const template = ready && example === null ? skeleton(about.signature) : null;
    made.hidden = template === null;
    made.onclick = () => put(template, formIn(template));
    drawPrograms();
  };

  view.onModel((model) => {
    const list = choices(model);
    tab.hidden = list.length === 0;
    nothing.hidden = list.length > 0;
    keyed(reference, list, (choice) => choice.value, (choice) => {
      const option = h("option", { value: choice.value });
      option.update = (now) => text(option, now.shown);
      return option;
    });
    const asked = view.asked().get("reference");
    if (list.some((choice) => choice.value === asked)) {
      draft.reference = asked;
      view.keep({ reference: asked });
    }
    // The label that programs call, until somebody chooses.
    draft.reference ??= list.find((choice) => choice.value === "Production")?.value ?? null;
    if (draft.reference !== null && list.some((choice) => choice.value === draft.reference)) {
      set(reference, "value", draft.reference);
    }
    describe();
  });
  reference.addEventListener("change", () => {
    draft.reference = reference.value;
    view.keep({ reference: reference.value });
    describe();
    drawPrograms();
  });
  load.addEventListener("click", () => {
    put(example.body, example.form);
    editor.focus();
    editor.setSelectionRange(0, 0);
    editor.scrollTop = 0;
  });
  editor.addEventListener("input", () => {
    shaped = form.value;
    changed();
  });

  const openLog = (version) => {
    view.show("logs", { version });
  };
  const request = async () => {
    if (running !== null || reference.value === "") {
      return;
    }
    running = new AbortController();
    send.disabled = true;
    cancel.hidden = false;
    const start = Date.now();
    const since = h("span", {}, "0 s");
    const ticking = setInterval(() => text(since, `${Math.floor((Date.now() - start) / 1000)} s`), 1000);
    dropAnswer(answer);
    fill(answer, h("p.quiet", { role: "status" }, h("span.spinner", { "aria-hidden": "true" }), "Waiting for the answer … ", since));
    try {
      await showAnswer(answer, await score(view.name, reference.value, formOf(form.value).type, editor.value, running.signal), openLog);
    } catch (error) {
      fill(answer, error.name === "AbortError"
        ? h("p.quiet", { role: "status" }, "Cancelled. The model may still have worked on it.")
        : h("p.problem", { role: "alert" }, "No answer: the gateway cannot be reached, or the connection broke off."));
    } finally {
      if (left) {
        dropAnswer(answer);
      }
      clearInterval(ticking);
      running = null;
      send.disabled = false;
      cancel.hidden = true;
    }
  };
  send.addEventListener("click", request);
  cancel.addEventListener("click", () => {
    running?.abort();
    send.focus();
  });
  editor.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      request();
    } else if (event.key === "Escape") {
      running?.abort();
    }
  });
  changed();
  return () => {
    left = true;
    clearTimeout(checking);
    running?.abort();
    dropAnswer(answer);
  };
}

/// Labels first: they are what programs ought to call.
function choices(model) {
  const target = (label) => label.current ?? label.aspired;
  return [
    ...model.labels.map((label) => ({
      value: label.label,
      shown: `${label.label} → ${target(label) ?? "nothing"}${label.current === undefined || label.current === null ? " (not ready)" : ""}`,
    })),
    ...model.versions.map((version) => ({
      value: String(version.version),
      shown: `Version ${version.version}${version.state === "READY" ? "" : ` (${version.state.toLowerCase()})`}`,
    })),
  ];
}

function inOrder(body) {
  const value = parsed(body);
  return value === undefined ? body : pretty(value);
}
