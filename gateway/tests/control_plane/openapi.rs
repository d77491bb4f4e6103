//! The OpenAPI document says what is there, all of it, and nothing else.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value};

use super::harness::{Caller, Plane};

const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

async fn document(plane: &Plane) -> Value {
    let answer = plane.get(Caller::Anonymous, "/api/openapi.json").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "application/json");
    answer.json()
}

fn calls(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths.flat_map(|(path, item)| {
        let calls = item.as_object().into_iter().flatten();
        let calls = calls.filter(|(name, _)| *name != "parameters");
        calls.map(move |(method, call)| (path.as_str(), method.as_str(), call))
    })
}

#[tokio::test]
async fn the_document_is_the_one_in_the_repository() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let golden = std::fs::read_to_string(golden).unwrap();
    let plane = Plane::new().await;
    let served = plane.get(Caller::Anonymous, "/api/openapi.json").await;
    assert!(
        served.text() == golden,
        "the API has changed, docs/openapi.json has not: look at the difference that \
         `cargo run -p gateway --example openapi > docs/openapi.json` makes"
    );
}

/// Routes that are added with `routes!` are in the document; others would be missing. Those of the page are, on purpose: it
/// is for people, and what it does it does with the calls of the document.
#[test]
fn no_route_is_added_without_its_part_of_the_document() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for file in ["control_plane.rs", "databricks.rs"] {
        let source = std::fs::read_to_string(sources.join(file)).unwrap();
        for way in [".route(", ".route_service(", ".nest_service("] {
            assert!(
                !source.contains(way),
                "{file}: {way}…) leaves a route out of the OpenAPI document; describe the handler with #[utoipa::path] \
                 and add it with .routes(routes!(…))"
            );
        }
    }
    let page = std::fs::read_to_string(sources.join("ui.rs")).unwrap();
    let added = page.matches(".route(").count();
    let paths = ["\"/\"", "\"/ui\"", "\"/ui/\"", "\"/ui/{*below}\""];
    for path in paths {
        assert!(page.contains(&format!(".route({path}, get(")), "{path}");
    }
    assert_eq!(
        added,
        paths.len(),
        "the page is files, below /ui and nowhere else"
    );
}

#[tokio::test]
async fn the_page_is_not_in_the_document() {
    let plane = Plane::new().await;
    let document = document(&plane).await;
    for (path, ..) in calls(&document) {
        assert!(path != "/" && !path.starts_with("/ui"), "{path}");
    }
}

#[tokio::test]
async fn every_call_of_the_document_is_answered_and_every_other_method_is_not() {
    let plane = Plane::new().await;
    let document = document(&plane).await;
    let paths = document["paths"].as_object().unwrap();
    for (path, item) in paths {
        let item = item.as_object().unwrap();
        if path.starts_with("/model/") {
            continue;
        }
        let example = path
            .replace("{name}", "iris")
            .replace("{version}", "1")
            .replace(['{', '}'], "");
        for method in METHODS {
            let method_name = method.to_uppercase();
            let answer = plane
                .call(Caller::Stranger, &method_name, &example, "")
                .await;
            let is_allowed = answer.status != 405;
            assert_eq!(is_allowed, item.contains_key(method), "{method} {path}");
            let nothing = format!("there is nothing at {example}");
            assert!(!answer.text().contains(&nothing), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn whoever_needs_a_credential_is_documented_and_refused_without() {
    let plane = Plane::new().await;
    let document = document(&plane).await;
    for (path, method, call) in calls(&document) {
        if path.starts_with("/model/") {
            continue;
        }
        let is_public = call.get("security").is_some();
        let answer = plane
            .call(Caller::Anonymous, &method.to_uppercase(), path, "")
            .await;
        assert_eq!(answer.status == 401, !is_public, "{method} {path}");
        // Those two show another kind of credential: a signature, and what a person typed in.
        let is_shown_elsewhere =
            path == "/api/v1/webhooks/mlflow" || (path, method) == ("/api/v1/session", "post");
        if is_shown_elsewhere {
            continue;
        }
        let documented = call["responses"].get("401").is_some();
        assert_eq!(documented, !is_public, "{method} {path}");
    }
    // Who calls cannot always be told, and then no call that needs to know is answered.
    for (path, method, call) in calls(&document).filter(|(.., call)| call.get("security").is_none())
    {
        for status in ["401", "500", "503"] {
            let documented = call["responses"].get(status).is_some();
            assert!(documented, "{method} {path}: {status}");
        }
    }
}

#[tokio::test]
async fn names_are_unique_and_references_lead_somewhere() {
    let plane = Plane::new().await;
    let document = document(&plane).await;
    let mut ids = BTreeSet::new();
    for (path, method, call) in calls(&document) {
        let id = call["operationId"].as_str().unwrap();
        assert!(ids.insert(id), "{method} {path}: {id} is another one's");
        assert!(!call["summary"].as_str().unwrap().is_empty());
        let of_path = &document["paths"][path]["parameters"];
        let declared: BTreeSet<_> = [of_path, &call["parameters"]]
            .into_iter()
            .filter_map(Value::as_array)
            .flatten()
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        let written: BTreeSet<_> = path
            .split('{')
            .skip(1)
            .filter_map(|rest| Some(rest.split_once('}')?.0))
            .collect();
        assert_eq!(declared, written, "{method} {path}");
    }
    let mut references = Vec::new();
    collect_references(&document, &mut references);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

fn collect_references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(object) => {
            if let Some(reference) = object.get("$ref").and_then(Value::as_str) {
                found.push(reference);
            }
            let members: &Map<String, Value> = object;
            for member in members.values() {
                collect_references(member, found);
            }
        }
        Value::Array(items) => {
            for item in items {
                collect_references(item, found);
            }
        }
        _ => {}
    }
}
