// What a model takes and gives, as its MLflow signature says it: a hint beside the editor.

import { h } from "./dom.js";

/// A table of the columns, a line for tensors, or a sentence where there is no signature.
export function schema(signature) {
  if (!signature) {
    return h("p.quiet", {}, "This version has no signature: it takes whatever its author made it for.");
  }
  return h("div.schema", {},
    part("Takes", signature.inputs),
    part("Parameters", signature.params),
    part("Gives", signature.outputs));
}

function part(title, text) {
  const entries = read(text);
  if (entries === null || entries.length === 0) {
    return null;
  }
  return h("section", {}, h("h4", {}, title), h("dl", {}, entries.map((entry) => [
    h("dt", {}, entry.name ?? (entry.type === "tensor" ? "tensor" : "value")),
    h("dd", {}, kind(entry), entry.required === false ? h("span.quiet", {}, " optional") : null,
      entry.default === undefined ? null : h("span.quiet", {}, ` default ${JSON.stringify(entry.default)}`)),
  ])));
}

// The signature holds JSON within JSON; it may be either here.
function read(value) {
  if (typeof value !== "string") {
    return Array.isArray(value) ? value : null;
  }
  try {
    const entries = JSON.parse(value);
    return Array.isArray(entries) ? entries : null;
  } catch {
    return null;
  }
}

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
      return `object {${Object.keys(entry.properties ?? {}).join(", ")}}`;
    default:
      return entry.type ?? "any";
  }
}
