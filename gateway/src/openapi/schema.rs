//! MLflow's types as JSON Schema.

use serde_json::{Map, Value, json};

/// What a schema describes. Requests are read leniently, so that they are described as they are best written; answers
/// are described as MLflow writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Request,
    Answer,
}

/// The schema of one value, from a declaration such as `{"type": "array", "items": {"type": "long"}}`. What is not known
/// here allows everything.
pub(super) fn of(declared: &Value, side: Side) -> Value {
    match declared["type"].as_str().unwrap_or_default() {
        "boolean" => json!({"type": "boolean"}),
        "integer" => json!({"type": "integer", "format": "int32"}),
        "long" => json!({"type": "integer", "format": "int64"}),
        "float" => json!({"type": "number", "format": "float"}),
        "double" => json!({"type": "number", "format": "double"}),
        "string" => json!({"type": "string"}),
        "binary" => json!({
            "type": "string",
            "contentEncoding": "base64",
            "description": "Bytes in base64.",
        }),
        "datetime" => datetime(side),
        "array" => json!({"type": "array", "items": of(&declared["items"], side)}),
        "object" => object(&declared["properties"], side),
        "map" => json!({"type": "object", "additionalProperties": of(&declared["values"], side)}),
        "sparkml_vector" => {
            json!({"type": "array", "items": {"type": "number", "format": "double"}})
        }
        "tensor" => tensor(&declared["tensor-spec"], 0, side),
        _ => json!({}),
    }
}

/// The same, or `null`: for values that may be missing in a row where others have them.
pub(super) fn or_null(mut schema: Value) -> Value {
    if let Some(Value::String(one)) = schema.get("type") {
        schema["type"] = json!([one, "null"]);
    }
    schema
}

/// The schema of a tensor without its first `skipped` dimensions. Dimensions of a fixed length are checked.
pub(super) fn tensor(spec: &Value, skipped: usize, side: Side) -> Value {
    let shape = spec["shape"].as_array().map_or(&[][..], Vec::as_slice);
    let scalar = element(spec["dtype"].as_str().unwrap_or_default(), side);
    let dimensions = shape.iter().skip(skipped).rev();
    dimensions.fold(scalar, |items, length| {
        let mut array = json!({"type": "array", "items": items});
        if let Some(length) = length.as_u64() {
            array["minItems"] = length.into();
            array["maxItems"] = length.into();
        }
        array
    })
}

/// One number of a tensor; types are numpy's.
fn element(dtype: &str, side: Side) -> Value {
    let letters = dtype.trim_end_matches(|c: char| c.is_ascii_digit());
    match letters {
        "float" if dtype == "float32" => json!({"type": "number", "format": "float"}),
        "float" => json!({"type": "number", "format": "double"}),
        "int" if dtype == "int64" => json!({"type": "integer", "format": "int64"}),
        "int" => json!({"type": "integer", "format": "int32"}),
        "uint" => json!({"type": "integer", "minimum": 0}),
        "bool" => json!({"type": "boolean"}),
        "str" => json!({"type": "string"}),
        "bytes" => of(&json!({"type": "binary"}), side),
        _ if letters.starts_with("datetime") => datetime(side),
        _ => json!({}),
    }
}

/// MLflow writes times without a zone, which is not RFC 3339.
fn datetime(side: Side) -> Value {
    match side {
        Side::Request => json!({"type": "string", "format": "date-time"}),
        Side::Answer => json!({"type": "string", "description": "A time, ISO 8601."}),
    }
}

fn object(properties: &Value, side: Side) -> Value {
    let declared = properties.as_object();
    let mut shown = Map::new();
    let mut required = Vec::new();
    for (name, declared) in declared.into_iter().flatten() {
        let schema = of(declared, side);
        if is_required(declared) {
            required.push(name.as_str());
            shown.insert(name.clone(), schema);
        } else {
            shown.insert(name.clone(), or_null(schema));
        }
    }
    with_required(json!({"type": "object", "properties": shown}), &required)
}

/// MLflow says `required` since 2.6, said `optional` before, and nothing at all before that.
pub(super) fn is_required(declared: &Value) -> bool {
    declared["required"] != false && declared["optional"] != true
}

/// An empty list is not written: it says nothing.
pub(super) fn with_required(mut object: Value, required: &[&str]) -> Value {
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_mlflow_has_a_schema() {
        for (declared, schema) in [
            (json!({"type": "boolean"}), json!({"type": "boolean"})),
            (
                json!({"type": "long"}),
                json!({"type": "integer", "format": "int64"}),
            ),
            (
                json!({"type": "float"}),
                json!({"type": "number", "format": "float"}),
            ),
            (json!({"type": "string"}), json!({"type": "string"})),
            (
                json!({"type": "datetime"}),
                json!({"type": "string", "format": "date-time"}),
            ),
            (json!({"type": "any"}), json!({})),
            (json!({"type": "of a later MLflow"}), json!({})),
            (json!("nonsense"), json!({})),
            (
                json!({"type": "map", "values": {"type": "map", "values": {"type": "string"}}}),
                json!({
                    "type": "object",
                    "additionalProperties": {"type": "object", "additionalProperties": {"type": "string"}},
                }),
            ),
            (
                json!({"type": "array", "items": {"type": "object", "properties": {
                    "x": {"type": "integer", "required": true},
                    "y": {"type": "boolean", "required": false},
                }}}),
                json!({"type": "array", "items": {
                    "type": "object",
                    "properties": {
                        "x": {"type": "integer", "format": "int32"},
                        "y": {"type": ["boolean", "null"]},
                    },
                    "required": ["x"],
                }}),
            ),
            (
                json!({"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}}),
                json!({"type": "array", "items": {
                    "type": "array",
                    "items": {"type": "number", "format": "float"},
                    "minItems": 2,
                    "maxItems": 2,
                }}),
            ),
            (
                json!({"type": "tensor", "tensor-spec": {"dtype": "uint8", "shape": []}}),
                json!({"type": "integer", "minimum": 0}),
            ),
        ] {
            assert_eq!(of(&declared, Side::Request), schema, "{declared}");
        }
    }

    #[test]
    fn bytes_are_base64_and_times_of_answers_have_no_zone() {
        let binary = of(&json!({"type": "binary"}), Side::Request);
        assert_eq!(binary["contentEncoding"], "base64");
        let time = of(&json!({"type": "datetime"}), Side::Answer);
        assert_eq!(
            (&time["type"], time.get("format")),
            (&json!("string"), None)
        );
    }
}
