// Programs that score the model, ready to paste. Each stands alone and takes the token from where a person has put it.

import { formOf, inForm, table } from "./bodies.js";
import { parsed, written } from "./json.js";

// Letters stay readable; what cannot be seen, or turns the order of others, is spelled out. That is for safety too: what a model's
// author wrote is pasted into terminals, and a control character there is a key that was pressed.
const HIDDEN = String.raw`\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u00a0\u202f`;
const UNSEEN = new RegExp(`[${HIDDEN}]`, "gu");
const hex = (number, digits) => number.toString(16).padStart(digits, "0");
const units = (text) => text.split("").map((unit) => unit.charCodeAt(0));
// JSON's escapes are Python's as well, but for letters beyond four digits.
const quoted = (value) => JSON.stringify(value).replace(UNSEEN, (one) => units(one).map((unit) => `\\u${hex(unit, 4)}`).join(""));
const python = (value) => JSON.stringify(value).replace(UNSEEN, (one) => (one.length > 1 ? `\\U${hex(one.codePointAt(0), 8)}` : `\\u${hex(one.charCodeAt(0), 4)}`));
const PYTHON_WORDS = { string: python, true: "True", false: "False", null: "None", indent: "    ", width: 88 };
const JSON_WORDS = { string: quoted, true: "true", false: "false", null: "null", indent: "", width: 0 };

/// Longer bodies are shortened by their last rows: a program is read before it is run.
const LONGEST = 8000;

/// `{ name, text, setup, note }` for each way of calling `uri` with `body` in `form`; `secured` says whether a token is needed.
export function snippets({ uri, body, form, secured }) {
  const called = { uri, secured, form, type: formOf(form).type, ...shortened(body, form) };
  return [
    { name: "curl", text: curl(called), setup: secured && "export SLUICEGATE_TOKEN='your token'", note: isArgument(called.text) ? undefined : CURL_NOTE },
    { name: "Python (requests)", text: requests(called), setup: secured && "export SLUICEGATE_TOKEN='your token'" },
    { name: "Python (pandas)", text: pandas(called), setup: secured && "export SLUICEGATE_TOKEN='your token'" },
    { name: "Power BI", text: powerbi(called), note: powerbiNote(secured) },
    { name: "PowerShell", text: powershell(called), setup: secured && "$env:SLUICEGATE_TOKEN = 'your token'" },
  ].map((snippet) => ({ ...snippet, shortened: called.cut }));
}

// Half of the rows, as often as it takes.
function shortened(body, form) {
  let cut = false;
  let rows = table(body, form);
  let text = body;
  while (rows !== null && text.length > LONGEST && rows.rows.length > 1) {
    rows = { ...rows, rows: rows.rows.slice(0, Math.ceil(rows.rows.length / 2)) };
    text = inForm(rows, form) ?? text;
    cut = true;
  }
  const value = form === "csv" ? undefined : parsed(text);
  return { text: value === undefined ? text : written(value, JSON_WORDS, null), value, rows, cut };
}

// In single quotes a shell changes nothing, but a terminal does: what it takes for a key is written as bytes, in the quotes that know
// them. A `!` there would be looked up in the history by some shells; the byte of a `'` keeps the quotes whole in shells that know no `$'`.
const TYPED = new RegExp(`[${HIDDEN}'!]`, "gu");
const utf8 = new TextEncoder();
const shell = (value) => (value.replaceAll("\n", "").search(UNSEEN) < 0
  ? `'${value.replaceAll("'", "'\\''")}'`
  : `$'${value.replaceAll("\\", "\\\\").replace(TYPED, (one) => (one === "\n" ? "\\n" : [...utf8.encode(one)].map((byte) => `\\x${hex(byte, 2)}`).join("")))}'`);

// An argument ends at its first zero.
const isArgument = (text) => !text.includes("\0");
const CURL_NOTE = "The body holds a character that no command line can carry (U+0000): save it as the file “body” first.";

function curl({ uri, secured, type, text }) {
  return [
    `curl ${shell(uri)} \\`,
    ...(secured ? ['  -H "Authorization: Bearer $SLUICEGATE_TOKEN" \\'] : []),
    `  -H ${shell(`Content-Type: ${type}`)} \\`,
    isArgument(text) ? `  --data-raw ${shell(text)}` : "  --data-binary @body",
  ].join("\n");
}

const literal = (value, margin = "    ") => written(value, PYTHON_WORDS, margin);

function pythonHeaders(secured, type) {
  return [
    "    headers={",
    ...(secured ? ['        "Authorization": f"Bearer {os.environ[\'SLUICEGATE_TOKEN\']}",'] : []),
    `        "Content-Type": ${python(type)},`,
    "    },",
  ];
}

function requests({ uri, secured, type, text, value }) {
  return [
    ...(secured ? ["import os", ""] : []),
    "import requests",
    "",
    "response = requests.post(",
    `    ${python(uri)},`,
    ...pythonHeaders(secured, type),
    value === undefined ? `    data=${python(text)}.encode(),` : `    json=${literal(value)},`,
    "    timeout=60,",
    ")",
    "if not response.ok:",
    "    raise SystemExit(response.text)",
    "print(response.json())",
  ].join("\n");
}

function pandas(called) {
  const { uri, secured, rows, type, text, value } = called;
  const params = rows?.params;
  const isTable = rows !== null && rows.rows.length > 0;
  // Parameters travel beside the rows, which only the whole JSON has a place for.
  const split = "data.to_json(orient=\"split\", index=False, date_format=\"iso\", double_precision=15)";
  const made = isTable
    ? ["data = pd.DataFrame(", `    ${literal(rows.rows)},`, `    columns=${literal(rows.columns)},`, ")"]
    : [`# Not rows and columns, so it goes as it is.`, `body = ${value === undefined ? python(text) : `json.dumps(${literal(value, "")})`}`];
  if (isTable && params !== undefined) {
    made.push(`params = ${literal(params, "")}`, `body = '{"dataframe_split": ' + ${split} + ', "params": ' + json.dumps(params) + "}"`);
  } else if (isTable) {
    made.push(`body = ${split}`);
  }
  const plain = isTable && params === undefined;
  const sent = plain ? "application/json; format=pandas-split" : isTable ? "application/json" : type;
  const uses_json = made.some((line) => line.includes("json.dumps"));
  return [
    ...(uses_json ? ["import json"] : []),
    ...(secured ? ["import os"] : []),
    ...(uses_json || secured ? [""] : []),
    "import pandas as pd",
    "import requests",
    "",
    ...made,
    "response = requests.post(",
    `    ${python(uri)},`,
    ...pythonHeaders(secured, sent),
    "    data=body.encode(),",
    "    timeout=60,",
    ")",
    "if not response.ok:",
    "    raise SystemExit(response.text)",
    "predictions = response.json()",
    ...(plain ? [] : ["if isinstance(predictions, dict):", '    predictions = predictions.get("predictions", predictions)']),
    'predictions = pd.Series(predictions, name="prediction")',
    isTable ? 'print(pd.concat([data, predictions], axis="columns"))' : "print(predictions)",
  ].join("\n");
}

// PowerShell takes the typographer's quotes for straight ones. What a terminal takes for a key is put in as a number.
const literally = (value) => `'${value.replace(/['\u2018\u2019\u201a\u201b]/g, "$&$&")}'`;
const KEYS = new RegExp(`((?:(?!\n)[${HIDDEN}])+)`, "u");
const power = (value) => {
  const parts = value.split(KEYS);
  return parts.map((part, place) => (place % 2 === 0 ? literally(part) : units(part).map((unit) => `[char]0x${hex(unit, 4)}`).join(" + "))).join(" + ");
};

function powershell({ uri, secured, type, text }) {
  return [
    "$request = @{",
    "    Method      = 'Post'",
    `    Uri         = ${power(uri)}`,
    ...(secured ? ['    Headers     = @{ Authorization = "Bearer $env:SLUICEGATE_TOKEN" }'] : []),
    `    ContentType = ${power(type)}`,
    `    Body        = [Text.Encoding]::UTF8.GetBytes(${power(text)})`,
    "}",
    "ConvertTo-Json -Depth 20 -InputObject (Invoke-RestMethod @request)",
  ].join("\n");
}

// `#(` begins an escape in M, and a quote is written twice.
const m = (value) => `"${value.replaceAll("#(", "#(#)(").replaceAll('"', '""').replace(UNSEEN, (one) => `#(${hex(one.codePointAt(0), one.length > 1 ? 8 : 4)})`)}"`;

// A function of a table that gives the table with one more column. It asks for 256 rows at a time.
function powerbi({ uri, secured }) {
  return [
    "(dataset as table) as table =>",
    "let",
    "  score = (rows as table) as list =>",
    "    Json.Document(Web.Contents(",
    `      ${m(uri)},`,
    "      [",
    "        Headers = [",
    `          #"Content-Type" = "application/json; format=pandas-records"${secured ? "," : ""}`,
    ...(secured ? ['          #"Authorization" = "Bearer " & SluicegateToken'] : []),
    "        ],",
    "        Content = Json.FromValue(rows),",
    "        Timeout = #duration(0, 0, 5, 0)",
    "      ]",
    "    )),",
    "  answers = List.Transform(Table.Split(dataset, 256), score),",
    "  predictions = List.Buffer(List.Combine(answers)),",
    '  numbered = Table.AddIndexColumn(dataset, "Row of prediction", 0, 1),',
    '  predicted = Table.AddColumn(numbered, "Prediction", each predictions{[Row of prediction]})',
    "in",
    '  Table.RemoveColumns(predicted, {"Row of prediction"})',
  ].join("\n");
}

function powerbiNote(secured) {
  const paste = "In the Power Query editor: New Source → Blank Query → Advanced Editor, paste, then invoke the function on your table.";
  return secured ? `Put your token into a text parameter named SluicegateToken (Manage Parameters → New). ${paste} When asked for credentials, choose Anonymous.` : paste;
}
