//! Whole documents, and what holds of each.

use proptest::prelude::*;

use super::*;
use crate::data_plane::Signature;

fn about(inputs: Value, outputs: Value, params: Value) -> About {
    let part = |part: Value| (!part.is_null()).then_some(part);
    About {
        signature: Some(Signature {
            inputs: part(inputs),
            outputs: part(outputs),
            params: part(params),
        }),
        ..About::default()
    }
}

fn document(about: Option<&About>) -> Value {
    version_document(&VersionFacts {
        model: "iris",
        version: 7,
        trouble: None,
        path: "/model/iris/Production".to_owned(),
        server: Some("https://models.example".to_owned()),
        about,
    })
}

/// What differs from one version to the next: the rest is the same in every document.
fn particulars(document: &Value) -> Value {
    let score = &document["paths"]["/model/iris/Production/invocations"]["post"];
    let mut schemas = document["components"]["schemas"].clone();
    schemas.as_object_mut().unwrap().shift_remove("ErrorBody");
    json!({
        "info": document["info"],
        "request": score["requestBody"],
        "answer": score["responses"]["200"]["content"],
        "schemas": schemas,
    })
}

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                found.push(reference.clone());
            }
            members.values().for_each(|it| references(it, found));
        }
        Value::Array(items) => items.iter().for_each(|it| references(it, found)),
        _ => {}
    }
}

fn leads_somewhere(document: &Value) {
    let mut found = Vec::new();
    references(document, &mut found);
    for reference in found {
        assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
    }
}

#[test]
fn a_data_frame_with_an_example() {
    let mut about = about(
        json!([
            {"type": "double", "name": "sepal length", "required": true},
            {"type": "string", "name": "petal", "required": false},
        ]),
        json!([{"type": "long", "required": true}]),
        Value::Null,
    );
    about.example = Some(Example {
        content_type: "application/json".to_owned(),
        body: "{\"dataframe_split\": {\"columns\": [\"sepal length\"], \"data\": [[5.1]]}}".into(),
    });
    let document = document(Some(&about));
    leads_somewhere(&document);
    insta::assert_json_snapshot!(document);
}

#[test]
fn nested_columns_and_parameters() {
    let about = about(
        json!([
            {"type": "array", "items": {"type": "object", "properties": {
                "role": {"type": "string", "required": true},
                "content": {"type": "any", "required": false},
            }}, "name": "messages", "required": true},
            {"type": "map", "values": {"type": "binary"}, "name": "files", "required": false},
        ]),
        json!([{"type": "datetime", "name": "at", "required": true}]),
        json!([{"name": "temperature", "default": 0.5, "shape": null, "type": "double"}]),
    );
    insta::assert_json_snapshot!(particulars(&document(Some(&about))));
}

#[test]
fn one_tensor_to_another() {
    let tensor = |shape: Value| json!([{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": shape}}]);
    let about = about(
        tensor(json!([-1, 28, 28])),
        tensor(json!([-1, 10])),
        Value::Null,
    );
    insta::assert_json_snapshot!(particulars(&document(Some(&about))));
}

#[test]
fn tensors_by_name() {
    let about = about(
        json!([
            {"name": "a", "type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1, 2]}},
            {"name": "b", "type": "tensor", "tensor-spec": {"dtype": "str", "shape": [-1]}},
        ]),
        Value::Null,
        Value::Null,
    );
    insta::assert_json_snapshot!(particulars(&document(Some(&about))));
}

#[test]
fn columns_without_names() {
    let about = about(
        json!([{"type": "double"}, {"type": "string"}]),
        json!([{"type": "double"}, {"type": "double"}]),
        Value::Null,
    );
    insta::assert_json_snapshot!(particulars(&document(Some(&about))));
}

#[test]
fn without_a_signature_anything_goes() {
    let logged = About::default();
    insta::assert_json_snapshot!(particulars(&document(Some(&logged))));
    let unknown = particulars(&document(None));
    let known = particulars(&document(Some(&logged)));
    assert_eq!(unknown["request"], known["request"]);
    assert_ne!(unknown["info"], known["info"]);
}

#[test]
fn an_example_of_an_old_worker_is_shown_as_json_and_a_large_one_not_at_all() {
    let columns = json!([{"type": "double", "name": "a"}]);
    let mut about = about(columns, Value::Null, Value::Null);
    let mut shown = |content_type: &str, body: String| {
        about.example = Some(Example {
            content_type: content_type.to_owned(),
            body: body.into(),
        });
        let document = document(Some(&about));
        let score = &document["paths"]["/model/iris/Production/invocations"]["post"];
        let content = score["requestBody"]["content"].as_object().unwrap();
        let example = |it: &Value| it.pointer("/examples/logged/value").cloned();
        let (format, of) = content
            .iter()
            .find(|(_, it)| it.get("examples").is_some())?;
        Some((format.clone(), example(of)?))
    };
    let split = "application/json; format=pandas-split";
    assert_eq!(
        shown(split, "{\"data\": [[1]]}".to_owned()),
        Some(("application/json".to_owned(), json!({"data": [[1]]})))
    );
    let large = format!("{{\"inputs\": [{}1]}}", "1, ".repeat(LONGEST_EXAMPLE / 3));
    assert_eq!(shown("application/json", large), None);
    assert_eq!(shown("application/of-tomorrow", "{}".to_owned()), None);
    assert_eq!(shown("application/json", "no JSON".to_owned()), None);
}

#[test]
fn a_version_that_callers_cannot_reach_says_why() {
    let document = version_document(&VersionFacts {
        model: "iris",
        version: 7,
        trouble: Some("FAILED: no module named skops".to_owned()),
        path: "/model/iris/7".to_owned(),
        server: None,
        about: None,
    });
    let description = document["info"]["description"].as_str().unwrap();
    assert!(
        description.contains("FAILED: no module named skops"),
        "{description}"
    );
    assert_eq!(document["servers"], json!([{"url": "/"}]));
}

/// Any JSON: declarations of a later MLflow, broken ones, anything.
fn declarations() -> impl Strategy<Value = Value> {
    let words = prop_oneof![
        Just("type"),
        Just("name"),
        Just("items"),
        Just("properties"),
        Just("values"),
        Just("required"),
        Just("tensor-spec"),
        Just("shape"),
        Just("dtype"),
        Just("default"),
        Just("optional"),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2_i64..40).prop_map(Value::from),
        prop_oneof![
            Just("double"),
            Just("long"),
            Just("array"),
            Just("object"),
            Just("map"),
            Just("tensor"),
            Just("any"),
            Just("a"),
            Just("float64"),
            Just("messages"),
        ]
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map(words.clone(), inner, 0..6).prop_map(|members| {
                let members = members.into_iter().map(|(name, it)| (name.to_owned(), it));
                Value::Object(members.collect())
            }),
        ]
    })
}

proptest! {
    #[test]
    fn no_declaration_breaks_a_document(
        inputs in prop::collection::vec(declarations(), 0..4),
        outputs in declarations(),
        params in declarations(),
    ) {
        let document = document(Some(&about(inputs.into(), outputs, params)));
        leads_somewhere(&document);
        prop_assert_eq!(&document["openapi"], "3.1.0");
    }
}
