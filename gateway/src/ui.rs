//! The web page: its files, embedded in the binary, and the headers under which a browser runs them.
//!
//! The page is a client of `/api/v1` like any other and gets nothing else from here. It is made of static files alone, so
//! that nothing a registry, a model or a log says ever passes through a template.

mod assets;

use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};

use crate::control_plane::{ControlState, Refused};
use assets::Asset;

/// Scripts and styles of this origin's files alone, nothing inline, no markup made of strings (trusted types), no frames.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
     form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
);

/// The page's own routes; nobody has to be known to fetch files that are the same for all.
pub(crate) fn routes() -> Router<Arc<ControlState>> {
    Router::new()
        .route("/", get(shell))
        .route("/ui", get(shell))
        .route("/ui/", get(shell))
        .route("/ui/{*below}", get(below))
}

/// Which view is shown, the address tells the page, not the server.
async fn shell(headers: HeaderMap) -> Response {
    answer(assets::shell(), &headers)
}

/// A file, or the page for a view; an address that names no view the page shows as such.
async fn below(uri: Uri, headers: HeaderMap) -> Result<Response, Refused> {
    let name = uri.path().strip_prefix("/ui/").unwrap_or_default();
    match assets::find(name) {
        Some(asset) => Ok(answer(asset, &headers)),
        None if is_view(name) => Ok(shell(headers).await),
        None => Err(Refused::missing(format!("the page has no file {name:?}"))),
    }
}

/// Models may have dots in their names; elsewhere a dot is a file's.
fn is_view(path: &str) -> bool {
    path.starts_with("models/") || !path.contains('.')
}

fn answer(asset: &'static Asset, request: &HeaderMap) -> Response {
    let headers = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (CONTENT_TYPE, HeaderValue::from_static(asset.content_type)),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            HeaderValue::from_static("same-origin"),
        ),
        // Asked for each time, answered with 304: after an update nobody runs half of an old page.
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (VARY, HeaderValue::from_static("accept-encoding")),
        (ETAG, asset.etag()),
    ];
    let is_known = request
        .get(IF_NONE_MATCH)
        .is_some_and(|known| *known == asset.etag());
    if is_known {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    let takes_gzip = request
        .get(ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("gzip"));
    if takes_gzip {
        let encoding = [(CONTENT_ENCODING, HeaderValue::from_static("gzip"))];
        (headers, encoding, asset.compressed()).into_response()
    } else {
        (headers, asset.content).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_allows_nothing_inline() {
        let policy = POLICY;
        let policy = policy.to_str().unwrap();
        assert!(
            !policy.contains("unsafe") && !policy.contains('*'),
            "{policy}"
        );
    }

    #[test]
    fn a_name_with_a_dot_is_a_files_unless_it_is_a_models() {
        for view in ["models/iris/events", "models/a.b", "models", "whatever"] {
            assert!(is_view(view), "{view}");
        }
        for file in ["nothing.js", "assets/nothing.js", "robots.txt"] {
            assert!(!is_view(file), "{file}");
        }
    }

    #[test]
    fn a_browser_that_has_the_file_is_told_so() {
        let asset = assets::shell();
        let first = answer(asset, &HeaderMap::new());
        let known = first.headers()[ETAG].clone();
        let again = answer(asset, &HeaderMap::from_iter([(IF_NONE_MATCH, known)]));
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(again.headers()[CONTENT_SECURITY_POLICY], POLICY);
    }
}
