//! What a version answers, from the outputs of its signature. MLflow does not enforce them, so each form that such
//! outputs are printed in is allowed.

use serde_json::{Map, Value, json};

use super::fields::{Fields, any_of, keyed_tensors, list, record};
use super::request::reference;
use super::schema::{self, Side};

/// The schemas `Predictions` (what the model answered) and `Answer` (what is around it), and the content of a 200.
pub(super) fn answer(outputs: &Fields<'_>, may_stream: bool) -> (Value, Map<String, Value>) {
    let mut schemas = Map::new();
    schemas.insert("Predictions".to_owned(), predictions(outputs));
    schemas.insert(
        "Answer".to_owned(),
        json!({
            "type": "object",
            "properties": {"predictions": reference("Predictions")},
            "required": ["predictions"],
        }),
    );
    let is_free = *outputs == Fields::Unknown;
    let json = if is_free {
        json!({})
    } else {
        json!({
            "description": "In the same style as the request: formats since MLflow 2 are answered with an object, older ones with the bare predictions.",
            "anyOf": [reference("Answer"), reference("Predictions")],
        })
    };
    let mut content = json!({"application/json": {"schema": json}});
    if may_stream {
        content["text/event-stream"] = json!({"schema": {"type": "string"}});
    }
    (content, schemas)
}

fn predictions(outputs: &Fields<'_>) -> Value {
    match outputs {
        Fields::Unknown => json!({}),
        // A data frame, or a dictionary.
        Fields::Named(columns) => {
            let record = record(columns, Side::Answer);
            any_of([list(record.clone()), record])
        }
        // An array or a list, a series without a name, or one value.
        Fields::Unnamed(columns) if columns.len() == 1 => {
            let value = schema::of(columns[0], Side::Answer);
            let series = json!({"type": "object", "additionalProperties": value.clone()});
            any_of([list(any_of([value.clone(), series])), value])
        }
        Fields::Unnamed(columns) => {
            let cells = columns
                .iter()
                .map(|column| schema::of(column, Side::Answer));
            let cell = any_of(cells);
            let row = json!({"type": "object", "additionalProperties": cell.clone()});
            list(any_of([list(cell), row]))
        }
        Fields::Tensor(spec) => schema::tensor(spec, 0, Side::Answer),
        Fields::Tensors(tensors) => any_of([
            keyed_tensors(tensors, 0, Side::Answer),
            list(keyed_tensors(tensors, 1, Side::Answer)),
        ]),
    }
}
