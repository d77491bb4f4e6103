// The programs to take along, one at a time, with a word on what each needs.

import { copyButton, fill, h, set, text } from "./dom.js";
import { snippets } from "./snippets.js";

const CHOSEN = "snippet";

/// An element with an `update({ uri, body, form, secured })`; without a uri there is nothing to call yet.
export function programs() {
  const choice = h("div.actions", { role: "group", "aria-label": "Language" });
  const setup = h("p.setup", {});
  const code = h("pre.lines.program", { tabindex: 0, role: "region", "aria-label": "Program" });
  const note = h("p.quiet.small", {});
  const copy = copyButton(() => code.textContent, "Copy the program");
  const nothing = h("p.quiet", {}, "There is nothing to call yet.");
  const element = h("div.programs", {}, nothing, choice, h("div.preparing", {}, setup, h("span.grow", {}), copy), code, note);
  let list = [];
  let chosen = localStorage.getItem(CHOSEN) ?? "";

  const draw = () => {
    const snippet = list.find((one) => one.name === chosen) ?? list[0];
    for (const button of choice.children) {
      set(button, "aria-pressed", button.textContent === snippet.name ? "true" : "false");
    }
    text(code, snippet.text);
    set(code, "data-snippet", snippet.name);
    setup.hidden = !snippet.setup;
    fill(setup, "First, once: ", h("code", {}, snippet.setup || ""));
    const notes = [snippet.note, snippet.shortened && "The body is shortened to its first rows."].filter(Boolean);
    text(note, notes.join(" "));
    note.hidden = notes.length === 0;
  };
  element.update = ({ uri, ...rest }) => {
    const known = uri !== "";
    nothing.hidden = known;
    [choice, setup, code, copy, note].forEach((each) => { each.hidden = !known; });
    if (!known) {
      return;
    }
    list = snippets({ uri, ...rest });
    if (choice.children.length === 0) {
      fill(choice, list.map(({ name }) => h("button.small", {
        type: "button",
        onclick: () => {
          chosen = name;
          localStorage.setItem(CHOSEN, name);
          draw();
        },
      }, name)));
    }
    draw();
  };
  return element;
}
