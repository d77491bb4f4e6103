//! Addresses of channels and package indexes, which may hold a credential: it is passed on, and never shown.

use std::borrow::Borrow;
use std::fmt;

use url::Url;

/// A channel's name, or an address. Shows itself without what may be a credential; [`Address::expose`] gives it whole.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address(String);

/// What stands where a credential is.
const HIDDEN: &str = "***";

/// Equal and ordered as its text.
impl Borrow<str> for Address {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Address {
    /// A package index: an `http://`, `https://` or `file://` address.
    pub(super) fn index(text: &str) -> Result<Self, String> {
        let allowed = "an address that starts with http://, https:// or file:// is allowed, for example https://pypi.org/simple";
        if is_address(text, &["http", "https", "file"]) {
            Ok(Self(text.to_owned()))
        } else {
            Err(allowed.to_owned())
        }
    }

    /// Where packages are fetched from: an `http://` or `https://` address.
    pub(super) fn mirror(text: &str) -> Result<Self, String> {
        let allowed = "addresses that start with http:// or https:// are allowed, for example https://mirror.example/conda-forge";
        if is_address(text, &["http", "https"]) {
            Ok(Self(text.to_owned()))
        } else {
            Err(allowed.to_owned())
        }
    }

    /// The address below which named channels live, without slashes at its end.
    pub(super) fn channel_alias(text: &str) -> Result<Self, String> {
        let allowed = "an address that starts with http://, https:// or file:// is allowed, for example https://conda.anaconda.org";
        if is_address(text, &["http", "https", "file"]) {
            Ok(Self(text.trim_end_matches('/').to_owned()))
        } else {
            Err(allowed.to_owned())
        }
    }

    /// A channel: its name, or its address, without slashes at its end. The error says what is allowed.
    pub fn channel(text: &str) -> Result<Self, String> {
        let is_channel = if text.contains("://") {
            is_address(text, &["http", "https", "file"])
        } else {
            is_name(text)
        };
        if is_channel {
            return Ok(Self(text.trim_end_matches('/').to_owned()));
        }
        Err(if text.starts_with('/') && !text.contains(['@', '?']) {
            format!("a folder is written as an address: file://{text}")
        } else {
            "a channel is a name such as conda-forge or pytorch/label/test, or an address that starts with http://, \
             https:// or file://"
                .to_owned()
        })
    }

    /// A channel as a `conda.yaml` names it: by its name, its address, or a folder of this host.
    pub(super) fn named_channel(text: &str) -> Result<Self, String> {
        if !text.starts_with('/') {
            Self::channel(text)?;
        }
        Ok(Self(text.to_owned()))
    }

    /// How any text would be shown if it were an address.
    pub(super) fn shown(text: &str) -> String {
        Self(text.to_owned()).to_string()
    }

    /// What `path` names below this address.
    #[must_use]
    pub fn below(&self, path: &str) -> Self {
        let place = self.0.trim_end_matches('/');
        Self(match path {
            "" => place.to_owned(),
            path => format!("{place}/{path}"),
        })
    }

    /// The text as it was given, with credentials.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Without the user, the password, an Anaconda token (`/t/TOKEN/`) and the query. What is mistyped hides all that stands
/// before an `@`, too: what it was meant to be cannot be known.
impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = match self.0.split_once("://") {
            Some((scheme, rest)) if Url::parse(&self.0).is_ok() => {
                (Some(scheme), before_query(rest))
            }
            _ => (None, self.0.as_str()),
        };
        if let Some(scheme) = scheme {
            write!(formatter, "{scheme}://")?;
        }
        let rest = match rest.rsplit_once('@') {
            Some((_, rest)) => {
                write!(formatter, "{HIDDEN}@")?;
                rest
            }
            None => rest,
        };
        let mut after_t = false;
        for (place, segment) in before_query(rest).split('/').enumerate() {
            let separator = if place == 0 { "" } else { "/" };
            let shown = if after_t { HIDDEN } else { segment };
            write!(formatter, "{separator}{shown}")?;
            after_t = segment == "t";
        }
        Ok(())
    }
}

/// As it is displayed.
impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Address({self})")
    }
}

fn before_query(text: &str) -> &str {
    text.split(['?', '#']).next().unwrap_or_default()
}

fn is_address(text: &str, schemes: &[&str]) -> bool {
    Url::parse(text).is_ok_and(|url| {
        let is_whole = match url.scheme() {
            "file" => url.to_file_path().is_ok(),
            _ => url.host_str().is_some(),
        };
        schemes.contains(&url.scheme()) && is_whole && text.contains("://")
    })
}

fn is_name(text: &str) -> bool {
    let is_part = |part: &str| {
        let mut letters = part.chars();
        !part.starts_with('.')
            && !part.is_empty()
            && letters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    text.trim_end_matches('/').split('/').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_shows_no_credential_and_passes_it_on() {
        for (given, shown) in [
            ("https://pypi.org/simple", "https://pypi.org/simple"),
            (
                "https://ada:hunter2@index/simple/",
                "https://***@index/simple/",
            ),
            ("https://hunter2@index", "https://***@index"),
            ("https://index/simple?key=hunter2", "https://index/simple"),
            (
                "https://a:hunter2@index:8080/t/hunter2/ch",
                "https://***@index:8080/t/***/ch",
            ),
        ] {
            let address = Address::index(given).unwrap();
            assert_eq!(address.to_string(), shown);
            assert!(!format!("{address:?}").contains("hunter2"), "{address:?}");
            assert_eq!(address.expose(), given);
        }
    }

    #[test]
    fn what_is_mistyped_shows_no_credential_either() {
        for (given, shown) in [
            ("https:/ada:hunter2@host/ch", "***@host/ch"),
            ("ada:hunter2@host", "***@host"),
            ("https:\\\\ada:hunter2@host", "***@host"),
            ("https://ada:hun/ter2@host", "***@host"),
            ("https://ada:hunt?er2@host/ch?key=hunter2", "***@host/ch"),
            ("https://ada:hunt#er2@host", "***@host"),
            ("https:/host/t/hunter2/ch", "https:/host/t/***/ch"),
            ("conda-forge", "conda-forge"),
        ] {
            assert_eq!(Address::shown(given), shown);
        }
    }

    #[test]
    fn a_channel_is_a_name_or_an_address() {
        for text in [
            "conda-forge",
            "pytorch/label/test",
            "https://conda.anaconda.org/conda-forge/",
            "file:///srv/channels/ours",
        ] {
            assert!(Address::channel(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "two words",
            "../up",
            "ftp://host/channel",
            "https://",
            "file://relative",
            "/srv/channel",
            "a//b",
        ] {
            assert!(Address::channel(text).is_err(), "{text}");
        }
        let folder = Address::channel("/srv/channel").unwrap_err();
        assert!(folder.ends_with("file:///srv/channel"), "{folder}");
    }

    #[test]
    fn an_alias_has_no_slash_at_its_end() {
        let alias = Address::channel_alias("https://conda.anaconda.org//").unwrap();
        assert_eq!(alias.expose(), "https://conda.anaconda.org");
        assert!(Address::channel_alias("conda-forge").is_err());
    }
}
