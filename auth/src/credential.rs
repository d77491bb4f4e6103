//! What a request says about who is calling: the `Authorization` header, read but not believed.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::secret::Secret;

/// The user name that says that the password of a Basic credential is a token, as in `curl -u token:$TOKEN`.
const TOKEN_USER: &str = "token";

/// Clients differ in whether they pad; a missing pad leaves no doubt about what was meant.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A credential as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// `Bearer <token>`, or Basic with the user name `token`.
    Token(Secret),
    /// Basic with any other user name.
    Password {
        /// The user name; may be empty.
        user: String,
        /// The password; may be empty.
        password: Secret,
    },
}

/// What is wrong with an `Authorization` header. Says nothing of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedCredential {
    /// More than one header: nobody can say which one counts.
    #[error("it was sent more than once")]
    Repeated,
    /// Not Bearer and not Basic.
    #[error("its scheme is neither Bearer nor Basic")]
    Scheme,
    /// A scheme and no more.
    #[error("there is no token in it")]
    Empty,
    /// Bearer with characters that RFC 6750, section 2.1 does not allow.
    #[error("a token has only letters, digits and `-._~+/=` in it")]
    Token,
    /// Basic with something that is not base64.
    #[error("what follows Basic is not base64")]
    Base64,
    /// Basic with bytes that are not UTF-8 (RFC 7617, section 2.1).
    #[error("user name and password are not UTF-8")]
    Utf8,
    /// Basic without the colon between user name and password.
    #[error("there is no colon between user name and password")]
    Colon,
}

impl Credential {
    /// Reads the credential of a request; `None` if there is no `Authorization` header.
    pub fn from_headers(headers: &HeaderMap) -> Result<Option<Self>, MalformedCredential> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        if values.next().is_some() {
            return Err(MalformedCredential::Repeated);
        }
        Self::parse(value.as_bytes()).map(Some)
    }

    /// What a user name and a password stand for: a token, where the user is called `token`.
    pub fn of_user(user: &str, password: &str) -> Self {
        if user == TOKEN_USER {
            Self::Token(password.into())
        } else {
            Self::Password {
                user: user.to_owned(),
                password: password.into(),
            }
        }
    }

    fn parse(value: &[u8]) -> Result<Self, MalformedCredential> {
        let value = value.trim_ascii();
        let end = value
            .iter()
            .position(|byte| *byte == b' ')
            .unwrap_or(value.len());
        let (scheme, rest) = value.split_at(end);
        // RFC 9110, section 11.4: one or more spaces; section 11.1: the scheme in any case.
        let rest = rest.trim_ascii();
        if scheme.eq_ignore_ascii_case(b"Bearer") {
            bearer(rest)
        } else if scheme.eq_ignore_ascii_case(b"Basic") {
            basic(rest)
        } else {
            Err(MalformedCredential::Scheme)
        }
    }
}

fn bearer(token: &[u8]) -> Result<Credential, MalformedCredential> {
    if token.is_empty() {
        return Err(MalformedCredential::Empty);
    }
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
    if !token.iter().all(allowed) {
        return Err(MalformedCredential::Token);
    }
    let token = str::from_utf8(token).map_err(|_| MalformedCredential::Token)?;
    Ok(Credential::Token(token.into()))
}

fn basic(encoded: &[u8]) -> Result<Credential, MalformedCredential> {
    if encoded.is_empty() {
        return Err(MalformedCredential::Empty);
    }
    let decoded = BASE64
        .decode(encoded)
        .map_err(|_| MalformedCredential::Base64)?;
    let pair = str::from_utf8(&decoded).map_err(|_| MalformedCredential::Utf8)?;
    // The first colon: a user name cannot have one, a password can.
    let (user, password) = pair.split_once(':').ok_or(MalformedCredential::Colon)?;
    match (user, password) {
        (TOKEN_USER, "") => Err(MalformedCredential::Empty),
        (user, password) => Ok(Credential::of_user(user, password)),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn read(value: &[u8]) -> Result<Option<Credential>, MalformedCredential> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        Credential::from_headers(&headers)
    }

    fn token(text: &str) -> Credential {
        Credential::Token(text.into())
    }

    fn basic(pair: &[u8]) -> String {
        format!("Basic {}", BASE64.encode(pair))
    }

    #[test]
    fn no_header_is_no_credential() {
        assert_eq!(Credential::from_headers(&HeaderMap::new()), Ok(None));
    }

    #[test]
    fn a_bearer_token_is_read_whatever_the_case_of_the_scheme() {
        for value in [
            "Bearer sgp_a-b_c",
            "bearer sgp_a-b_c",
            "BEARER   sgp_a-b_c  ",
        ] {
            assert_eq!(
                read(value.as_bytes()),
                Ok(Some(token("sgp_a-b_c"))),
                "{value:?}"
            );
        }
    }

    #[test]
    fn the_password_of_the_user_token_is_a_token() {
        // What `curl -u token:sgp_abc` sends.
        assert_eq!(
            read(b"Basic dG9rZW46c2dwX2FiYw=="),
            Ok(Some(token("sgp_abc")))
        );
        assert_eq!(
            read(b"bAsIc  dG9rZW46c2dwX2FiYw"),
            Ok(Some(token("sgp_abc")))
        );
        assert_eq!(read(basic(b"token:a:b").as_bytes()), Ok(Some(token("a:b"))));
    }

    #[test]
    fn any_other_user_has_a_password() {
        for (pair, user, password) in [
            ("alice:secret", "alice", "secret"),
            ("Token:secret", "Token", "secret"),
            ("token :secret", "token ", "secret"),
            (":", "", ""),
            ("älice:pässword:", "älice", "pässword:"),
        ] {
            let expected = Credential::Password {
                user: user.to_owned(),
                password: password.into(),
            };
            assert_eq!(
                read(basic(pair.as_bytes()).as_bytes()),
                Ok(Some(expected)),
                "{pair:?}"
            );
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        use MalformedCredential as Wrong;
        for (value, wrong) in [
            (&b""[..], Wrong::Scheme),
            (b"sgp_abc", Wrong::Scheme),
            (b"Digest username=x", Wrong::Scheme),
            (b"Bearer:abc", Wrong::Scheme),
            (b"Bearer", Wrong::Empty),
            (b"Bearer  ", Wrong::Empty),
            (b"Bearer two words", Wrong::Token),
            (b"Bearer \xff\xfe", Wrong::Token),
            (b"Bearer \"quoted\"", Wrong::Token),
            (b"Basic", Wrong::Empty),
            (b"Basic !!!", Wrong::Base64),
            (b"Basic dG9rZW46 c2dw", Wrong::Base64),
            (b"Basic \xff", Wrong::Base64),
        ] {
            assert_eq!(read(value), Err(wrong), "{value:?}");
        }
        assert_eq!(read(basic(b"token:").as_bytes()), Err(Wrong::Empty));
        assert_eq!(read(basic(b"no colon").as_bytes()), Err(Wrong::Colon));
        assert_eq!(read(basic(b"token:\xff").as_bytes()), Err(Wrong::Utf8));
    }

    #[test]
    fn two_headers_are_refused_even_if_they_are_equal() {
        let mut headers = HeaderMap::new();
        headers.append(AUTHORIZATION, HeaderValue::from_static("Bearer a"));
        headers.append(AUTHORIZATION, HeaderValue::from_static("Bearer a"));
        assert_eq!(
            Credential::from_headers(&headers),
            Err(MalformedCredential::Repeated)
        );
    }

    #[test]
    fn a_credential_does_not_show_its_secret() {
        let credentials = [
            read(b"Bearer hunter2"),
            read(basic(b"alice:hunter2").as_bytes()),
        ];
        assert!(!format!("{credentials:?}").contains("hunter2"));
    }

    proptest! {
        #[test]
        fn any_pair_is_read_as_it_was_written(user in "[^:]{0,8}", password in ".{0,8}") {
            let read = read(basic(format!("{user}:{password}").as_bytes()).as_bytes());
            match read {
                Ok(Some(Credential::Password { user: read, password: hidden })) => {
                    prop_assert_eq!(read, user);
                    prop_assert_eq!(hidden.expose(), password);
                }
                Ok(Some(Credential::Token(hidden))) => {
                    prop_assert_eq!(user, "token");
                    prop_assert_eq!(hidden.expose(), password);
                }
                other => prop_assert!(user == "token" && password.is_empty(), "{:?}", other),
            }
        }

        #[test]
        fn no_header_makes_it_panic(value in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
                let _ = Credential::from_headers(&headers);
            }
        }
    }
}
