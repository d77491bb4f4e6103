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

/// Fills `element` anew only when `key` has changed, so that what is open, selected or focused in it stays so.
export function refill(element, key, make) {
  const wanted = JSON.stringify(key) ?? "";
  if (element.filled !== wanted) {
    element.filled = wanted;
    fill(element, make());
  }
  return element;
}

/// Keeps the children of `container` in step with `items`: each key keeps its element, and with it focus and state.
/// `create(item)` returns an element with an `update(item)` method.
export function keyed(container, items, key, create) {
  const known = container.keyed ?? (container.keyed = new Map());
  const wanted = new Set(items.map(key));
  // First, so that those that stay need not be moved: one that is moved loses the focus.
  for (const [name, element] of known) {
    if (!wanted.has(name)) {
      known.delete(name);
      element.remove();
    }
  }
  let place = container.firstChild;
  for (const item of items) {
    const name = key(item);
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
}

/// A short message that goes by itself, one that tells of trouble later than another.
export function toast(message, kind = "") {
  const element = h(`div.toast${kind ? `.${kind}` : ""}`, {}, message);
  document.getElementById("toasts").append(element);
  setTimeout(() => element.remove(), kind === "bad" ? 12_000 : 6_000);
}

/// Tells those who cannot see it what has changed.
export function say(message) {
  const said = document.getElementById("said");
  text(said, message);
  clearTimeout(said.timer);
  said.timer = setTimeout(() => text(said, ""), 5_000);
}

/// Copies `value`, and says so on `button`.
export async function copy(value, button) {
  const before = button.label ?? (button.label = button.textContent);
  let told = "Copied";
  try {
    await navigator.clipboard.writeText(value);
  } catch {
    // Without a secure origin there is no clipboard: the old way.
    const area = h("textarea.away", { value, readonly: true, "aria-hidden": "true" });
    (button.closest("dialog") ?? document.body).append(area);
    area.select();
    told = document.execCommand("copy") ? told : "Press Ctrl+C";
    area.remove();
    button.focus();
  }
  text(button, told);
  say(told);
  clearTimeout(button.timer);
  button.timer = setTimeout(() => {
    text(button, before);
  }, 1500);
}

export function copyButton(value, label) {
  const button = h("button.small.copy", { type: "button", "aria-label": label ?? "Copy" }, "Copy");
  button.addEventListener("click", () => copy(typeof value === "function" ? value() : value, button));
  return button;
}

/// Asks before something is done; resolves to whether it was confirmed. With `typed`, that text has to be typed.
export function ask({ title, message, action, typed, danger }) {
  return new Promise((resolve) => {
    const confirm = h(danger ? "button.danger" : "button.primary", { value: "yes", disabled: typed !== undefined }, action);
    const input = typed === undefined ? null : h("input", {
      id: "ask-typed", autocomplete: "off", spellcheck: "false", autocapitalize: "none",
      oninput: () => { confirm.disabled = input.value !== typed; },
    });
    // Enter is the first submit button's, so that Cancel is none.
    const dialog = h("dialog", { "aria-labelledby": "ask-title", "aria-describedby": "ask-message" },
      h("form", { method: "dialog" },
        h("h2", { id: "ask-title" }, title),
        h("p", { id: "ask-message" }, message),
        input && h("label.field", { for: "ask-typed" }, h("span", {}, "Type ", h("strong.typed", {}, typed), " to confirm"), input),
        h("div.actions", {}, h("button", { type: "button", onclick: () => dialog.close("no") }, "Cancel"), confirm)));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
    (input ?? confirm).focus();
  });
}
