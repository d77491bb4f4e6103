//! A version's OpenAPI document: where it is, who gets it, and what it is made from.

use gateway::data_plane::{About, Signature};
use http::{Method, Request};
use http_body_util::Full;
use serde_json::json;

use crate::fixture::{Gateway, Setup, get};
use crate::worker::FakeWorker;

#[tokio::test]
async fn a_document_names_the_calls_as_they_were_reached() {
    let worker = FakeWorker::predicting();
    let setup = Setup {
        name: "a b",
        ..Setup::default()
    };
    let gateway = setup.over([worker.upstream()]);
    let request = Request::get("/model/a%20b/production/openapi.json")
        .header("host", "localhost:8080")
        .body(Full::default())
        .unwrap();
    let answer = gateway.send(request).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("x-sluicegate-version"), "7");
    let document = answer.json();
    // A proxy may have ended TLS: only the client knows which address it came by.
    assert_eq!(document["servers"], json!([{"url": "/"}]));
    let score = &document["paths"]["/model/a%20b/production/invocations"]["post"];
    assert_eq!(score["operationId"], "score");
}

#[tokio::test]
async fn a_document_is_made_from_the_signature() {
    let worker = FakeWorker::predicting();
    let signature = Signature {
        inputs: Some(json!([{"type": "double", "name": "sepal_length", "required": true}])),
        ..Signature::default()
    };
    let about = About {
        signature: Some(signature),
        ..About::default()
    };
    let gateway = Gateway::over(worker.upstream_about(about));
    let document = gateway
        .send(get("/model/iris/@champion/openapi.json"))
        .await;
    assert_eq!(
        document.json()["components"]["schemas"]["Record"],
        json!({
            "type": "object",
            "properties": {"sepal_length": {"type": "number", "format": "double"}},
            "required": ["sepal_length"],
        })
    );
}

#[tokio::test]
async fn a_version_that_never_was_ready_has_a_document_that_allows_anything() {
    let worker = FakeWorker::predicting();
    let gateway = Gateway::over(worker.upstream());
    for (reference, trouble) in [("8", "BUILDING"), ("9", "FAILED: no module named skops")] {
        let path = format!("/model/iris/{reference}/openapi.json");
        let document = gateway.send(get(&path)).await.json();
        let description = document["info"]["description"].as_str().unwrap();
        assert!(description.contains(trouble), "{description}");
    }
    for path in [
        "/model/iris/99/openapi.json",
        "/model/other/1/openapi.json",
        "/model/iris/nil/openapi.json",
    ] {
        let answer = gateway.send(get(path)).await;
        answer.is(404, "RESOURCE_DOES_NOT_EXIST");
    }
}

#[tokio::test]
async fn a_document_is_read_only() {
    let worker = FakeWorker::predicting();
    let gateway = Gateway::over(worker.upstream());
    let request = Request::builder()
        .method(Method::POST)
        .uri("/model/iris/7/openapi.json")
        .body(Full::default())
        .unwrap();
    let answer = gateway.send(request).await;
    answer.is(405, "METHOD_NOT_ALLOWED");
    assert_eq!(answer.header("allow"), "GET, HEAD");
}
