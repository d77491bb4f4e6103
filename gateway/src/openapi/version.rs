//! The OpenAPI document of one version: enough for a generator to write a client that scores it.

use serde_json::{Map, Value, json};
use utoipa::PartialSchema;

use super::fields::Fields;
use super::scoring::{self, Place};
use super::{answer, params, request};
use crate::api::ErrorBody;
use crate::data_plane::{About, Example};

/// Longer examples are left out: a document is read as a whole.
const LONGEST_EXAMPLE: usize = 64 * 1024;

/// What the document is made from.
#[derive(Debug)]
pub(crate) struct VersionFacts<'a> {
    /// The registered model.
    pub(crate) model: &'a str,
    /// The version's number.
    pub(crate) version: u64,
    /// Its state, and why, where callers cannot reach it.
    pub(crate) trouble: Option<String>,
    /// Where it is scored, percent-encoded, without an operation: `/model/iris/Production`.
    pub(crate) path: String,
    /// Under which address the client reaches the gateway; without it, where the document came from.
    pub(crate) server: Option<String>,
    /// What its files say; absent while it has never been ready.
    pub(crate) about: Option<&'a About>,
}

/// The document.
pub(crate) fn version_document(facts: &VersionFacts<'_>) -> Value {
    let signature = facts.about.and_then(|about| about.signature.as_ref());
    let part = |part: fn(&crate::data_plane::Signature) -> Option<&Value>| signature.and_then(part);
    let inputs = Fields::read(part(|signature| signature.inputs.as_ref()));
    let outputs = Fields::read(part(|signature| signature.outputs.as_ref()));
    let params = params::schema(part(|signature| signature.params.as_ref()));

    let mut request = request::request(&inputs, params);
    if let Some(example) = facts.about.and_then(|about| about.example.as_ref()) {
        show(example, &mut request.body);
    }
    let (content, answers) = answer::answer(&outputs, request.is_language_model);
    let place = Place {
        path: facts.path.clone(),
        parameters: json!([]),
    };
    let mut components = scoring::common_components();
    let mut schemas: Map<_, _> = request.schemas;
    schemas.extend(answers);
    schemas.insert("ErrorBody".to_owned(), json!(ErrorBody::schema()));
    components["schemas"] = Value::Object(schemas);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": facts.model,
            "version": facts.version.to_string(),
            "description": description(facts),
        },
        "servers": [{"url": facts.server.as_deref().unwrap_or("/")}],
        "security": scoring::security(),
        "tags": [{"name": "scoring", "description": "Scoring this version, and what it tells about itself."}],
        "paths": scoring::paths(&place, &request.body, &content),
        "components": components,
    })
}

fn description(facts: &VersionFacts<'_>) -> String {
    let (model, version) = (facts.model, facts.version);
    let known = match (facts.about, &facts.trouble) {
        (Some(about), _) if about.signature.is_some() => {
            "Made from the signature that it was logged with."
        }
        (Some(_), _) => "It was logged without a signature: any input is allowed here.",
        (None, _) => "Its signature is known when it is ready: any input is allowed here.",
    };
    match &facts.trouble {
        Some(trouble) => format!("Version {version} of {model}. {known} It is {trouble}."),
        None => format!("Version {version} of {model}. {known}"),
    }
}

/// Puts the logged example to the type that it has. What old workers are sent as `application/json; format=…` may be sent
/// without the parameter.
fn show(example: &Example, body: &mut Value) {
    let content_type = example.content_type.split(';').next().unwrap_or_default();
    let media_type = body["content"].get_mut(content_type);
    if example.body.len() > LONGEST_EXAMPLE {
        return;
    }
    if let (Some(media_type), Ok(value)) = (media_type, serde_json::from_slice(&example.body)) {
        let value: Value = value;
        media_type["examples"] = json!({
            "logged": {"summary": "The input example that the model was logged with.", "value": value},
        });
    }
}

#[cfg(test)]
mod tests;
