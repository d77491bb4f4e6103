// The forms in which a model takes its input, and one form made of another.

import { compact, Numeral, parsed, pretty } from "./json.js";

const JSON_TYPE = "application/json";

/// What a person chooses between: `id`, `title`, and the content type that is sent.
export const FORMS = [
  { id: "dataframe_split", title: "dataframe_split", type: JSON_TYPE },
  { id: "dataframe_records", title: "dataframe_records", type: JSON_TYPE },
  { id: "inputs", title: "inputs", type: JSON_TYPE },
  { id: "instances", title: "instances", type: JSON_TYPE },
  { id: "json", title: "other JSON", type: JSON_TYPE },
  { id: "records", title: "pandas-records", type: `${JSON_TYPE}; format=pandas-records` },
  { id: "split", title: "pandas-split", type: `${JSON_TYPE}; format=pandas-split` },
  { id: "csv", title: "CSV", type: "text/csv" },
];

export const formOf = (id) => FORMS.find((form) => form.id === id) ?? FORMS[0];

/// The form that `text`, sent as `type`, is in.
export function formIn(text, type = JSON_TYPE) {
  const plain = type.toLowerCase().replace(/\s/g, "");
  if (plain.startsWith("text/csv")) {
    return "csv";
  }
  if (plain.includes("pandas-records")) {
    return "records";
  }
  if (plain.includes("split")) {
    return "split";
  }
  const value = parsed(text);
  const named = value instanceof Map ? FORMS.find((form) => form.type === JSON_TYPE && value.has(form.id)) : undefined;
  return named?.id ?? "json";
}

/// `{ columns, rows, params }` of a table in whichever form, or null where it is none.
export function table(text, form) {
  if (form === "csv") {
    return csvTable(text);
  }
  const value = parsed(text);
  const whole = value instanceof Map ? value : new Map();
  const params = whole.get("params");
  const inner = form === "records" || form === "split" ? value : whole.get(form);
  const read = splitTable(inner) ?? recordsTable(inner) ?? namedTable(inner);
  return read === null ? null : { ...read, params };
}

function splitTable(value) {
  if (!(value instanceof Map) || !Array.isArray(value.get("columns")) || !Array.isArray(value.get("data"))) {
    return null;
  }
  const columns = value.get("columns").map(plain);
  const rows = value.get("data");
  return rows.every((row) => Array.isArray(row) && row.length === columns.length) ? { columns, rows } : null;
}

function recordsTable(value) {
  if (!Array.isArray(value) || value.length === 0 || !value.every((row) => row instanceof Map)) {
    return null;
  }
  const columns = [...new Set(value.flatMap((row) => [...row.keys()]))];
  return { columns, rows: value.map((row) => columns.map((column) => row.get(column) ?? null)) };
}

// `inputs` of a table: a list for each column.
function namedTable(value) {
  if (!(value instanceof Map) || value.size === 0) {
    return null;
  }
  const lists = [...value.values()];
  if (!lists.every((list) => Array.isArray(list) && list.length === lists[0].length && !list.some(Array.isArray))) {
    return null;
  }
  return { columns: [...value.keys()], rows: lists[0].map((_, row) => lists.map((list) => list[row])) };
}

const plain = (value) => (value instanceof Numeral ? value.text : typeof value === "string" ? value : compact(value));

/// A table in another form; null where that form cannot hold it.
export function inForm({ columns, rows, params }, form) {
  const split = () => new Map([["columns", columns], ["data", rows]]);
  const records = () => rows.map((row) => new Map(columns.map((column, place) => [column, row[place]])));
  const wrapped = (value) => pretty(new Map([[form, value], ...(params === undefined ? [] : [["params", params]])]));
  switch (form) {
    case "dataframe_split": return wrapped(split());
    case "dataframe_records": case "instances": return wrapped(records());
    case "inputs": return wrapped(new Map(columns.map((column, place) => [column, rows.map((row) => row[place])])));
    case "records": return pretty(records());
    case "split": return pretty(split());
    case "csv": return [columns, ...rows].map((row) => row.map(cell).join(",")).join("\n");
    default: return null;
  }
}

function cell(value) {
  const text = value === null ? "" : plain(value);
  return /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function csvTable(text) {
  const rows = [];
  let row = [];
  const pattern = /("(?:[^"]|"")*"|[^,\r\n]*)(,|\r?\n|$)/gy;
  for (const [, quoted, end] of text.trim().matchAll(pattern)) {
    row.push(quoted.startsWith('"') ? quoted.slice(1, -1).replaceAll('""', '"') : number(quoted));
    if (end !== ",") {
      rows.push(row);
      row = [];
    }
    if (end === "") {
      break;
    }
  }
  const [columns, ...rest] = rows;
  return columns !== undefined && rest.length > 0 && rest.every((one) => one.length === columns.length)
    ? { columns: columns.map((name) => plain(name ?? "")), rows: rest, params: undefined }
    : null;
}

function number(text) {
  const read = parsed(text.trim());
  return text.trim() === "" ? null : read instanceof Numeral ? read : text;
}

/// A body with a value of each kind, for models whose signature is all that there is.
export function skeleton(signature) {
  const inputs = signature?.inputs;
  if (!Array.isArray(inputs) || inputs.length === 0) {
    return null;
  }
  const params = (signature.params ?? []).map((param) => [param.name, fromPlain(param.default)]);
  const body = new Map();
  if (inputs.every((entry) => entry.type === "tensor")) {
    const tensors = inputs.map((entry) => [entry.name, tensor(entry["tensor-spec"])]);
    body.set("inputs", inputs.length === 1 && inputs[0].name === undefined ? tensors[0][1] : new Map(tensors));
  } else if (inputs.every((entry) => typeof entry.name === "string")) {
    body.set("dataframe_records", [new Map(inputs.map((entry) => [entry.name, sample(entry)]))]);
  } else {
    body.set("inputs", [sample(inputs[0])]);
  }
  if (params.length > 0) {
    body.set("params", new Map(params));
  }
  return pretty(body);
}

function sample(entry) {
  switch (entry.type) {
    case "double": case "float": return new Numeral("0.0");
    case "integer": case "long": return new Numeral("0");
    case "boolean": return false;
    case "datetime": return "2026-01-01T00:00:00";
    case "array": return [sample(entry.items ?? {})];
    case "map": return new Map([["key", sample(entry.values ?? {})]]);
    case "object": return new Map(Object.entries(entry.properties ?? {}).map(([name, property]) => [name, sample(property)]));
    case "tensor": return tensor(entry["tensor-spec"]);
    default: return "";
  }
}

// A tensor of a thousand values shows nothing that one of eight does not.
function tensor(spec) {
  const shape = (spec?.shape ?? []).map((size) => (size === -1 ? 1 : size));
  const one = /^(str|object|bytes)/.test(spec?.dtype ?? "") ? "" : spec?.dtype === "bool" ? false : new Numeral(spec?.dtype?.startsWith("float") ? "0.0" : "0");
  if (shape.reduce((all, size) => all * size, 1) > 4096) {
    return [];
  }
  return shape.reduceRight((inner, size) => Array.from({ length: size }, () => inner), one);
}

function fromPlain(value) {
  return parsed(JSON.stringify(value ?? null)) ?? null;
}
