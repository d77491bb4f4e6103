// Programs that score the model, ready to paste. Each stands alone and takes the token from where a person has put it.

import { formOf, inForm, table } from "./bodies.js";
import { parsed, written } from "./json.js";

// JSON's escapes are Python's and the other way round. Letters stay readable; what cannot be seen, or turns the order of others, is spelled out.
const UNSEEN = /[\u007f-\u00a0\u00ad\u061c\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff]/g;
const quoted = (value) => JSON.stringify(value).replace(UNSEEN, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);
const PYTHON_WORDS = { string: quoted, true: "True", false: "False", null: "None", indent: "    ", width: 88 };
const JSON_WORDS = { string: quoted, true: "true", false: "false", null: "null", indent: "", width: 0 };

/// Longer bodies are shortened by their last rows: a program is read before it is run.
const LONGEST = 8000;

/// `{ name, text, setup, note }` for each way of calling `uri` with `body` in `form`; `secured` says whether a token is needed.
export function snippets({ uri, body, form, secured }) {
  const called = { uri, secured, form, type: formOf(form).type, ...shortened(body, form) };
  return [
    { name: "curl", text: curl(called), setup: secured && "export SLUICEGATE_TOKEN='your token'" },
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

// In single quotes a shell changes nothing.
const shell = (value) => `'${value.replaceAll("'", "'\\''")}'`;

function curl({ uri, secured, type, text }) {
  return [
    `curl ${shell(uri)} \\`,
    ...(secured ? ['  -H "Authorization: Bearer $SLUICEGATE_TOKEN" \\'] : []),
    `  -H ${shell(`Content-Type: ${type}`)} \\`,
    `  --data-raw ${shell(text)}`,
  ].join("\n");
}

const literal = (value, margin = "    ") => written(value, PYTHON_WORDS, margin);

function pythonHeaders(secured, type) {
  return [
    "    headers={",
    ...(secured ? ['        "Authorization": f"Bearer {os.environ[\'SLUICEGATE_TOKEN\']}",'] : []),
    `        "Content-Type": ${quoted(type)},`,
    "    },",
  ];
}

function requests({ uri, secured, type, text, value }) {
  return [
    ...(secured ? ["import os", ""] : []),
    "import requests",
    "",
    "response = requests.post(",
    `    ${quoted(uri)},`,
    ...pythonHeaders(secured, type),
    value === undefined ? `    data=${quoted(text)}.encode(),` : `    json=${literal(value)},`,
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
    : [`# Not rows and columns, so it goes as it is.`, `body = ${value === undefined ? quoted(text) : `json.dumps(${literal(value, "")})`}`];
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
    `    ${quoted(uri)},`,
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

// PowerShell takes the typographer's quotes for straight ones.
const power = (value) => `'${value.replace(/['\u2018\u2019\u201a\u201b]/g, "$&$&")}'`;

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
const m = (value) => `"${value.replaceAll("#(", "#(#)(").replaceAll('"', '""').replaceAll("\r", "#(cr)").replaceAll("\n", "#(lf)")}"`;

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
