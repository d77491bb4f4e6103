//! The path of a scoring URL: `/model/{name}/{reference}/invocations`, `…/ping`, `…/openapi.json`, or none.

use std::sync::Arc;

use http::Method;
use percent_encoding::percent_decode_str;
use serving_core::{Label, Reference, Version};

/// What the path asks for, and of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The model's name, decoded.
    pub(super) model: Arc<str>,
    /// The reference as it was typed, decoded.
    pub(super) reference: Arc<str>,
    pub(super) operation: Operation,
}

/// What can be done with a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// `POST …/invocations`.
    Score,
    /// `GET …/ping`.
    Ping,
    /// `GET /model/{name}/{reference}`.
    Describe,
    /// `GET …/openapi.json`.
    Document,
}

/// Why a path leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidTarget {
    #[error(
        "there is nothing at this path; models are scored at /model/<name>/<version, stage or alias>/invocations"
    )]
    UnknownPath,
    #[error("the path is not percent-encoded UTF-8")]
    Encoding,
}

impl Target {
    /// Reads the path of a request, without its query. Each segment is decoded once, so that a `/` within a name is
    /// written `%2F`. One slash at the end is tolerated.
    pub(super) fn parse(path: &str) -> Result<Self, InvalidTarget> {
        let rest = path
            .strip_prefix("/model/")
            .ok_or(InvalidTarget::UnknownPath)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let mut segments = rest.split('/');
        let (Some(model), Some(reference)) = (segments.next(), segments.next()) else {
            return Err(InvalidTarget::UnknownPath);
        };
        let operation = match (segments.next(), segments.next()) {
            (None, _) => Operation::Describe,
            (Some("invocations"), None) => Operation::Score,
            (Some("ping"), None) => Operation::Ping,
            (Some("openapi.json"), None) => Operation::Document,
            _ => return Err(InvalidTarget::UnknownPath),
        };
        let (model, reference) = (decode(model)?, decode(reference)?);
        if model.is_empty() || reference.is_empty() {
            return Err(InvalidTarget::UnknownPath);
        }
        Ok(Self {
            model,
            reference,
            operation,
        })
    }
}

impl Operation {
    /// The methods that it takes, as `Allow` lists them.
    pub(super) fn allow(self) -> &'static str {
        match self {
            Self::Score => "POST",
            Self::Ping | Self::Describe | Self::Document => "GET, HEAD",
        }
    }

    /// The pattern of its paths.
    pub(super) fn route(self) -> &'static str {
        match self {
            Self::Score => "/model/{name}/{reference}/invocations",
            Self::Ping => "/model/{name}/{reference}/ping",
            Self::Describe => "/model/{name}/{reference}",
            Self::Document => "/model/{name}/{reference}/openapi.json",
        }
    }

    /// Whether `method` is one of them.
    pub(super) fn takes(self, method: &Method) -> bool {
        match self {
            Self::Score => method == Method::POST,
            Self::Ping | Self::Describe | Self::Document => {
                method == Method::GET || method == Method::HEAD
            }
        }
    }
}

/// What a typed reference can mean, in the contract's order: a number is a version; `@x` an alias; otherwise a stage,
/// `latest`, or an alias.
pub(super) fn references(typed: &str) -> Vec<Reference> {
    let label = |text: &str| Reference::Label(Label::from(text));
    let alias = |name: &str| Reference::Label(Label::from(format!("@{name}")));
    if typed.bytes().all(|byte| byte.is_ascii_digit()) {
        return typed
            .parse::<Version>()
            .map(Reference::Version)
            .into_iter()
            .collect();
    }
    if typed.starts_with('@') {
        return vec![label(typed)];
    }
    for stage in ["Production", "Staging"] {
        if typed.eq_ignore_ascii_case(stage) {
            return vec![label(stage), alias(typed)];
        }
    }
    if typed.eq_ignore_ascii_case("latest") {
        return vec![Reference::Latest];
    }
    vec![alias(typed)]
}

fn decode(segment: &str) -> Result<Arc<str>, InvalidTarget> {
    // The decoder lets a broken escape pass as it is; a client that sends one meant something else.
    let mut escapes = segment.split('%').skip(1);
    let is_escape = |rest: &str| {
        let digits = rest.as_bytes();
        digits.len() >= 2 && digits[..2].iter().all(u8::is_ascii_hexdigit)
    };
    if !escapes.all(is_escape) {
        return Err(InvalidTarget::Encoding);
    }
    let decoded = percent_decode_str(segment).decode_utf8();
    let decoded = decoded.map_err(|_| InvalidTarget::Encoding)?;
    Ok(decoded.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(path: &str) -> Result<(Arc<str>, Arc<str>, Operation), InvalidTarget> {
        Target::parse(path).map(|it| (it.model, it.reference, it.operation))
    }

    #[test]
    fn names_and_references_are_decoded_exactly_once() {
        for (path, model, reference, operation) in [
            ("/model/iris/1/invocations", "iris", "1", Operation::Score),
            (
                "/model/iris/Production/invocations/",
                "iris",
                "Production",
                Operation::Score,
            ),
            ("/model/iris/1/ping", "iris", "1", Operation::Ping),
            ("/model/iris/1", "iris", "1", Operation::Describe),
            (
                "/model/iris/1/openapi.json",
                "iris",
                "1",
                Operation::Document,
            ),
            ("/model/iris/1/", "iris", "1", Operation::Describe),
            ("/model/a%2Fb%20c/@x", "a/b c", "@x", Operation::Describe),
            ("/model/100%25%2525/1", "100%%25", "1", Operation::Describe),
            (
                "/model/%C3%A9%E2%82%AC/%40x",
                "é€",
                "@x",
                Operation::Describe,
            ),
            ("/model/a+b/1", "a+b", "1", Operation::Describe),
            (
                "/model/invocations/ping/ping",
                "invocations",
                "ping",
                Operation::Ping,
            ),
            ("/model/../1", "..", "1", Operation::Describe),
        ] {
            let expected = (model.into(), reference.into(), operation);
            assert_eq!(target(path), Ok(expected), "{path}");
        }
    }

    #[test]
    fn other_paths_lead_nowhere() {
        for path in [
            "/",
            "/model",
            "/model/",
            "/model/iris",
            "/model/iris/",
            "/model//1",
            "/model/iris//invocations",
            "/model/a/b/1/invocations",
            "/model/iris/1/invocations/x",
            "/model/iris/1//",
            "/models/iris/1",
            "/model/iris/1/version",
            "/Model/iris/1",
        ] {
            assert_eq!(target(path), Err(InvalidTarget::UnknownPath), "{path}");
        }
    }

    #[test]
    fn broken_escapes_and_texts_are_refused() {
        for path in [
            "/model/%/1",
            "/model/%2/1",
            "/model/%zz/1",
            "/model/%ff/1",
            "/model/a/%+1",
        ] {
            assert_eq!(target(path), Err(InvalidTarget::Encoding), "{path}");
        }
    }

    #[test]
    fn references_are_tried_in_the_order_of_the_contract() {
        let label = |text: &str| Reference::Label(Label::from(text));
        for (typed, expected) in [
            ("12", vec![Reference::Version(Version(12))]),
            ("01", vec![]),
            ("99999999999999999999", vec![]),
            ("@12", vec![label("@12")]),
            (
                "production",
                vec![label("Production"), label("@production")],
            ),
            ("STAGING", vec![label("Staging"), label("@STAGING")]),
            ("Latest", vec![Reference::Latest]),
            ("champion", vec![label("@champion")]),
            ("None", vec![label("@None")]),
        ] {
            assert_eq!(references(typed), expected, "{typed}");
        }
    }
}
