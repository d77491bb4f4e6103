// What a model takes and gives, as its MLflow signature says it: a hint beside the editor.

import { h } from "./dom.js";

/// What is to be written for a type, where its name does not say it.
const WRITTEN = {
  long: "whole number", integer: "whole number", float: "number", double: "number", string: "text", boolean: "true or false",
  datetime: "text such as 2026-01-31T12:00:00", binary: "text in Base64", any: "anything",
};

/// Tables of what goes in and what comes out, or a sentence where there is no signature.
export function schema(signature) {
  const parts = signature
    ? [part("Takes", signature.inputs, true), part("Parameters", signature.params, false), part("Gives", signature.outputs, false)]
    : [];
  if (!parts.some((one) => one !== null)) {
    return h("p.quiet", {}, "This version was logged without a signature: only its author knows what it takes.");
  }
  return h("div.schema", {}, parts);
}

function part(title, entries, takes) {
  if (!Array.isArray(entries) || entries.length === 0) {
    return null;
  }
  return h("table", {},
    h("caption", {}, title),
    h("thead.away", {}, h("tr", {}, ["Name", "Type", "Written as"].map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, entries.map((entry) => h("tr", {},
      h("th", { scope: "row" }, entry.name ?? h("span.quiet", {}, "unnamed"), takes && entry.required !== false && h("span.must", { title: "Required" }, h("span", { "aria-hidden": "true" }, "*"), h("span.away", {}, " required"))),
      h("td.type", {}, kind(entry)),
      h("td.quiet", {}, remark(entry))))));
}

function remark(entry) {
  const remarks = [
    "default" in entry ? `default ${JSON.stringify(entry.default)}` : WRITTEN[entry.type],
    entry.type === "tensor" && (depth(entry) > 1 ? `lists in lists, ${depth(entry)} deep` : "a list"),
    entry.required === false && "optional",
  ];
  return remarks.filter(Boolean).join(", ");
}

const depth = (entry) => entry["tensor-spec"]?.shape?.length ?? 0;

function kind(entry) {
  switch (entry.type) {
    case "tensor": {
      const spec = entry["tensor-spec"] ?? {};
      return `${spec.dtype ?? "?"} (${(spec.shape ?? []).map((size) => (size === -1 ? "any" : size)).join(" × ")})`;
    }
    case "array":
      return `list of ${kind(entry.items ?? {})}`;
    case "map":
      return `map of ${kind(entry.values ?? {})}`;
    case "object":
      return `{ ${Object.entries(entry.properties ?? {}).map(([name, property]) => `${name}: ${kind(property)}`).join(", ")} }`;
    default: {
      const name = entry.type ?? "any";
      return Array.isArray(entry.shape) ? `list of ${name}` : name;
    }
  }
}
