//! What can be sent to be scored: every format that the gateway takes, with the columns or tensors of the signature.

use serde_json::{Map, Value, json};

use super::fields::{Column, Fields, any_of, keyed, keyed_tensors, list, record};
use super::schema::{self, Side};

/// Columns whose presence makes a bare object a request of its own: the shapes of language models.
const LANGUAGE_MODEL_KEYS: [&str; 3] = ["messages", "prompt", "input"];

/// The request body, and the schemas that it refers to.
pub(super) struct Request {
    /// An OpenAPI Request Body.
    pub(super) body: Value,
    /// By name.
    pub(super) schemas: Map<String, Value>,
    /// Whether answers may be streamed.
    pub(super) is_language_model: bool,
}

/// The forms of one body of data.
struct Forms {
    /// One row, where rows are objects.
    record: Option<Value>,
    split: Option<Value>,
    instances: Value,
    inputs: Value,
    has_csv: bool,
    is_language_model: bool,
}

/// All formats for such inputs.
///
/// The types of 2020 (`application/json; format=pandas-split`) are not listed: their bodies are taken as
/// `application/json`, too, and generators write clients that fail where one body has several types of JSON.
pub(super) fn request(inputs: &Fields<'_>, params: Option<Value>) -> Request {
    let Some(forms) = forms(inputs) else {
        return free_form(params);
    };
    let mut schemas = Map::new();
    let mut alternatives = Vec::new();
    let has_params = params.is_some();
    if let Some(params) = params {
        schemas.insert("Params".to_owned(), params);
    }
    let mut add = |name: &str, key: &str, value: Value| {
        let mut properties = Map::from_iter([(key.to_owned(), value)]);
        if has_params {
            properties.insert("params".to_owned(), reference("Params"));
        }
        schemas.insert(
            name.to_owned(),
            json!({"type": "object", "properties": properties, "required": [key]}),
        );
        alternatives.push(reference(name));
    };
    if forms.split.is_some() {
        add(
            "DataframeSplitRequest",
            "dataframe_split",
            reference("DataframeSplit"),
        );
    }
    if forms.record.is_some() {
        add(
            "DataframeRecordsRequest",
            "dataframe_records",
            list(reference("Record")),
        );
    }
    add("InstancesRequest", "instances", forms.instances);
    add("InputsRequest", "inputs", forms.inputs);

    if let Some(record) = forms.record {
        schemas.insert("Record".to_owned(), record);
        alternatives.push(list(reference("Record")));
        if forms.is_language_model {
            alternatives.push(reference("Record"));
        }
    }
    if let Some(split) = forms.split {
        schemas.insert("DataframeSplit".to_owned(), split);
        alternatives.push(reference("DataframeSplit"));
    }
    let mut content = json!({"application/json": {"schema": {"anyOf": alternatives}}});
    if forms.has_csv {
        content["text/csv"] = json!({
            "schema": {"type": "string", "description": "A header line with the names of the columns, then rows."},
        });
    }
    Request {
        body: json!({"required": true, "content": content}),
        schemas,
        is_language_model: forms.is_language_model,
    }
}

/// For a version of which nothing is known: any JSON, or CSV.
fn free_form(params: Option<Value>) -> Request {
    let any = json!({
        "description": "Any of the formats of MLflow: nothing is known of the inputs.",
    });
    let content = json!({
        "application/json": {"schema": any},
        "text/csv": {"schema": {"type": "string"}},
    });
    Request {
        body: json!({"required": true, "content": content}),
        schemas: params
            .map(|params| ("Params".to_owned(), params))
            .into_iter()
            .collect(),
        is_language_model: true,
    }
}

/// `None` if nothing is known.
fn forms(inputs: &Fields<'_>) -> Option<Forms> {
    Some(match inputs {
        Fields::Unknown => return None,
        Fields::Named(columns) => named(columns),
        Fields::Unnamed(columns) => unnamed(columns),
        Fields::Tensor(spec) => Forms {
            record: None,
            split: None,
            instances: schema::tensor(spec, 0, Side::Request),
            inputs: schema::tensor(spec, 0, Side::Request),
            has_csv: false,
            is_language_model: false,
        },
        Fields::Tensors(tensors) => Forms {
            record: None,
            split: None,
            instances: list(keyed_tensors(tensors, 1, Side::Request)),
            inputs: keyed_tensors(tensors, 0, Side::Request),
            has_csv: false,
            is_language_model: false,
        },
    })
}

fn named(columns: &[Column<'_>]) -> Forms {
    let names: Vec<_> = columns.iter().map(|column| column.name).collect();
    let cell = any_of(columns.iter().map(|column| column.schema(Side::Request)));
    let by_column = keyed(columns, |column| list(column.schema(Side::Request)));
    let has_key = |key: &&str| names.contains(key);
    Forms {
        record: Some(record(columns, Side::Request)),
        split: Some(split(
            json!({"type": "array", "items": {"type": "string"}, "examples": [names]}),
            cell,
            &["columns", "data"],
        )),
        instances: list(reference("Record")),
        inputs: any_of([by_column, list(reference("Record"))]),
        has_csv: true,
        is_language_model: LANGUAGE_MODEL_KEYS.iter().any(has_key),
    }
}

/// Names are whatever the client says, the order is the signature's.
fn unnamed(columns: &[&Value]) -> Forms {
    let cells: Vec<_> = columns
        .iter()
        .map(|declared| schema::of(declared, Side::Request))
        .collect();
    let cell = any_of(cells);
    let rows = list(list(cell.clone()));
    let data = match columns {
        [_] => any_of([list(cell.clone()), rows]),
        _ => rows,
    };
    Forms {
        record: Some(json!({"type": "object", "additionalProperties": cell.clone()})),
        split: Some(split(
            json!({"type": "array", "items": {}}),
            cell,
            &["data"],
        )),
        instances: data.clone(),
        inputs: data,
        has_csv: true,
        is_language_model: false,
    }
}

fn split(columns: Value, cell: Value, required: &[&str]) -> Value {
    json!({
        "type": "object",
        "properties": {
            "columns": columns,
            "index": {"type": "array", "items": {}},
            "data": list(list(cell)),
        },
        "required": required,
        "additionalProperties": false,
    })
}

pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}
