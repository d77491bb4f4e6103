//! Why a request has no principal. Every kind but one is the same 401 to a client; only the sentence differs.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use crate::credential::MalformedCredential;
use crate::page::PAGE_HEADER;
use crate::session::{NAME, NoSession};

/// The `WWW-Authenticate` header of every 401 (RFC 9110, section 11.6.1): Bearer (RFC 6750) or Basic (RFC 7617, which
/// demands a realm, and lets a server say that it reads UTF-8).
pub const CHALLENGE: HeaderValue = HeaderValue::from_static(
    r#"Bearer realm="sluicegate", Basic realm="sluicegate", charset="UTF-8""#,
);

/// The same for a request of a page of ours: a browser would ask for a user name and a password by itself, in front of a
/// page that has a form for that.
const PAGE_CHALLENGE: HeaderValue = HeaderValue::from_static(r#"Session realm="sluicegate""#);

/// The challenge that goes with a 401 for a request with these headers.
pub fn challenge(headers: &HeaderMap) -> HeaderValue {
    // Streams and downloads of a page have no headers of their own.
    let mut cookies = headers.get_all(COOKIE).iter();
    let is_page = headers.contains_key(PAGE_HEADER)
        || headers
            .get("sec-fetch-site")
            .is_some_and(|site| site == "same-origin")
        || cookies.any(|value| value.to_str().is_ok_and(|value| value.contains(NAME)));
    if is_page { PAGE_CHALLENGE } else { CHALLENGE }
}

/// Why the caller is not known. The sentences are for the client: none holds what the client sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No credential at all.
    #[error(
        "a credential is needed: send `Authorization: Bearer <token>`, or Basic with the user name `token` and the token as password"
    )]
    Missing,
    /// A credential that cannot be read.
    #[error("the Authorization header cannot be read: {0}")]
    Malformed(#[from] MalformedCredential),
    /// A user name and a password, where only tokens are known.
    #[error(
        "user names and passwords are not accepted here: send a token as `Authorization: Bearer <token>`, or as the password of the user `token`"
    )]
    PasswordRefused,
    /// A user name and a password that the registry does not accept.
    #[error("the registry does not accept this user name and password")]
    PasswordWrong,
    /// Nobody can tell: the registry, which knows the passwords, gives no answer. No refusal: it may be worth another try.
    /// The reason is for those who run the gateway.
    #[error("user name and password cannot be checked: the registry gives no answer")]
    Unavailable(String),
    /// A browser's cookie that is no session, or does not count here. Nothing that was guessed: what makes a browser ask may
    /// be anybody.
    #[error(transparent)]
    Session(#[from] NoSession),
    /// A token that does not exist, or no longer.
    #[error("the token is not known: it was revoked, or never made here")]
    Unknown,
    /// A token whose lifetime is over.
    #[error("the token has expired")]
    Expired,
}
