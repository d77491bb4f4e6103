//! Tokens of our own: made from random bits, shown once, kept as a digest.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::scopes::Scopes;
use crate::secret::Secret;

/// Every token starts like this, so that people and scanners for leaked secrets know one when they see it.
const PREFIX: &str = "sgp_";

/// Random bytes in a token: 256 bits.
const SECRET_BYTES: usize = 32;

/// Random bytes in a token's id: enough for ids to differ, short enough to type.
const ID_BYTES: usize = 8;

/// About a hundred years: keeps every expiry a date that any store can hold.
const LONGEST_LIFETIME: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// A token that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// Whom it speaks for.
    pub principal: Arc<str>,
    /// What it narrows the principal's rights to.
    pub scopes: Scopes,
    /// A note for people; may be empty.
    pub comment: String,
    /// How long it is good for; `None` until it is revoked.
    pub lifetime: Option<Duration>,
    /// The latest moment at which it ends, whatever `lifetime` says: the end of the token that it is made with.
    pub not_after: Option<SystemTime>,
}

/// What is kept of a token. The token itself cannot be found from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRecord {
    /// Names the token where the token itself must not be seen.
    pub id: TokenId,
    /// By which the token is recognised.
    pub digest: TokenDigest,
    /// Whom it speaks for.
    pub principal: Arc<str>,
    /// What it narrows the principal's rights to.
    pub scopes: Scopes,
    /// A note for people; may be empty.
    pub comment: String,
    /// When it was made; whole milliseconds.
    pub created: SystemTime,
    /// The first moment at which it no longer holds; `None` if it holds until it is revoked. Whole milliseconds.
    pub expires: Option<SystemTime>,
}

/// Name of a token, no secret: 16 hexadecimal digits for tokens made here, drawn apart from the token itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenId(Arc<str>);

/// SHA-256 of a token's text. A plain digest is enough, because 256 random bits cannot be guessed (a password could).
#[derive(Clone, Copy)]
pub struct TokenDigest([u8; 32]);

/// Why a token cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToken {
    /// Nobody to speak for, or a name that could not be shown on one line.
    #[error(
        "the principal of a token must have a name, without control characters or spaces around it"
    )]
    Principal,
    /// It would never hold.
    #[error("the lifetime of a token must be at least one second")]
    TooShort,
    /// It would hold longer than dates can say.
    #[error(
        "the lifetime of a token must be at most 100 years; leave it out for a token without an end"
    )]
    TooLong,
}

impl NewToken {
    /// A token for `principal`: not narrowed, no comment, no end.
    pub fn new(principal: impl Into<Arc<str>>) -> Self {
        Self {
            principal: principal.into(),
            scopes: Scopes::everything(),
            comment: String::new(),
            lifetime: None,
            not_after: None,
        }
    }

    /// Makes it at `now`: what is to be kept, and the token, which exists nowhere else.
    ///
    /// The bits come from the thread's cryptographic generator, which the operating system seeds.
    pub fn issue(self, now: SystemTime) -> Result<(TokenRecord, Secret), InvalidToken> {
        let name = &*self.principal;
        if name.is_empty() || name.trim() != name || name.chars().any(char::is_control) {
            return Err(InvalidToken::Principal);
        }
        let created = whole_milliseconds(now);
        let expires = match self.lifetime {
            None => None,
            Some(lifetime) if lifetime < Duration::from_secs(1) => {
                return Err(InvalidToken::TooShort);
            }
            Some(lifetime) if lifetime > LONGEST_LIFETIME => return Err(InvalidToken::TooLong),
            Some(lifetime) => Some(created.checked_add(lifetime).ok_or(InvalidToken::TooLong)?),
        };
        let expires = [expires, self.not_after].into_iter().flatten().min();
        let random: [u8; SECRET_BYTES] = rand::random();
        let token = Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random)));
        let record = TokenRecord {
            id: TokenId::random(),
            digest: TokenDigest::of(&token),
            principal: self.principal,
            scopes: self.scopes,
            comment: self.comment,
            created,
            expires: expires.map(whole_milliseconds),
        };
        Ok((record, token))
    }
}

impl TokenRecord {
    /// Whether it no longer holds at `now`.
    pub fn has_expired(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }
}

impl TokenId {
    /// The text as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn random() -> Self {
        let random: [u8; ID_BYTES] = rand::random();
        Self(format!("{:016x}", u64::from_be_bytes(random)).into())
    }
}

impl From<&str> for TokenId {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for TokenId {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TokenDigest {
    /// The digest of `token`.
    pub fn of(token: &Secret) -> Self {
        Self(Sha256::digest(token.expose().as_bytes()).into())
    }

    /// The bytes, to be stored.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for TokenDigest {
    fn from(stored: [u8; 32]) -> Self {
        Self(stored)
    }
}

/// Takes the same time wherever two digests differ.
impl PartialEq for TokenDigest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for TokenDigest {}

impl Hash for TokenDigest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TokenDigest(***)")
    }
}

/// Whether `text` could be a token made by [`NewToken::issue`]; whatever could not is never looked for.
pub(crate) fn looks_like_a_token(text: &Secret) -> bool {
    let random = text.expose().strip_prefix(PREFIX);
    random.is_some_and(|random| {
        random.len() == (SECRET_BYTES * 8).div_ceil(6)
            && random
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    })
}

/// Cuts off what a store of milliseconds would lose, so that a record read back is equal.
fn whole_milliseconds(time: SystemTime) -> SystemTime {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let surplus = Duration::from_nanos(u64::from(since.subsec_nanos() % 1_000_000));
    time.checked_sub(surplus).unwrap_or(time)
}

#[cfg(test)]
mod tests;
