// Builds and updates elements. Text is always text: nothing here, or anywhere in this page, makes markup of a string.

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "path", "line", "rect", "circle", "polyline", "polygon", "g", "text"]);

/// An element: `h("a.quiet", { href, onclick }, "text", child)`. Null and false attributes and children are left out.
export function h(selector, attributes, ...children) {
  const [tag, ...classes] = selector.split(".");
  const element = SVG_TAGS.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  if (classes.length > 0) {
    element.setAttribute("class", classes.join(" "));
  }
  for (const [name, value] of Object.entries(attributes ?? {})) {
    set(element, name, value);
  }
  add(element, children);
  return element;
}

/// Sets an attribute, a listener (`onclick`) or a property (`value`, `checked`, `disabled`).
export function set(element, name, value) {
  if (name.startsWith("on")) {
    element.addEventListener(name.slice(2), value);
  } else if (name === "value" && element.tagName === "OPTION") {
    // Without the attribute an option's text is its value, even where the value is to be empty.
    element.setAttribute("value", value);
  } else if (name === "value" || name === "checked" || name === "disabled" || name === "hidden" || name === "open") {
    if (element[name] !== value) {
      element[name] = value ?? "";
    }
  } else if (value === null || value === undefined || value === false) {
    element.removeAttribute(name);
  } else {
    const text = value === true ? "" : String(value);
    if ((name === "href" || name === "src") && !isSafe(text)) {
      return;
    }
    if (element.getAttribute(name) !== text) {
      element.setAttribute(name, text);
    }
  }
}

// Only addresses of the web: `javascript:` never becomes a link.
function isSafe(address) {
  try {
    return ["http:", "https:", "blob:"].includes(new URL(address, location.href).protocol);
  } catch {
    return false;
  }
}

function add(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) {
      element.append(child instanceof Node ? child : String(child));
    }
  }
}

/// Replaces what is in `element`.
export function fill(element, ...children) {
  element.replaceChildren();
  add(element, children);
  return element;
}

/// Sets an element's text if it differs, so that selections and screen readers are left alone.
export function text(element, value) {
  const wanted = value ?? "";
  if (element.textContent !== String(wanted)) {
    element.textContent = wanted;
  }
  return element;
}

/// Keeps the children of `container` in step with `items`: each key keeps its element, and with it focus and state.
/// `create(item)` returns an element with an `update(item)` method.
export function keyed(container, items, key, create) {
  const known = container.keyed ?? (container.keyed = new Map());
  const wanted = new Set();
  let place = container.firstChild;
  for (const item of items) {
    const name = key(item);
    wanted.add(name);
    let element = known.get(name);
    if (element === undefined) {
      element = create(item);
      known.set(name, element);
    }
    element.update?.(item);
    if (element === place) {
      place = place.nextSibling;
    } else {
      container.insertBefore(element, place);
    }
  }
  for (const [name, element] of known) {
    if (!wanted.has(name)) {
      known.delete(name);
      element.remove();
    }
  }
}

/// A short message that goes by itself.
export function toast(message, kind = "") {
  const element = h(`div.toast${kind ? `.${kind}` : ""}`, {}, message);
  document.getElementById("toasts").append(element);
  setTimeout(() => element.remove(), 6000);
}

/// Copies `value`, and says so on `button`.
export async function copy(value, button) {
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(value);
    button.textContent = "Copied";
  } catch {
    // Without a secure origin there is no clipboard: the old way.
    const area = h("textarea.away", { value, readonly: true, "aria-hidden": "true" });
    document.body.append(area);
    area.select();
    button.textContent = document.execCommand("copy") ? "Copied" : "Press Ctrl+C";
    area.remove();
  }
  setTimeout(() => { button.textContent = before; }, 1500);
}

export function copyButton(value, label) {
  const button = h("button.small", { type: "button", "aria-label": label ?? "Copy" }, "Copy");
  button.addEventListener("click", () => copy(typeof value === "function" ? value() : value, button));
  return button;
}

/// Asks before something is done; resolves to whether it was confirmed. With `typed`, that text has to be typed.
export function ask({ title, message, action, typed, danger }) {
  return new Promise((resolve) => {
    const confirm = h(danger ? "button.danger" : "button.primary", { value: "yes", disabled: typed !== undefined }, action);
    const input = typed === undefined ? null : h("input", {
      "aria-label": `Type ${typed} to confirm`, autocomplete: "off", spellcheck: "false",
      oninput: () => { confirm.disabled = input.value !== typed; },
    });
    const dialog = h("dialog", { "aria-labelledby": "ask-title" },
      h("form", { method: "dialog" },
        h("h2", { id: "ask-title" }, title),
        h("p", {}, message),
        input && h("label.field", {}, h("span", {}, "Type ", h("strong", {}, typed), " to confirm"), input),
        h("div.actions", {}, h("button", { value: "no", formnovalidate: true }, "Cancel"), confirm)));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
    (input ?? confirm).focus();
  });
}
