//! Addresses without their secrets: a password or token is taken out where an address comes in, and kept apart.

use percent_encoding::percent_decode_str;
use rattler_networking::Authentication;
use url::Url;

/// A credential for a host.
pub(super) type Credential = (String, Authentication);

/// An address that can be shown, and the credential that was in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) url: Url,
    pub(super) credential: Option<Credential>,
}

impl Address {
    /// An `http`, `https` or `file` address. `None` for everything else, of which nothing may be repeated: it may hold
    /// a secret in an unexpected place.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut url = Url::parse(text).ok()?;
        if !["http", "https", "file"].contains(&url.scheme()) {
            return None;
        }
        let host = url.host_str().map(str::to_owned);
        let token = take_token(&mut url).map(Authentication::CondaToken);
        let credential = take_user(&mut url).or(token);
        url.set_query(None);
        url.set_fragment(None);
        Some(Self {
            url,
            credential: host.zip(credential),
        })
    }
}

/// The address without what is secret in it.
pub(super) fn without_secrets(url: &Url) -> Url {
    Address::parse(url.as_str()).map_or_else(|| url.clone(), |address| address.url)
}

/// `user:password@`, or `user@`.
fn take_user(url: &mut Url) -> Option<Authentication> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let (username, password) = (decoded(url.username()), url.password().map(decoded));
    // Both fail for addresses only that cannot have a user in the first place.
    let _ = (url.set_username(""), url.set_password(None));
    (!username.is_empty() || password.is_some()).then(|| Authentication::BasicHTTP {
        username,
        password: password.unwrap_or_default(),
    })
}

/// `/t/TOKEN/` at the beginning of the path, as anaconda.org and Artifactory take it.
fn take_token(url: &mut Url) -> Option<String> {
    let path = url.path().to_owned();
    let rest = path
        .strip_prefix("/t/")
        .filter(|_| url.scheme() != "file")?;
    let (token, rest) = rest.split_once('/').unwrap_or((rest, ""));
    url.set_path(&format!("/{rest}"));
    Some(token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (String, Option<Credential>) {
        let address = Address::parse(text).unwrap();
        (address.url.into(), address.credential)
    }

    #[test]
    fn a_password_is_taken_out_of_an_address_and_decoded() {
        let (url, credential) = parsed("https://me:p%40ss@host:8080/channel?a=b#c");
        assert_eq!(url, "https://host:8080/channel");
        let basic = Authentication::BasicHTTP {
            username: "me".to_owned(),
            password: "p@ss".to_owned(),
        };
        assert_eq!(credential, Some(("host".to_owned(), basic)));
    }

    #[test]
    fn a_token_is_taken_out_of_an_address() {
        let (url, credential) = parsed("https://conda.anaconda.org/t/secret/private/label/main");
        assert_eq!(url, "https://conda.anaconda.org/private/label/main");
        let token = Authentication::CondaToken("secret".to_owned());
        assert_eq!(credential, Some(("conda.anaconda.org".to_owned(), token)));
    }

    #[test]
    fn an_address_without_secrets_is_left_as_it_is() {
        for text in ["https://host/t", "file:///t/a/channel", "http://host/x/t/y"] {
            assert_eq!(parsed(text), (text.to_owned(), None));
        }
        assert_eq!(Address::parse("s3://bucket/channel"), None);
        assert_eq!(Address::parse("conda-forge"), None);
    }
}
