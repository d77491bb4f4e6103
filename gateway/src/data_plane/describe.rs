//! `GET /model/{name}/{reference}`: what it resolves to; and `…/ping`: whether it would be answered.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue, Response, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serving_core::{ModelRoutes, Phase, Reference, Unrouted, Version, VersionRoute};
use std::sync::Arc;

use super::DataPlane;
use super::about::Signature;
use super::body::{Body, full};
use super::reply::{Refusal, json, sign};
use super::score::{not_ready, unknown_model, unknown_reference};
use super::stack::VersionStack;
use super::target::Target;
use crate::error::ErrorCode;

/// Of an answer to a ping: there is only `asleep`.
const X_SLUICEGATE_STATE: HeaderName = HeaderName::from_static("x-sluicegate-state");

/// Everything but the unreserved characters of RFC 3986, and the `@` of aliases, which a segment can hold.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'@');

/// One version as its URL describes it.
#[derive(Debug, Serialize)]
struct Description<'a> {
    name: &'a str,
    version: u64,
    reference: &'a str,
    state: &'static str,
    /// Why it failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    replicas: usize,
    /// It has none because nobody called it for long; the next request wakes it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    asleep: bool,
    stages: Vec<&'a str>,
    aliases: Vec<&'a str>,
    signature: Option<Signature>,
    example: Option<ShownExample>,
    /// What the model declares.
    mlflow_version: Option<String>,
    /// Paths: which host they are under, the client knows best.
    uris: BTreeMap<&'a str, String>,
}

#[derive(Debug, Serialize)]
struct ShownExample {
    content_type: String,
    body: String,
}

impl DataPlane {
    /// 200 if a replica is live, or will be for whoever calls; a header says which.
    pub(super) fn ping(
        &self,
        target: &Target,
        references: &[Reference],
    ) -> Result<Response<Body>, Refusal> {
        let entered = match self.router.enter(&target.model, references) {
            Ok(entered) => entered,
            Err(Unrouted::UnknownModel) => return Err(unknown_model(target)),
            Err(Unrouted::UnknownReference) => return Err(unknown_reference(target)),
            Err(Unrouted::NotReady { version, phase }) => {
                let code = ErrorCode::TemporarilyUnavailable;
                return Err(not_ready(code, target, version, &phase));
            }
        };
        if let Some(unavailable) = entered.target.unavailable() {
            return Err(unavailable.into());
        }
        let mut response = Response::new(full("\n"));
        if entered.target.is_asleep() {
            let asleep = HeaderValue::from_static("asleep");
            response.headers_mut().insert(X_SLUICEGATE_STATE, asleep);
        }
        sign(response.headers_mut(), &entered.id);
        Ok(response)
    }

    /// From memory: the table, and what the version's stack knows.
    pub(super) fn describe(
        &self,
        target: &Target,
        references: &[Reference],
    ) -> Result<Response<Body>, Refusal> {
        let version = match self.router.enter(&target.model, references) {
            Ok(entered) => entered.id.version,
            Err(Unrouted::NotReady { version, .. }) => version,
            Err(Unrouted::UnknownModel) => return Err(unknown_model(target)),
            Err(Unrouted::UnknownReference) => return Err(unknown_reference(target)),
        };
        let table = self.router.table();
        let routes = table
            .models
            .get(&*target.model)
            .ok_or_else(|| unknown_model(target))?;
        let description =
            description(target, version, routes).ok_or_else(|| unknown_reference(target))?;
        let text = serde_json::to_string(&description)
            .map_err(|reason| Refusal::new(ErrorCode::InternalError, reason.to_string()))?;
        let mut response = json(StatusCode::OK, text);
        let id = serving_core::ServableId::new(&*target.model, version);
        sign(response.headers_mut(), &id);
        Ok(response)
    }
}

fn description<'a>(
    target: &'a Target,
    version: Version,
    routes: &'a ModelRoutes<Arc<VersionStack>>,
) -> Option<Description<'a>> {
    let (state, message, stack) = match routes.versions.get(&version)? {
        VersionRoute::Reachable(route) => (Phase::Ready.name(), None, Some(&route.target)),
        VersionRoute::Unreachable(phase) => {
            let message = match phase {
                Phase::Failed(failure) => Some(failure.message.to_string()),
                _ => None,
            };
            (phase.name(), message, None)
        }
    };
    let labels: Vec<&str> = routes
        .labels
        .iter()
        .filter(|(_, route)| route.current == Some(version))
        .map(|(label, _)| label.as_str())
        .collect();
    let number = version.to_string();
    let mut uris: BTreeMap<&str, String> = labels
        .iter()
        .map(|label| (*label, uri(&target.model, label)))
        .collect();
    uris.insert("version", uri(&target.model, &number));
    let about = stack.and_then(|stack| stack.about());
    let about = about.as_deref();
    let example = about.and_then(|about| about.example.as_ref());
    Some(Description {
        name: &target.model,
        version: version.0,
        reference: &target.reference,
        state,
        message,
        replicas: stack.map_or(0, |stack| stack.live()),
        asleep: stack.is_some_and(|stack| stack.is_asleep()),
        stages: labels
            .iter()
            .copied()
            .filter(|it| !it.starts_with('@'))
            .collect(),
        aliases: labels
            .iter()
            .filter_map(|it| it.strip_prefix('@'))
            .collect(),
        signature: about.and_then(|about| about.signature.clone()),
        example: example.and_then(|example| {
            Some(ShownExample {
                content_type: example.content_type.clone(),
                body: String::from_utf8(example.body.to_vec()).ok()?,
            })
        }),
        mlflow_version: about.and_then(|about| about.mlflow_version.clone()),
        uris,
    })
}

fn uri(model: &str, reference: &str) -> String {
    format!("{}/invocations", path(model, reference))
}

/// Where a version is described; its operations are below.
pub(super) fn path(model: &str, reference: &str) -> String {
    let model = utf8_percent_encode(model, SEGMENT);
    let reference = utf8_percent_encode(reference, SEGMENT);
    format!("/model/{model}/{reference}")
}
