// Programs that score the model, ready to paste. Each stands alone and reads the token from where a person puts it.

/// `{ name, language, text }` for each way of calling `uri` with `example` (`{ content_type, body }`, or null).
export function snippets(uri, example) {
  const type = example?.content_type ?? "application/json";
  const body = compact(example?.body ?? '{"dataframe_records": [{}]}');
  return [
    { name: "curl", text: curl(uri, type, body) },
    { name: "Python (requests)", text: requests(uri, type, body) },
    { name: "Python (pandas)", text: pandas(uri, body) },
    { name: "PowerShell", text: powershell(uri, type, body) },
    { name: "Power BI", text: powerbi(uri) },
  ];
}

function compact(body) {
  try {
    // Printed again only where nothing can be lost by it: a number that JavaScript cannot hold stays as it was written.
    const again = JSON.stringify(JSON.parse(body));
    return again.replace(/\s/g, "").length === body.replace(/\s/g, "").length ? again : body.trim();
  } catch {
    return body.trim();
  }
}

const shell = (value) => `'${value.replaceAll("'", "'\\''")}'`;
const power = (value) => `'${value.replaceAll("'", "''")}'`;
const python = (value) => JSON.stringify(value).replace(/[\u007f-\uffff]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);

function curl(uri, type, body) {
  return [
    "export SLUICEGATE_TOKEN=…   # sluicegate tokens create",
    `curl -u "token:$SLUICEGATE_TOKEN" ${shell(uri)} \\`,
    `  -H ${shell(`Content-Type: ${type}`)} \\`,
    `  -d ${shell(body)}`,
  ].join("\n");
}

function requests(uri, type, body) {
  return [
    "import os",
    "import requests",
    "",
    "response = requests.post(",
    `    ${python(uri)},`,
    '    headers={"Authorization": f"Bearer {os.environ[\'SLUICEGATE_TOKEN\']}",',
    `             "Content-Type": ${python(type)}},`,
    `    data=${python(body)}.encode(),`,
    ")",
    "response.raise_for_status()",
    "print(response.json())",
  ].join("\n");
}

function pandas(uri, body) {
  const split = frame(body);
  const made = split === null
    ? ["data = pd.DataFrame([{}])"]
    : [`data = pd.DataFrame(${json(split.data)},`, `                    columns=${json(split.columns)})`];
  return [
    "import os",
    "import pandas as pd",
    "import requests",
    "",
    ...made,
    "response = requests.post(",
    `    ${python(uri)},`,
    '    headers={"Authorization": f"Bearer {os.environ[\'SLUICEGATE_TOKEN\']}",',
    '             "Content-Type": "application/json; format=pandas-split"},',
    '    data=data.to_json(orient="split"),',
    ")",
    "response.raise_for_status()",
    "print(response.json())",
  ].join("\n");
}

// JSON is almost Python: only three words are not.
function json(value) {
  return JSON.stringify(value, null, 1).replace(/\s*\n\s*/g, " ").replace(/\b(null|true|false)\b(?=(?:[^"\\]|\\.|"(?:[^"\\]|\\.)*")*$)/g,
    (word) => ({ null: "None", true: "True", false: "False" })[word]);
}

/// The example as columns and rows, if it is a table.
export function frame(body) {
  let value;
  try {
    value = JSON.parse(body);
  } catch {
    return null;
  }
  const split = value?.dataframe_split ?? value;
  if (Array.isArray(split?.columns) && Array.isArray(split?.data)) {
    return { columns: split.columns, data: split.data };
  }
  const records = value?.dataframe_records ?? value;
  if (Array.isArray(records) && records.length > 0 && records.every((row) => row !== null && typeof row === "object" && !Array.isArray(row))) {
    const columns = Object.keys(records[0]);
    return { columns, data: records.map((row) => columns.map((column) => row[column] ?? null)) };
  }
  return null;
}

function powershell(uri, type, body) {
  return [
    "# $env:SLUICEGATE_TOKEN = '…'   # sluicegate tokens create",
    "$headers = @{ Authorization = \"Bearer $env:SLUICEGATE_TOKEN\" }",
    `$body = ${power(body)}`,
    `Invoke-RestMethod -Method Post -Uri ${power(uri)} -Headers $headers -ContentType ${power(type)} \``,
    "  -Body ([Text.Encoding]::UTF8.GetBytes($body)) | ConvertTo-Json -Depth 20",
  ].join("\n");
}

// In the query editor: a function of a table, which gives it with one more column.
function powerbi(uri) {
  const address = `"${uri.replaceAll('"', '""')}"`;
  return [
    "(dataset as table) as table =>",
    "let",
    '  token = "…",  // sluicegate tokens create',
    "  rows = Json.FromValue(dataset),",
    `  answer = Web.Contents(${address}, [`,
    '    Headers = [#"Content-Type" = "application/json; format=pandas-records",',
    '               Authorization = "Bearer " & token],',
    "    Content = rows,",
    "    Timeout = #duration(0, 0, 5, 0)",
    "  ]),",
    "  predictions = Json.Document(answer),",
    "  columns = Table.ToColumns(dataset) & {predictions},",
    '  names = Table.ColumnNames(dataset) & {"Prediction"}',
    "in",
    "  Table.FromColumns(columns, names)",
  ].join("\n");
}
