//! Answers that the gateway gives itself, all in the contract's shape.

use std::borrow::Cow;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serving_core::ServableId;

use super::body::{Body, full};
use crate::error::{ApiError, ErrorCode, ToldCode, whole_seconds};
use crate::request_id::{RequestId, X_REQUEST_ID};

const SERVED_MODEL_NAME: HeaderName = HeaderName::from_static("served-model-name");
const X_SLUICEGATE_VERSION: HeaderName = HeaderName::from_static("x-sluicegate-version");

const NO_SNIFFING: HeaderValue = HeaderValue::from_static("nosniff");
const NOTHING_RUNS: HeaderValue = HeaderValue::from_static("sandbox; default-src 'none'");

/// What a header cannot carry; bytes over 0x7f are always encoded.
const NOT_IN_A_HEADER: &AsciiSet = CONTROLS;

/// An error on its way to a client: ours, or a worker's in our shape.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) error_code: Cow<'static, str>,
    pub(super) message: String,
    pub(super) retry_after: Option<Duration>,
    /// Shown only where the setting says so.
    pub(super) stack_trace: Option<String>,
    /// What the caller is asked for, where it is not known who that is.
    challenge: Option<Box<HeaderValue>>,
}

impl Refusal {
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        ApiError::new(code, message).into()
    }

    /// Asks whoever sent `headers` for a credential, if the want of one is what is refused.
    pub(super) fn challenging(mut self, headers: &HeaderMap) -> Self {
        if self.status == StatusCode::UNAUTHORIZED {
            self.challenge = Some(Box::new(auth::challenge(headers)));
        }
        self
    }

    pub(super) fn into_response(self, id: &RequestId) -> Response<Body> {
        let mut shown = serde_json::json!({
            "error_code": self.error_code,
            "message": self.message,
            "request_id": id.as_str(),
        });
        if let Some(stack_trace) = self.stack_trace {
            shown["stack_trace"] = stack_trace.into();
        }
        let mut response = json(self.status, shown.to_string());
        response.extensions_mut().insert(ToldCode(self.error_code));
        let headers = response.headers_mut();
        if let Some(pause) = self.retry_after {
            headers.insert(header::RETRY_AFTER, whole_seconds(pause).into());
        }
        if let Some(challenge) = self.challenge {
            headers.insert(header::WWW_AUTHENTICATE, *challenge);
        }
        response
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self {
            status: error.code.status(),
            error_code: error.code.as_str().into(),
            message: error.message,
            retry_after: error.retry_after,
            stack_trace: None,
            challenge: None,
        }
    }
}

/// A JSON answer.
pub(super) fn json(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(full(text));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// Says which request this answers, and that a browser shows it at most: what a model answers could be a page with scripts,
/// of the gateway's origin.
pub(super) fn stamp(headers: &mut HeaderMap, id: &RequestId) {
    headers.insert(X_REQUEST_ID, id.header());
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NO_SNIFFING);
    headers.insert(header::CONTENT_SECURITY_POLICY, NOTHING_RUNS);
}

/// Keeps answers that depend on who asks out of caches.
pub(super) fn keep_out_of_caches(headers: &mut HeaderMap) {
    let cached = headers.entry(header::CACHE_CONTROL);
    cached.or_insert(HeaderValue::from_static("no-store"));
}

/// Says who answered.
pub(super) fn sign(headers: &mut HeaderMap, id: &ServableId) {
    Signed::of(id).put(headers);
}

/// Who answers, as headers: made once for all answers of a version.
#[derive(Clone, Debug)]
pub(super) struct Signed {
    /// `None` where no header can carry it.
    served: Option<HeaderValue>,
    version: HeaderValue,
}

impl Signed {
    pub(super) fn of(id: &ServableId) -> Self {
        let served = format!("{}-{}", id.model, id.version);
        let served = utf8_percent_encode(&served, NOT_IN_A_HEADER).to_string();
        Self {
            served: HeaderValue::try_from(served).ok(),
            version: id.version.0.into(),
        }
    }

    pub(super) fn put(&self, headers: &mut HeaderMap) {
        if let Some(served) = &self.served {
            headers.insert(SERVED_MODEL_NAME, served.clone());
        }
        headers.insert(X_SLUICEGATE_VERSION, self.version.clone());
    }
}

#[cfg(test)]
mod tests {
    use serving_core::Version;

    use super::*;

    #[test]
    fn a_name_is_shown_as_it_is_as_far_as_a_header_can() {
        for (name, shown) in [
            ("iris", "iris-7"),
            ("my model 100%", "my model 100%-7"),
            ("a/b", "a/b-7"),
            ("caf\u{e9}", "caf%C3%A9-7"),
            ("a\r\nX: y", "a%0D%0AX: y-7"),
        ] {
            let mut headers = HeaderMap::new();
            sign(&mut headers, &ServableId::new(name, Version(7)));
            assert_eq!(headers[SERVED_MODEL_NAME], shown);
            assert_eq!(headers[X_SLUICEGATE_VERSION], "7");
        }
    }
}
