//! The URLs that clients score at, as they are shown.

use http::HeaderMap;
use http::header::HOST;
use http::uri::Authority;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::About;

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
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let host = host.and_then(|host| host.parse::<Authority>().ok());
        let base = match (&about.public_url, host) {
            (Some(url), _) => url.as_str().trim_end_matches('/').to_owned(),
            (None, Some(host)) => format!("http://{host}"),
            (None, None) => format!("http://{}", about.listen),
        };
        Self { base }
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
