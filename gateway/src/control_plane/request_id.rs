//! The id by which people find one request again: the caller's if it is sane, otherwise a new one.

use http::{HeaderMap, HeaderName, HeaderValue};

pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longer ids are somebody's mistake.
const LONGEST: usize = 128;

/// Visible ASCII, so that it fits into a header, a log line and JSON as it is.
pub(super) fn take_or_make(headers: &HeaderMap) -> HeaderValue {
    let sane = |value: &&HeaderValue| {
        let bytes = value.as_bytes();
        (1..=LONGEST).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
    };
    let made = || HeaderValue::try_from(format!("{:032x}", rand::random::<u128>())).ok();
    let taken = headers.get(X_REQUEST_ID).filter(sane).cloned();
    taken
        .or_else(made)
        .unwrap_or_else(|| HeaderValue::from_static("-"))
}
