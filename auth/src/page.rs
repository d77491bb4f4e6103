//! Whether a request comes from a page of this gateway: a cookie comes with whatever makes a browser ask, so it proves
//! who sits there, and not what made the browser ask.

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderName, Method};
use url::Url;

/// A header that a page of ours sends, and that no form and no other origin can: they would have to ask for leave first
/// (CORS), which is never given.
pub const PAGE_HEADER: &str = "x-sluicegate-page";

/// Where a browser says that the page is from: <https://www.w3.org/TR/fetch-metadata/>. Only over TLS, and from this host.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// The host that a browser asked for, where a proxy asks for another.
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// How a browser came to the proxy in front.
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What speaks against a page of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stranger {
    /// The browser names another origin.
    Elsewhere,
    /// It could be a form of anybody.
    NoHeader,
}

/// Where browsers find the gateway's pages.
#[derive(Clone, Debug, Default)]
pub(crate) struct Home {
    /// Host and port, where that is configured; else what requests say.
    authority: Option<String>,
    /// Whether it is reached there over TLS.
    is_https: bool,
}

impl Home {
    /// Also at this address.
    pub(crate) fn at(public_url: Option<&Url>) -> Self {
        let authority = public_url.and_then(|url| {
            let host = url.host_str()?;
            Some(match url.port() {
                Some(port) => format!("{host}:{port}"),
                None => host.to_owned(),
            })
        });
        Self {
            authority,
            is_https: public_url.is_some_and(|url| url.scheme() == "https"),
        }
    }

    /// Whether the browser came over TLS: it says so itself, in `Origin`, or the proxy in front does. Where neither says
    /// anything, who asks for the configured host came as is configured.
    pub(crate) fn is_over_tls(&self, headers: &HeaderMap) -> bool {
        if let Some(origin) = headers.get(ORIGIN) {
            return origin.as_bytes().starts_with(b"https://");
        }
        if let Some(proto) = headers.get(FORWARDED_PROTO) {
            return proto.as_bytes().eq_ignore_ascii_case(b"https");
        }
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let known = self.authority.as_deref().zip(host);
        self.is_https && known.is_some_and(|(home, host)| host.eq_ignore_ascii_case(home))
    }

    /// `SameSite` keeps other sites out, but not other ports and sibling domains of this host. So what may change something
    /// has to carry [`PAGE_HEADER`]. `GET` and `HEAD` change nothing and need not, because streams and downloads cannot have
    /// it; but where the browser says who asks, nobody else gets an answer, not even one that it could only run as a script.
    pub(crate) fn check(&self, method: &Method, headers: &HeaderMap) -> Result<(), Stranger> {
        if self.is_elsewhere(headers) {
            return Err(Stranger::Elsewhere);
        }
        let is_safe = matches!(*method, Method::GET | Method::HEAD);
        if is_safe || headers.contains_key(PAGE_HEADER) {
            Ok(())
        } else {
            Err(Stranger::NoHeader)
        }
    }

    /// Whether the browser says that a page of another origin asks. Programs say nothing of that.
    pub(crate) fn is_elsewhere(&self, headers: &HeaderMap) -> bool {
        if let Some(site) = headers.get(FETCH_SITE) {
            // `none` is a person who typed the address.
            return site != "same-origin" && site != "none";
        }
        let Some(origin) = headers.get(ORIGIN) else {
            return false;
        };
        let named = origin.to_str().ok().and_then(|text| text.split_once("://"));
        // `null`: a page that hides where it is from.
        let Some((scheme, asking)) = named else {
            return true;
        };
        let asking = without_usual_port(scheme, asking);
        let is_it = |home: &str| without_usual_port(scheme, home).eq_ignore_ascii_case(asking);
        let told = [HOST, FORWARDED_HOST];
        let mut told = told
            .iter()
            .filter_map(|name| headers.get(name)?.to_str().ok());
        !self.authority.as_deref().is_some_and(is_it)
            && !told.any(|hosts| hosts.split(',').any(|host| is_it(host.trim())))
    }
}

/// Browsers leave out the port of the scheme, and some proxies do not.
fn without_usual_port<'a>(scheme: &str, authority: &'a str) -> &'a str {
    let port = if scheme == "https" { ":443" } else { ":80" };
    authority.strip_suffix(port).unwrap_or(authority)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn what_changes_something_needs_the_header_and_what_does_not_does_not() {
        let home = Home::default();
        for method in [
            Method::POST,
            Method::PUT,
            Method::DELETE,
            Method::PATCH,
            Method::OPTIONS,
        ] {
            let without = home.check(&method, &headers(&[("host", "gate")]));
            assert_eq!(without, Err(Stranger::NoHeader), "{method}");
            let with = headers(&[("host", "gate"), (PAGE_HEADER, "1")]);
            assert_eq!(home.check(&method, &with), Ok(()), "{method}");
        }
        for method in [Method::GET, Method::HEAD] {
            assert_eq!(home.check(&method, &headers(&[])), Ok(()), "{method}");
        }
    }

    #[test]
    fn what_the_browser_says_counts_more_than_what_hosts_are_called() {
        let home = Home::default();
        for (site, is_home) in [
            ("same-origin", true),
            ("none", true),
            ("same-site", false),
            ("cross-site", false),
            ("", false),
        ] {
            let headers = headers(&[
                ("sec-fetch-site", site),
                ("origin", "https://models.example"),
                ("host", "10.0.0.7:8080"),
            ]);
            assert_eq!(
                home.check(&Method::GET, &headers).is_ok(),
                is_home,
                "{site}"
            );
        }
    }

    #[test]
    fn an_origin_is_ours_if_its_host_is_the_one_that_was_asked_for() {
        let home = Home::default();
        let public = Home::at(Some(&"https://models.example/gate".parse().unwrap()));
        for (origin, host, forwarded, at_home, at_public) in [
            ("http://gate:8080", "gate:8080", "", true, true),
            ("http://GATE:8080", "gate:8080", "", true, true),
            ("http://gate", "gate:80", "", true, true),
            ("https://gate", "gate:443", "", true, true),
            ("https://models.example", "10.0.0.7:8080", "", false, true),
            (
                "https://models.example",
                "10.0.0.7:8080",
                "models.example, inner",
                true,
                true,
            ),
            ("http://gate:9090", "gate:8080", "", false, false),
            ("http://gate", "gate:443", "", false, false),
            ("http://evil.example", "gate:8080", "", false, false),
            ("null", "gate:8080", "", false, false),
            ("", "gate:8080", "", false, false),
            ("http://", "gate:8080", "", false, false),
        ] {
            let pairs = [
                ("origin", origin),
                ("host", host),
                ("x-forwarded-host", forwarded),
            ];
            let given = pairs
                .iter()
                .filter(|(name, value)| *name != "x-forwarded-host" || !value.is_empty());
            let headers = headers(&given.copied().collect::<Vec<_>>());
            for (home, expected) in [(&home, at_home), (&public, at_public)] {
                let found = home.check(&Method::GET, &headers).is_ok();
                assert_eq!(found, expected, "{origin} {host} {forwarded}");
            }
        }
    }
}
