//! The URLs that clients score at, as they are shown.

use http::HeaderMap;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::About;
use crate::base_url::base_url;

/// Everything but the unreserved characters of RFC 3986, and `@`, which begins an alias and may stand in a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'@');

/// Writes URLs as the client of one request would reach them.
#[derive(Clone, Debug)]
pub(super) struct Uris {
    base: String,
}

impl Uris {
    /// From the configured address, else from the request's `Host`, else from the listener's address.
    pub(super) fn new(about: &About, headers: &HeaderMap) -> Self {
        let base = base_url(about.public_url.as_ref(), headers);
        Self {
            base: base.unwrap_or_else(|| format!("http://{}", about.listen)),
        }
    }

    /// Where `reference` of `model` is scored.
    pub(super) fn scoring(&self, model: &str, reference: &str) -> String {
        let encode = |segment| utf8_percent_encode(segment, SEGMENT);
        format!(
            "{}/model/{}/{}/invocations",
            self.base,
            encode(model),
            encode(reference)
        )
    }
}
