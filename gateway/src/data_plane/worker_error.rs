//! What a client is told when a worker answers with an error: its words, our shape, no traces of code.

use http::StatusCode;
use serde::Deserialize;
use std::time::Duration;

use super::reply::Refusal;
use crate::error::ErrorCode;

/// A worker that is short of something is asked again after this.
const PAUSE: Duration = Duration::from_secs(1);

/// Errors as MLflow's scoring servers write them (1.30 to 3.17), and as FastAPI does under them.
#[derive(Debug, Default, Deserialize)]
struct Written {
    error_code: Option<String>,
    message: Option<String>,
    stack_trace: Option<String>,
    detail: Option<serde_json::Value>,
}

/// Puts a worker's error into our shape. `body` is `None` if it was too long to read.
///
/// A client error of the model's own is a 400 whatever the worker calls it: a 404 or a 401 from here would speak of the
/// model itself or of the caller.
pub(super) fn translate(status: StatusCode, body: Option<&[u8]>) -> Refusal {
    let written: Written = body
        .and_then(|body| serde_json::from_slice(body).ok())
        .unwrap_or_default();
    let is_ours = written.error_code.is_none();
    let code = match status {
        StatusCode::GATEWAY_TIMEOUT => ErrorCode::DeadlineExceeded,
        StatusCode::SERVICE_UNAVAILABLE => ErrorCode::TemporarilyUnavailable,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ErrorCode::UnsupportedMediaType,
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED if is_ours => ErrorCode::BadGateway,
        _ if status.is_client_error() => ErrorCode::BadRequest,
        _ if status.is_server_error() => ErrorCode::InternalError,
        _ => ErrorCode::BadGateway,
    };
    let message = match (written.message, written.detail, body) {
        (Some(message), _, _) => message,
        (None, Some(detail), _) => said(status, detail.as_str().unwrap_or(&detail.to_string())),
        (None, None, Some(body)) => said(status, String::from_utf8_lossy(body).trim()),
        (None, None, None) => said(status, "an error too long to repeat"),
    };
    let mut refusal = Refusal::new(code, message);
    if let Some(error_code) = written.error_code {
        refusal.error_code = error_code.into();
    }
    if code == ErrorCode::TemporarilyUnavailable {
        refusal.retry_after = Some(PAUSE);
    }
    refusal.stack_trace = written.stack_trace.filter(|trace| !trace.is_empty());
    refusal
}

fn said(status: StatusCode, text: &str) -> String {
    if text.is_empty() {
        format!("the model's worker answered {status}")
    } else {
        format!("the model's worker answered {status}: {text}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_of_a_worker_has_our_shape() {
        let long = "The scoring server only supports UTF-8";
        for (status, body, expected, code, message) in [
            (
                400,
                r#"{"error_code": "INVALID_PARAMETER_VALUE", "message": "Model is missing inputs ['a']."}"#,
                400,
                "INVALID_PARAMETER_VALUE",
                "Model is missing inputs ['a'].",
            ),
            (
                404,
                r#"{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no row"}"#,
                400,
                "RESOURCE_DOES_NOT_EXIST",
                "no row",
            ),
            (
                500,
                r#"{"error_code": "INTERNAL_ERROR", "message": "oh"}"#,
                500,
                "INTERNAL_ERROR",
                "oh",
            ),
            (
                400,
                "bad",
                400,
                "BAD_REQUEST",
                "the model's worker answered 400 Bad Request: bad",
            ),
            (
                404,
                r#"{"detail":"Not Found"}"#,
                502,
                "BAD_GATEWAY",
                "the model's worker answered 404 Not Found: Not Found",
            ),
            (
                415,
                long,
                415,
                "UNSUPPORTED_MEDIA_TYPE",
                "the model's worker answered 415 Unsupported Media Type: The scoring server only supports UTF-8",
            ),
            (
                422,
                r#"{"detail":[{"loc":[]}]}"#,
                400,
                "BAD_REQUEST",
                r#"the model's worker answered 422 Unprocessable Entity: [{"loc":[]}]"#,
            ),
            (
                500,
                "Internal Server Error",
                500,
                "INTERNAL_ERROR",
                "the model's worker answered 500 Internal Server Error: Internal Server Error",
            ),
            (
                503,
                "",
                503,
                "TEMPORARILY_UNAVAILABLE",
                "the model's worker answered 503 Service Unavailable",
            ),
            (
                504,
                "Request processing time exceeded limit",
                504,
                "DEADLINE_EXCEEDED",
                "the model's worker answered 504 Gateway Timeout: Request processing time exceeded limit",
            ),
            (
                302,
                "",
                502,
                "BAD_GATEWAY",
                "the model's worker answered 302 Found",
            ),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let refusal = translate(status, Some(body.as_bytes()));
            assert_eq!(refusal.status.as_u16(), expected, "{status} {body}");
            assert_eq!(refusal.error_code, code, "{status} {body}");
            assert_eq!(refusal.message, message);
            assert_eq!(refusal.retry_after.is_some(), expected == 503);
        }
    }

    #[test]
    fn a_stack_trace_is_set_apart_from_the_message() {
        let body = br#"{"error_code": "BAD_REQUEST", "message": "m", "stack_trace": "Traceback"}"#;
        let refusal = translate(StatusCode::BAD_REQUEST, Some(body));
        assert_eq!(refusal.message, "m");
        assert_eq!(refusal.stack_trace.as_deref(), Some("Traceback"));
    }

    #[test]
    fn an_error_too_long_to_read_is_still_an_error() {
        let refusal = translate(StatusCode::BAD_REQUEST, None);
        assert_eq!(refusal.status, StatusCode::BAD_REQUEST);
        assert!(refusal.message.ends_with("too long to repeat"));
    }
}
