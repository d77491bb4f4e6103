//! Under which address the client of a request reaches the gateway.

use http::HeaderMap;
use http::header::HOST;
use http::uri::Authority;
use url::Url;

/// The configured address, else the request's `Host`; without a slash at the end.
pub(crate) fn base_url(configured: Option<&Url>, headers: &HeaderMap) -> Option<String> {
    if let Some(url) = configured {
        return Some(without_slash(url));
    }
    let host = headers.get(HOST)?.to_str().ok()?;
    let host: Authority = host.parse().ok()?;
    Some(format!("http://{host}"))
}

/// An address that paths can be appended to.
pub(crate) fn without_slash(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_configured_address_goes_before_the_host_and_a_broken_host_is_none() {
        let url: Url = "https://models.example/gate/".parse().unwrap();
        let host = |text: &'static [u8]| {
            let value = HeaderValue::from_bytes(text).unwrap();
            HeaderMap::from_iter([(HOST, value)])
        };
        let gate = host(b"gate:8080");
        let configured = base_url(Some(&url), &gate);
        assert_eq!(configured.as_deref(), Some("https://models.example/gate"));
        assert_eq!(base_url(None, &gate).as_deref(), Some("http://gate:8080"));
        assert_eq!(base_url(None, &HeaderMap::new()), None);
        for broken in [&b"a b"[..], b"\xff", b"/"] {
            assert_eq!(base_url(None, &host(broken)), None);
        }
    }
}
