//! The OpenAPI document of the gateway: made from the handlers themselves, completed here, served to everybody.
//!
//! A handler is in the document because `routes!` takes its path from its `#[utoipa::path]`: one attribute describes a
//! call, and there is no second list. What holds for all calls (401, 500, 503, the request's id) is added here.

use axum::Extension;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};
use utoipa::{IntoResponses, OpenApi};

use crate::api::{ErrorBody, EventType};
use crate::openapi::scoring::{self, Place};

pub(crate) use crate::openapi::refusals::*;

/// What is known of the document before any handler is.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Sluicegate",
        description = "Hosts the models of an MLflow Model Registry as REST endpoints that follow the registry by themselves. \
            Each version describes its own inputs and outputs at `/model/{name}/{reference}/openapi.json`.",
    ),
    servers((url = "/", description = "The gateway that this document was read from")),
    components(schemas(ErrorBody, EventType)),
    tags(
        (name = "scoring", description = "Scoring versions, and what they tell about themselves."),
        (name = "models", description = "Registered models, how they are served, what happened to them, and their logs."),
        (name = "environments", description = "The environments that workers run in."),
        (name = "tokens", description = "Who may call, and what they may do."),
        (name = "session", description = "Signing in with a browser."),
        (name = "gateway", description = "The gateway itself."),
        (name = "legacy", description = "The calls of the first generation of clients, in their shapes."),
    ),
)]
struct Frame;

/// The document as it is sent.
#[derive(Clone, Debug)]
pub(super) struct Document(Bytes);

/// The OpenAPI 3.1 document of all calls, as JSON. It depends on nothing but the code.
pub fn document() -> String {
    let (known_callers, scrapers, everybody) = super::routes();
    let mut document = Frame::openapi();
    document.merge(known_callers.into_openapi());
    document.merge(scrapers.into_openapi());
    document.merge(everybody.into_openapi());
    let mut document = json!(document);
    if let Some(paths) = document["paths"].as_object_mut() {
        paths.extend(scoring_paths());
    }
    complete(&mut document);
    format!("{document:#}\n")
}

/// What is true of every call, so that no handler has to say it.
fn complete(document: &mut Value) {
    // A page of another origin may ask; nobody may be able to tell who calls, or the way of telling is misconfigured.
    let refused: Map<String, Value> = [
        Unauthenticated::responses(),
        PermissionDenied::responses(),
        TemporarilyUnavailable::responses(),
        InternalError::responses(),
    ]
    .into_iter()
    .flatten()
    .map(|(status, response)| (status, json!(response)))
    .collect();
    let request_id = json!({"$ref": "#/components/headers/RequestId"});
    for (path, calls) in members(&mut document["paths"]) {
        for (_, call) in members(calls).filter(|(name, _)| *name != "parameters") {
            if let Some(body) = call.get_mut("requestBody") {
                without_null(body);
            }
            let is_public = call.get("security").is_some();
            let responses = &mut call["responses"];
            for (status, refused) in refused.iter().filter(|_| !is_public) {
                if responses.get(status).is_none() {
                    responses[status] = refused.clone();
                }
            }
            for (_, response) in members(responses) {
                if response.get("$ref").is_none() {
                    response["headers"]["X-Request-Id"] = request_id.clone();
                }
            }
            if let Some(responses) = responses.as_object_mut() {
                responses.sort_keys();
            }
            // The same calls under a second prefix: ids are unique.
            if path.starts_with("/api/2.0/preview/")
                && let Some(id) = call["operationId"].as_str()
            {
                call["operationId"] = format!("{id}_preview").into();
            }
        }
    }
    document["security"] = scoring::security();
    for (name, component) in members(&mut scoring::common_components()) {
        document["components"][name] = component.take();
    }
}

/// What the data plane answers, in general: what a body holds, the version's own document says.
fn scoring_paths() -> Map<String, Value> {
    let body = json!({
        "required": true,
        "content": {
            "application/json": {
                "schema": {"description": "One of the formats of MLflow, since 1.0."},
                "examples": {
                    "dataframe_split": {"value": {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2], [3, 4]]}}},
                    "dataframe_records": {"value": {"dataframe_records": [{"a": 1, "b": 2}]}},
                    "instances": {"value": {"instances": [[1, 2], [3, 4]]}},
                    "inputs": {"value": {"inputs": {"a": [1, 3], "b": [2, 4]}}},
                    "records of 2020": {"value": [{"a": 1, "b": 2}]},
                },
            },
            "text/csv": {"schema": {"type": "string"}},
        },
    });
    let answer = json!({
        "application/json": {"schema": {}},
        "text/event-stream": {"schema": {"type": "string"}},
    });
    scoring::paths(&Place::any(), &body, &answer)
}

/// A body that may be left out is an object where it is there; the attribute's `Option` would also allow `null`.
fn without_null(body: &mut Value) {
    for (_, media_type) in members(&mut body["content"]) {
        let schema = &mut media_type["schema"];
        let shown = schema["oneOf"].as_array().and_then(|either| {
            let is_null = |schema: &&Value| schema["type"] == "null";
            let (nulls, shown): (Vec<_>, Vec<_>) = either.iter().partition(is_null);
            (nulls.len() == 1 && shown.len() == 1).then(|| shown[0].clone())
        });
        if let Some(shown) = shown {
            *schema = shown;
        }
    }
}

fn members(value: &mut Value) -> impl Iterator<Item = (&String, &mut Value)> {
    value.as_object_mut().into_iter().flatten()
}

/// The OpenAPI document of the gateway.
///
/// It names no model, so it needs no credential.
#[utoipa::path(
    get,
    path = "/api/openapi.json",
    operation_id = "openapi",
    tag = "gateway",
    security(()),
    responses((status = OK, description = "This document.", body = Object)),
)]
pub(super) async fn show(Extension(Document(text)): Extension<Document>) -> Response {
    ([(CONTENT_TYPE, "application/json")], text).into_response()
}

impl Document {
    pub(super) fn new() -> Self {
        Self(document().into())
    }
}
