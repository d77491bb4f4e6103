//! Inference parameters, from a `ParamSchema`.

use serde_json::{Map, Value, json};

use super::fields::list;
use super::schema::{self, Side};

/// The schema of `params`; `None` if the model declares none. Others than the declared ones are ignored by MLflow.
pub(super) fn schema(declared: Option<&Value>) -> Option<Value> {
    let declared = declared?.as_array()?;
    let properties: Map<_, _> = declared
        .iter()
        .filter_map(|param| Some((param["name"].as_str()?.to_owned(), one(param))))
        .collect();
    (!properties.is_empty()).then(|| {
        json!({
            "type": "object",
            "description": "Inference parameters; those that are left out have their defaults.",
            "properties": properties,
        })
    })
}

fn one(param: &Value) -> Value {
    let scalar = schema::of(param, Side::Request);
    let mut shown = if param["shape"].is_array() {
        list(scalar)
    } else {
        scalar
    };
    match param.get("default") {
        None | Some(Value::Null) => {}
        Some(default) => shown["default"] = default.clone(),
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_has_its_type_and_its_default() {
        let declared = json!([
            {"name": "temperature", "default": 0.5, "shape": null, "type": "double"},
            {"name": "stop", "default": ["a"], "shape": [-1], "type": "string"},
            {"name": "most", "default": null, "shape": null, "type": "long"},
        ]);
        let shown = schema(Some(&declared)).unwrap();
        assert_eq!(
            shown["properties"],
            json!({
                "temperature": {"type": "number", "format": "double", "default": 0.5},
                "stop": {"type": "array", "items": {"type": "string"}, "default": ["a"]},
                "most": {"type": "integer", "format": "int64"},
            })
        );
        assert_eq!(schema(Some(&json!([]))), None);
        assert_eq!(schema(None), None);
    }
}
