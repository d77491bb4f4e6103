//! From an answer that is not a success to an error that says what to do.

use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Response, StatusCode};

use super::types::ErrorReply;
use crate::error::RegistryError;

/// Of a refusal, no more than this is shown, in characters.
const SHOWN: usize = 300;

/// The error for an answer with `status` and `body` to the call `what`.
///
/// MLflow's own errors are JSON; its security layers answer in HTML or bare text: 401 and 403 of `basic-auth`
/// (2.x, 3.x), the host check (3.x), unknown routes (all).
pub(super) fn error(status: StatusCode, body: &[u8], what: &str, base: &str) -> RegistryError {
    let reply: Option<ErrorReply> = serde_json::from_slice(body).ok();
    let is_json = reply.is_some();
    let reply = reply.unwrap_or_default();
    let text = String::from_utf8_lossy(body);
    let message = if is_json {
        shorten(&reply.message)
    } else {
        readable(&text)
    };
    let what = what.to_owned();
    let code = status.as_u16();
    match status {
        StatusCode::UNAUTHORIZED => RegistryError::Unauthenticated,
        StatusCode::FORBIDDEN if text.contains("Invalid Host header") => {
            RegistryError::HostRefused {
                url: base.to_owned(),
            }
        }
        StatusCode::FORBIDDEN => RegistryError::Denied { what, message },
        _ if reply.error_code == "RESOURCE_DOES_NOT_EXIST" => RegistryError::NotFound(message),
        StatusCode::NOT_FOUND if !is_json => RegistryError::NotMlflow {
            url: base.to_owned(),
            reason: format!("404 for {what}"),
        },
        StatusCode::NOT_FOUND => RegistryError::NotFound(message),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => RegistryError::Failing {
            what,
            status: code,
            message,
        },
        _ if status.is_server_error() => RegistryError::Failing {
            what,
            status: code,
            message,
        },
        _ => RegistryError::Refused {
            what,
            status: code,
            message,
        },
    }
}

/// Where a redirect that was not followed leads: the origin only, as the rest may hold secrets.
pub(super) fn redirect_target(response: &Response) -> Option<String> {
    if !response.status().is_redirection() {
        return None;
    }
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    let target = response.url().join(location).ok()?;
    Some(target.origin().ascii_serialization())
}

/// The type of an answer, for errors.
pub(super) fn content_type(response: &Response) -> String {
    let value = response.headers().get(CONTENT_TYPE);
    let value = value.and_then(|value| value.to_str().ok());
    value.unwrap_or("something without a type").to_owned()
}

/// What an answer that is not JSON says: a bare text, or the title of a page.
fn readable(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() {
        return "no reason given".to_owned();
    }
    if !text.starts_with('<') {
        return shorten(text);
    }
    let title = text
        .split_once("<title>")
        .and_then(|(_, rest)| rest.split_once("</title>"));
    match title {
        Some((title, _)) => shorten(title.trim()),
        None => "an HTML page".to_owned(),
    }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, body: &str) -> RegistryError {
        let status = StatusCode::from_u16(status).unwrap();
        error(
            status,
            body.as_bytes(),
            "model-versions/search",
            "http://mlflow:5000",
        )
    }

    #[test]
    fn refused_credentials_name_the_variables_to_set() {
        let error = refusal(401, "You are not authenticated. Please see https://…");
        assert_eq!(error, RegistryError::Unauthenticated);
        let shown = error.to_string();
        for name in ["USERNAME", "PASSWORD", "TOKEN"] {
            assert!(
                shown.contains(&format!("MLFLOW_TRACKING_{name}")),
                "{shown}"
            );
        }
    }

    #[test]
    fn a_refusal_in_bare_text_keeps_its_text() {
        let denied = refusal(403, "Permission denied");
        assert!(
            denied.to_string().contains("Permission denied")
                && denied.to_string().contains("grant")
        );
        let host = refusal(
            403,
            "Invalid Host header - possible DNS rebinding attack detected",
        );
        assert!(host.to_string().contains("--allowed-hosts"));
    }

    #[test]
    fn an_unknown_route_means_that_this_is_no_mlflow_server() {
        let page = "<!doctype html>\n<title>404 Not Found</title><h1>Not Found</h1>";
        assert!(matches!(
            refusal(404, page),
            RegistryError::NotMlflow { .. }
        ));
    }

    #[test]
    fn a_missing_thing_is_told_from_a_missing_route() {
        let body = r#"{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Registered Model with name=nope not found"}"#;
        assert_eq!(
            refusal(404, body),
            RegistryError::NotFound("Registered Model with name=nope not found".into())
        );
    }

    #[test]
    fn a_page_is_shown_by_its_title_and_long_texts_are_cut() {
        assert_eq!(
            readable("<html><title> Bad gateway </title>…"),
            "Bad gateway"
        );
        assert_eq!(readable(&"ä".repeat(1000)).chars().count(), SHOWN + 1);
    }
}
