//! What handlers take out of a request, refused in the API's own words.

use std::fmt::Display;
use std::str::FromStr;

use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use bytes::Bytes;
use http::request::Parts;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use serving_core::{ServableId, Version};

use super::Refused;
use crate::error::ErrorCode;

/// Bodies of the control plane are settings, not data.
const BODY_LIMIT: usize = 1 << 20;

/// The named segments of the path, each decoded once: a `/` within a name comes as `%2F`.
pub(crate) struct Segments<T>(pub(crate) T);

/// The query.
pub(crate) struct Parameters<T>(pub(crate) T);

/// The body as JSON, whatever its `Content-Type` says; nothing counts as an empty object.
pub(crate) struct Body(pub(crate) Map<String, Value>);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Segments<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        path.map(|Path(segments)| Self(segments))
            .map_err(|_| Refused::invalid("the path is not percent-encoded UTF-8"))
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        Query::<T>::try_from_uri(&parts.uri)
            .map(|Query(parameters)| Self(parameters))
            .map_err(|error| {
                Refused::invalid(format!("the query cannot be read: {}", error.body_text()))
            })
    }
}

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refused> {
        let bytes: Bytes = to_bytes(request.into_body(), BODY_LIMIT)
            .await
            .map_err(|_| {
                Refused::new(
                    ErrorCode::RequestTooLarge,
                    "the body is larger than 1 MB, or was cut off",
                )
            })?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self(Map::new()));
        }
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(object)) => Ok(Self(object)),
            Ok(_) => Err(Refused::invalid("the body has to be a JSON object")),
            Err(error) => Err(Refused::invalid(format!("the body is not JSON: {error}"))),
        }
    }
}

impl Body {
    /// The body as a `T`; what does not fit is named.
    pub(crate) fn read<T: DeserializeOwned>(self) -> Result<T, Refused> {
        serde_json::from_value(Value::Object(self.0))
            .map_err(|error| Refused::invalid(format!("the body: {error}")))
    }
}

/// The version that a path names; what is no number is no version.
pub(super) fn servable(model: &str, version: &str) -> Result<ServableId, Refused> {
    let number: Version = version
        .parse()
        .map_err(|_| unknown_version(model, version))?;
    Ok(ServableId::new(model, number))
}

pub(super) fn unknown_version(model: &str, version: impl Display) -> Refused {
    Refused::missing(format!("the model {model:?} has no version {version} here"))
}

/// A value of the query that was given as text.
pub(super) fn parameter<T>(name: &str, text: Option<&str>) -> Result<Option<T>, Refused>
where
    T: FromStr,
    T::Err: Display,
{
    text.map(str::parse)
        .transpose()
        .map_err(|error: T::Err| Refused::invalid(format!("the parameter {name:?}: {error}")))
}

/// How many items a page has: 1 to 1,000.
pub(super) fn page_size(asked: Option<&str>, default: usize) -> Result<usize, Refused> {
    let size = parameter::<usize>("max_results", asked)?.unwrap_or(default);
    if (1..=1000).contains(&size) {
        Ok(size)
    } else {
        Err(Refused::invalid(
            "the parameter \"max_results\" is from 1 to 1000",
        ))
    }
}
