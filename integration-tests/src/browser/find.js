// Finds what a person would find: visible elements of a role, by the name that is read out for them.
// arguments[0]: steps [role, name], each looked for within what the last one found.
const ROLES = {
  alert: "[role=alert]",
  article: "article",
  banner: "header",
  button: "button, [role=button], summary, a.button",
  checkbox: "input[type=checkbox]",
  code: "code, pre",
  details: "details",
  combobox: "select",
  dialog: "dialog[open], [role=dialog]",
  heading: "h1, h2, h3, h4",
  image: "[role=img], img",
  link: "a[href]",
  listitem: "li",
  main: "main",
  option: "option",
  row: "tr",
  status: "[role=status]",
  tab: "[role=tab]",
  tabpanel: "[role=tabpanel]",
  table: "table",
  term: "dt",
  region: "section, [role=region]",
  textbox: "input:not([type=checkbox], [type=radio], [type=file]), textarea",
};
const plain = (text) => (text ?? "").replace(/\s+/g, " ").trim();
// The text of a label, without that of the control in it.
const words = (label) => {
  const copy = label.cloneNode(true);
  copy.querySelectorAll("select, input, textarea").forEach((control) => control.remove());
  return copy.textContent;
};
const named = (element) => {
  const by = element.getAttribute("aria-labelledby");
  if (by !== null) {
    return plain(by.split(" ").map((id) => document.getElementById(id)?.innerText ?? "").join(" "));
  }
  const own = element.getAttribute("aria-label");
  if (own !== null) {
    return plain(own);
  }
  if (element.tagName === "TR") {
    return plain(element.querySelector("th[scope=row] a, th[scope=row]")?.innerText);
  }
  if (element.labels?.length > 0) {
    return plain([...element.labels].map(words).join(" "));
  }
  if (element.matches("input, textarea, select")) {
    return plain(element.placeholder ?? element.title);
  }
  return plain(element.innerText ?? element.textContent);
};
const visible = (element) => element.tagName === "OPTION" || element.checkVisibility({ visibilityProperty: true });
let found = [document.body];
for (const [role, name] of arguments[0]) {
  const inside = [...new Set(found.flatMap((element) => [...element.querySelectorAll(ROLES[role])]))].filter(visible);
  const exact = inside.filter((element) => name === "" || named(element) === name);
  const partly = inside.filter((element) => named(element).includes(name) || plain(element.innerText).includes(name));
  found = exact.length > 0 ? exact : partly;
}
