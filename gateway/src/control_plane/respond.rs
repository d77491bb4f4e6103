//! Refusals on their way out: handlers return the error, the outermost layer writes the body with the request's id.

use std::time::Duration;

use axum::Json;
use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{Extensions, HeaderMap, HeaderValue, StatusCode, Uri, Version};
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{Predicate, SizeAbove};
use tracing::{debug, warn};

use crate::api::InvalidSetting;
use crate::control_plane::IntentError;
use crate::error::{ApiError, ErrorCode, ToldCode, whole_seconds};
use crate::request_id::{RequestId, X_REQUEST_ID};
use crate::store::StoreError;
use crate::telemetry::Trail;

/// When to come again after a failure that nobody knows the length of.
const PAUSE: Duration = Duration::from_secs(5);

/// Bytes of JSON that are not worth making shorter.
const SHORT: u16 = 1024;

/// An answer is what its type says, and nothing that a browser finds in it.
const NO_SNIFFING: HeaderValue = HeaderValue::from_static("nosniff");

/// A refusal, to be returned by handlers with `?`.
#[derive(Clone, Debug)]
pub(crate) struct Refused(pub(crate) ApiError);

impl Refused {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self(ApiError::new(code, message))
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidParameterValue, message)
    }

    /// It will be there later.
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        let error = ApiError::new(ErrorCode::TemporarilyUnavailable, message);
        Self(error.retry_after(PAUSE))
    }

    /// There is no room for it now.
    pub(crate) fn busy(message: impl Into<String>) -> Self {
        let error = ApiError::new(ErrorCode::ResourceExhausted, message);
        Self(error.retry_after(PAUSE))
    }

    pub(crate) fn missing(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::ResourceDoesNotExist, message)
    }
}

/// The status alone; the error travels beside it to [`finish`].
impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = self.0.code.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl From<InvalidSetting> for Refused {
    fn from(error: InvalidSetting) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        warn!(%error, "the store failed");
        Self::unavailable(error.to_string())
    }
}

impl From<auth::StoreError> for Refused {
    fn from(error: auth::StoreError) -> Self {
        warn!(%error, "the store of tokens failed");
        Self::unavailable(error.to_string())
    }
}

impl From<auth::RightsError> for Refused {
    fn from(error: auth::RightsError) -> Self {
        Self(error.into())
    }
}

impl From<IntentError> for Refused {
    fn from(error: IntentError) -> Self {
        match error {
            IntentError::Setting(error) => error.into(),
            IntentError::Store(error) => error.into(),
        }
    }
}

/// Answers for paths that nobody serves.
pub(super) async fn nothing_here(uri: Uri) -> Refused {
    Refused::missing(format!("there is nothing at {}", uri.path()))
}

/// Makes long JSON short for those who take it so: lists and figures are mostly names of fields. Streams and downloads go
/// as they are.
pub(super) fn compression() -> CompressionLayer<impl Predicate> {
    let is_json = |_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions| {
        let kind = headers.get(CONTENT_TYPE);
        kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"))
    };
    CompressionLayer::new().compress_when(SizeAbove::new(SHORT).and(is_json))
}

/// Gives every answer the request's id, and every refusal its body.
pub(super) async fn finish(request: Request, next: Next) -> Response {
    let id = RequestId::take_or_make(request.headers());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let challenge = auth::challenge(request.headers());
    if let Some(route) = request.extensions().get::<MatchedPath>() {
        Trail::of(request.extensions()).matched(route.as_str().to_owned());
    }
    let mut response = next.run(request).await;
    if let Some(Refused(error)) = response.extensions_mut().remove::<Refused>() {
        debug!(%method, path, %error, "refused");
        response = with_body(&error, &id, response);
    } else if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        let error = ApiError::new(
            ErrorCode::MethodNotAllowed,
            not_allowed(&response, method.as_str()),
        );
        response = with_body(&error, &id, response);
    }
    let headers = response.headers_mut();
    if headers.contains_key(WWW_AUTHENTICATE) {
        headers.insert(WWW_AUTHENTICATE, challenge);
    }
    headers.insert(X_REQUEST_ID, id.header());
    // A page of another port may ask with a person's cookie: it cannot read the answer, and cannot run a log as a script.
    headers.insert(X_CONTENT_TYPE_OPTIONS, NO_SNIFFING);
    // What is not for everybody stays in no cache.
    let cached = headers.entry(CACHE_CONTROL);
    cached.or_insert(HeaderValue::from_static("no-store"));
    response
}

fn with_body(error: &ApiError, id: &RequestId, old: Response) -> Response {
    let body = Json(error.body(id.as_str()));
    let mut response = (error.code.status(), body).into_response();
    let told = ToldCode(error.code.as_str().into());
    response.extensions_mut().insert(told);
    let headers = response.headers_mut();
    // What is in `old` besides a body, the `Allow` of a 405 above all.
    for (name, value) in old.headers().iter().filter(|(name, _)| *name == ALLOW) {
        headers.insert(name, value.clone());
    }
    if error.code == ErrorCode::Unauthenticated {
        headers.insert(WWW_AUTHENTICATE, auth::CHALLENGE);
    }
    if let Some(pause) = error.retry_after {
        headers.insert(RETRY_AFTER, whole_seconds(pause).into());
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn not_allowed(response: &Response, method: &str) -> String {
    let allowed = response
        .headers()
        .get(ALLOW)
        .and_then(|value| value.to_str().ok());
    format!(
        "{method} is not allowed here; allowed is {}",
        allowed.unwrap_or("nothing")
    )
}
