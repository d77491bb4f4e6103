//! Which requests are looked at at all, before anybody asks who calls: browsers ask for whatever page they show, with the
//! passwords that they remember, and where nobody needs a password, with nothing.

use std::net::IpAddr;

use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, Method};
use url::Url;

use crate::page::Home;

/// How a browser makes a call: <https://www.w3.org/TR/fetch-metadata/>.
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
/// What the answer is for.
const FETCH_DESTINATION: HeaderName = HeaderName::from_static("sec-fetch-dest");
/// Characters of what a client sent that are told back to it.
const SHOWN: usize = 100;

/// Why a request is not looked at. The sentences are for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TurnedAway {
    /// The browser says that a page of another origin asks. No such page is ever let in (CORS), so that none has a use for it.
    #[error(
        "a browser sent this for a page of another origin ({0}), and this gateway answers its own pages and programs only; if \
         this is its own page, set public_url to the address that the browser shows"
    )]
    Elsewhere(String),
    /// Anybody can let a name of theirs point here, and is then of this origin for browsers.
    #[error(
        "this gateway is not known as {0:?}: where authentication is off, it answers to its IP addresses, to localhost and to \
         the host of public_url; set public_url to be reached under this name"
    )]
    NotOurName(String),
}

/// What is in front of the question who calls.
#[derive(Clone, Debug, Default)]
pub(crate) struct Door {
    home: Home,
    /// The host that browsers show, where that is configured.
    name: Option<String>,
}

impl Door {
    /// Of a gateway that browsers also find at this address.
    pub(crate) fn at(public_url: Option<&Url>) -> Self {
        Self {
            home: Home::at(public_url),
            name: public_url.and_then(|url| Some(url.host_str()?.to_owned())),
        }
    }

    /// Turns away what a page of another origin asks. Programs say nothing of origins, and a person who follows a link reads
    /// the answer alone: the page with the link does not.
    pub(crate) fn check_origin(
        &self,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<(), TurnedAway> {
        if !self.home.is_elsewhere(headers) || is_followed_link(method, headers) {
            return Ok(());
        }
        let origin = headers.get(ORIGIN).and_then(|value| value.to_str().ok());
        Err(TurnedAway::Elsewhere(shown(origin.unwrap_or("unnamed"))))
    }

    /// Turns away what was sent to a host that nobody said is this gateway. `X-Forwarded-Host` says nothing here: a page could
    /// send it to the host that it is taken for. Who sends no host is no browser.
    pub(crate) fn check_name(&self, headers: &HeaderMap) -> Result<(), TurnedAway> {
        let Some(named) = headers.get(HOST) else {
            return Ok(());
        };
        let text = named.to_str().unwrap_or_default();
        match text.parse::<Authority>() {
            Ok(authority) if self.is_ours(authority.host()) => Ok(()),
            _ => Err(TurnedAway::NotOurName(shown(text))),
        }
    }

    fn is_ours(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let is_named = |name: &str| name.eq_ignore_ascii_case(host);
        bare.parse::<IpAddr>().is_ok()
            || is_named("localhost")
            || self.name.as_deref().is_some_and(is_named)
    }
}

fn is_followed_link(method: &Method, headers: &HeaderMap) -> bool {
    let says = |name: HeaderName, value: &str| headers.get(name).is_some_and(|said| said == value);
    matches!(*method, Method::GET | Method::HEAD)
        && says(FETCH_MODE, "navigate")
        && says(FETCH_DESTINATION, "document")
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn programs_and_followed_links_pass_and_no_page_from_elsewhere_does() {
        let door = Door::default();
        let link = [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ];
        let frame = [link[0], link[1], ("sec-fetch-dest", "iframe")];
        let script = [("sec-fetch-site", "same-site")];
        let form = [("origin", "http://evil.example"), ("host", "gate:8080")];
        for (method, pairs, passes) in [
            (Method::POST, &[][..], true),
            (Method::GET, &link, true),
            (Method::POST, &link, false),
            (Method::GET, &frame, false),
            (Method::GET, &script, false),
            (Method::POST, &form, false),
        ] {
            let checked = door.check_origin(&method, &headers(pairs));
            assert_eq!(checked.is_ok(), passes, "{method} {pairs:?}");
        }
        let told = door.check_origin(&Method::POST, &headers(&form));
        let told = told.unwrap_err().to_string();
        assert!(told.contains("http://evil.example"), "{told}");
        assert!(told.contains("public_url"), "{told}");
    }

    #[test]
    fn a_name_is_ours_if_nobody_else_can_have_it_or_if_it_is_configured() {
        let somewhere = Door::default();
        let public = Door::at(Some(&"https://models.example/".parse().unwrap()));
        for (host, without, with) in [
            ("127.0.0.1:8080", true, true),
            ("10.0.0.7", true, true),
            ("[::1]:8080", true, true),
            ("localhost:8080", true, true),
            ("LOCALHOST.", true, true),
            ("Models.Example:443", false, true),
            ("evil.example:8080", false, false),
            ("127.0.0.1.evil.example", false, false),
            ("localhost.evil.example", false, false),
            ("", false, false),
            ("a b", false, false),
        ] {
            // What a page can say besides counts for nothing.
            let headers = headers(&[("host", host), ("x-forwarded-host", "localhost")]);
            assert_eq!(somewhere.check_name(&headers).is_ok(), without, "{host}");
            assert_eq!(public.check_name(&headers).is_ok(), with, "{host}");
        }
        assert_eq!(somewhere.check_name(&HeaderMap::new()), Ok(()));
    }
}
