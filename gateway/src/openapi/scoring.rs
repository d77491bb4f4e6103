//! The calls that the data plane answers, for documents: scoring, ping, and what a version tells about itself.

use serde_json::{Map, Value, json};
use utoipa::IntoResponses;

use super::refusals::{
    BadRequest, DeadlineExceeded, InternalError, RequestTooLarge, ResourceDoesNotExist,
    ResourceExhausted, TemporarilyUnavailable, Unauthenticated, UnsupportedMediaType, WorkerDied,
};

/// Where a version is.
pub(crate) struct Place {
    /// The path without an operation.
    pub(crate) path: String,
    /// The parameters in it.
    pub(crate) parameters: Value,
}

impl Place {
    /// Any version of any model.
    pub(crate) fn any() -> Self {
        Self {
            path: "/model/{name}/{reference}".to_owned(),
            parameters: json!([
                parameter("name", "The registered model, percent-encoded.", "iris"),
                parameter(
                    "reference",
                    "A version's number, a stage, an alias (`champion` or `@champion`), or `latest`.",
                    "Production",
                ),
            ]),
        }
    }
}

/// All calls at a place, by path. `body` is an OpenAPI Request Body, `content` that of a 200.
pub(crate) fn paths(place: &Place, body: &Value, content: &Value) -> Map<String, Value> {
    let path = |operation: &str| format!("{}{operation}", place.path);
    let call = |method: &str, call: Value| {
        let mut item = Map::from_iter([(method.to_owned(), call)]);
        if place.parameters != json!([]) {
            item.insert("parameters".to_owned(), place.parameters.clone());
        }
        Value::Object(item)
    };
    let score = json!({
        "tags": ["scoring"],
        "summary": "Scores.",
        "description": "Bodies may be compressed (`Content-Encoding: gzip` or `zstd`). A version that starts for the first time answers 404 with `Retry-After`.",
        "operationId": "score",
        "requestBody": body,
        "responses": scored(content),
    });
    let describe = json!({
        "tags": ["scoring"],
        "summary": "What the reference means now: version, state, signature, input example, URIs.",
        "operationId": "describe",
        "responses": seen("The version.", &json!({"application/json": {"schema": {"type": "object"}}}), &[]),
    });
    let ping = json!({
        "tags": ["scoring"],
        "summary": "Whether a worker of the version is there.",
        "operationId": "ping",
        "responses": seen("One is there.", &json!({}), &[]),
    });
    let document = json!({
        "tags": ["scoring"],
        "summary": "The version's own OpenAPI document, made from its signature and its input example.",
        "operationId": "version_openapi",
        "responses": seen("An OpenAPI 3.1 document.", &json!({"application/json": {"schema": {"type": "object"}}}), &[]),
    });
    Map::from_iter([
        (path("/invocations"), call("post", score)),
        (path("/ping"), call("get", ping)),
        (path(""), call("get", describe)),
        (path("/openapi.json"), call("get", document)),
    ])
}

type Refusals =
    std::collections::BTreeMap<String, utoipa::openapi::RefOr<utoipa::openapi::response::Response>>;

fn scored(content: &Value) -> Value {
    let kinds = [
        BadRequest::responses(),
        RequestTooLarge::responses(),
        UnsupportedMediaType::responses(),
        ResourceExhausted::responses(),
        WorkerDied::responses(),
        DeadlineExceeded::responses(),
    ];
    seen("What the model answered.", content, &kinds)
}

/// The answers of a call about a version, and these refusals.
fn seen(description: &str, content: &Value, kinds: &[Refusals]) -> Value {
    let always = [
        BadRequest::responses(),
        Unauthenticated::responses(),
        ResourceDoesNotExist::responses(),
        InternalError::responses(),
        TemporarilyUnavailable::responses(),
    ];
    let mut responses = json!({
        "200": {
            "description": description,
            "headers": {
                "X-Request-Id": {"$ref": "#/components/headers/RequestId"},
                "served-model-name": {
                    "description": "Who answered: `iris-3`.",
                    "schema": {"type": "string"},
                },
                "X-Sluicegate-Version": {
                    "description": "Which version answered.",
                    "schema": {"type": "integer"},
                },
            },
        },
    });
    if *content != json!({}) {
        responses["200"]["content"] = content.clone();
    }
    for (status, response) in always.iter().chain(kinds).flatten() {
        responses[status] = json!(response);
    }
    if let Some(responses) = responses.as_object_mut() {
        responses.sort_keys();
    }
    responses
}

/// What every document has, besides its schemas: refusals, the request's id, ways to show a credential.
pub(crate) fn common_components() -> Value {
    let request_id = json!({"$ref": "#/components/headers/RequestId"});
    let mut responses = json!({});
    for (name, response) in super::refusals::components() {
        responses[name] = json!(response);
        responses[name]["headers"]["X-Request-Id"] = request_id.clone();
    }
    json!({
        "responses": responses,
        "headers": {
            "RequestId": {
                "description": "Names this request in the gateway's log: the request's own id, or one that was made for it.",
                "required": true,
                "schema": {"type": "string"},
            },
        },
        "securitySchemes": {
            "token": {
                "type": "http",
                "scheme": "bearer",
                "description": "A token of the gateway: `sgp_…`.",
            },
            "password": {
                "type": "http",
                "scheme": "basic",
                "description": "`token` and a token; or, where rights come from an MLflow server, a name and a password of that server.",
            },
        },
    })
}

/// Any of them will do.
pub(crate) fn security() -> Value {
    json!([{"token": []}, {"password": []}])
}

fn parameter(name: &str, description: &str, example: &str) -> Value {
    json!({
        "name": name,
        "in": "path",
        "required": true,
        "description": description,
        "schema": {"type": "string"},
        "example": example,
    })
}
