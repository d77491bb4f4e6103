//! Sessions of a browser: what a person signed in with, sealed into a cookie that nobody but this gateway can open.
//!
//! The gateway keeps no list of sessions: they outlive its restarts with nothing written but one key. What it does keep is
//! which ones were ended before their time. The credential itself is checked anew by every request that the cookie comes
//! with, so that a revoked token ends its sessions, and a session never may more than its credential.

mod ended;
mod key;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::Aead;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use http::header::COOKIE;
use http::{HeaderMap, Method};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::authenticator::Clock;
use crate::credential::Credential;
use crate::page::{Home, Stranger};
use ended::Ended;

pub use key::SessionKey;

/// Bytes of a nonce; random ones of this length do not meet.
const NONCE: usize = 24;
/// How every name of a cookie of ours goes on, after the prefix of those that came over TLS.
pub(crate) const NAME: &str = "sluicegate_session_";
/// With this in front of its name, a browser takes a cookie from this host itself only, over TLS, for all of it: no sibling
/// domain can put another in its place.
const OVER_TLS: &str = "__Host-";
/// Bytes of a cookie's name and value that every browser keeps (RFC 6265, section 6.1: 4096 with its attributes).
const LONGEST_COOKIE: usize = 3900;
/// More than a person signs in within a session's lifetime; a hundredth of the ended ones that there is room for.
const MOST_BEGUN: u32 = 1000;

/// Seals and opens sessions.
pub struct Sessions {
    cipher: XChaCha20Poly1305,
    cookie: String,
    lifetime: Duration,
    clock: Clock,
    home: Home,
    ended: Mutex<Ended>,
    /// Since when each caller's sessions are counted, and how many there were.
    begun: Mutex<HashMap<String, (SystemTime, u32)>>,
}

/// Tells one session from others; no secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SessionId(String);

/// A session that has begun: what the browser is to keep.
pub struct NewSession {
    /// `name=value`, for a `Set-Cookie` header that adds its attributes.
    pub cookie: String,
    /// How long it holds.
    pub lifetime: Duration,
}

/// A session that holds.
#[derive(Debug)]
pub struct Session {
    /// Which one.
    pub id: SessionId,
    /// What the person signed in with.
    pub credential: Credential,
    /// The first moment at which it no longer holds.
    pub expires: SystemTime,
}

/// Why there is no session, though a browser has a cookie for one. The sentences are for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSession {
    /// It could be a form on any page.
    #[error(
        "a session counts only for the pages of this gateway: what may change something has to carry the header \
         X-Sluicegate-Page"
    )]
    NoHeader,
    /// The browser says that a page from elsewhere asks.
    #[error(
        "a session counts only for the pages of this gateway, and this call comes from one of another origin"
    )]
    Elsewhere,
    /// It has expired, somebody has signed out, or this gateway did not make it.
    #[error("the session is over: sign in again")]
    Over,
}

/// A session cannot begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotBegun {
    /// Browsers drop such cookies without a word.
    #[error("this credential is too long for a browser to keep")]
    TooLong,
    /// The cipher refused.
    #[error("the session cannot be sealed")]
    NotSealed,
    /// Each may have to be remembered when it is ended, and there is room for so many of everybody's.
    #[error("{MOST_BEGUN} sessions were begun by the same caller within their lifetime")]
    TooMany,
}

/// So many sessions were ended that no more of them can be remembered; that passes when those expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many sessions were ended within their lifetime")]
pub struct TooManyEnded;

#[derive(Serialize, Deserialize)]
struct Content {
    id: SessionId,
    /// Seconds since the epoch.
    expires: u64,
    /// A token, or the password that goes with `user`.
    secret: String,
    user: Option<String>,
}

impl Sessions {
    /// Sessions under `key`, each of which holds for `lifetime`.
    pub fn new(key: &SessionKey, lifetime: Duration, clock: Clock) -> Self {
        Self {
            cipher: XChaCha20Poly1305::new(key.as_bytes().into()),
            cookie: format!("{OVER_TLS}{NAME}{}", key.mark()),
            lifetime,
            clock,
            home: Home::default(),
            ended: Mutex::default(),
            begun: Mutex::default(),
        }
    }

    /// The same for pages that browsers also find at this address, whatever host a proxy asks for.
    #[must_use]
    pub fn reached_at(mut self, public_url: Option<&Url>) -> Self {
        self.home = Home::at(public_url);
        self
    }

    /// The cookie's names: where it came over TLS, and where not.
    pub fn cookies(&self) -> [&str; 2] {
        [&self.cookie, self.name(false)]
    }

    /// Counts a session that `principal` is about to begin, if it is not one too many.
    pub fn admit(&self, principal: &str) -> Result<(), NotBegun> {
        let now = (self.clock)();
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.retain(|_, (since, _)| *since + self.lifetime > now);
        let (_, count) = begun.entry(principal.to_owned()).or_insert((now, 0));
        if *count >= MOST_BEGUN {
            return Err(NotBegun::TooMany);
        }
        *count += 1;
        Ok(())
    }

    /// Begins a session with a credential that was found to hold.
    pub fn begin(&self, credential: &Credential, over_tls: bool) -> Result<NewSession, NotBegun> {
        let (user, secret) = match credential {
            Credential::Token(token) => (None, token),
            Credential::Password { user, password } => (Some(user.clone()), password),
        };
        let id: [u8; 16] = rand::random();
        let content = Content {
            id: SessionId(URL_SAFE_NO_PAD.encode(id)),
            expires: seconds((self.clock)()) + self.lifetime.as_secs(),
            secret: secret.expose().to_owned(),
            user,
        };
        let plain = serde_json::to_vec(&content).map_err(|_| NotBegun::NotSealed)?;
        let nonce: [u8; NONCE] = rand::random();
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), &*plain);
        let sealed = sealed.map_err(|_| NotBegun::NotSealed)?;
        let value = URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat());
        let cookie = format!("{}={value}", self.name(over_tls));
        if cookie.len() > LONGEST_COOKIE {
            return Err(NotBegun::TooLong);
        }
        Ok(NewSession {
            cookie,
            lifetime: self.lifetime,
        })
    }

    /// The session of a request; `None` if it has no cookie of ours.
    ///
    /// A cookie counts only with what shows that a page of ours asks: see [`NoSession`].
    pub fn of_request(
        &self,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<Option<Session>, NoSession> {
        // Others may have put cookies of the same name beside it, which nobody can open.
        let mut values = self.values(headers).peekable();
        if values.peek().is_none() {
            return Ok(None);
        }
        self.home.check(method, headers)?;
        let session = values.find_map(|value| self.open(value));
        session.map(Some).ok_or(NoSession::Over)
    }

    /// All sessions that a browser has cookies for, under whichever name: those that signing out ends.
    pub fn all_of(&self, headers: &HeaderMap) -> Vec<Session> {
        let names = self.cookies().into_iter();
        let values = names.flat_map(|name| values(name, headers));
        values.filter_map(|value| self.open(value)).collect()
    }

    /// Whether the browser came over TLS.
    pub fn is_over_tls(&self, headers: &HeaderMap) -> bool {
        self.home.is_over_tls(headers)
    }

    /// Whether a page of ours asks, with a session or without.
    pub fn is_own_page(&self, method: &Method, headers: &HeaderMap) -> Result<(), NoSession> {
        Ok(self.home.check(method, headers)?)
    }

    /// Ends a session before its time. The answer is what has to be kept for that to outlive a restart: until when.
    pub fn end(&self, session: &Session) -> Result<SystemTime, TooManyEnded> {
        self.remember_ended(session.id.clone(), session.expires)?;
        Ok(session.expires)
    }

    /// Lets a session hold again whose end could not be kept.
    pub fn take_back(&self, session: &Session) {
        self.ended().remove(&session.id);
    }

    /// Takes a session for ended, as it was kept by [`Self::end`].
    pub fn remember_ended(&self, id: SessionId, until: SystemTime) -> Result<(), TooManyEnded> {
        let now = (self.clock)();
        self.ended().insert(id, until, now)
    }

    fn name(&self, over_tls: bool) -> &str {
        if over_tls {
            &self.cookie
        } else {
            &self.cookie[OVER_TLS.len()..]
        }
    }

    /// The cookies of ours that count. Over TLS only the name does that no sibling domain can set. A proxy may keep silent
    /// about TLS, and browsers do when they only read: then both do.
    fn values<'a>(&'a self, headers: &'a HeaderMap) -> impl Iterator<Item = &'a str> {
        let counting = if self.is_over_tls(headers) { 1 } else { 2 };
        let names = self.cookies().into_iter().take(counting);
        names.flat_map(|name| values(name, headers))
    }

    fn ended(&self) -> MutexGuard<'_, Ended> {
        // Nothing panics under the lock.
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, value: &str) -> Option<Session> {
        let sealed = URL_SAFE_NO_PAD.decode(value).ok()?;
        let (nonce, sealed) = sealed.split_at_checked(NONCE)?;
        let nonce: [u8; NONCE] = nonce.try_into().ok()?;
        let plain = self.cipher.decrypt(&XNonce::from(nonce), sealed).ok()?;
        let content: Content = serde_json::from_slice(&plain).ok()?;
        let expires = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(content.expires))?;
        if expires <= (self.clock)() {
            return None;
        }
        if self.ended().contains(&content.id) {
            return None;
        }
        let credential = match content.user {
            None => Credential::Token(content.secret.into()),
            Some(user) => Credential::Password {
                user,
                password: content.secret.into(),
            },
        };
        Some(Session {
            id: content.id,
            credential,
            expires,
        })
    }
}

impl SessionId {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for SessionId {
    fn from(text: String) -> Self {
        Self(text)
    }
}

fn seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

impl From<Stranger> for NoSession {
    fn from(stranger: Stranger) -> Self {
        match stranger {
            Stranger::Elsewhere => Self::Elsewhere,
            Stranger::NoHeader => Self::NoHeader,
        }
    }
}

/// Says nothing of the cookie: who has that is signed in.
impl fmt::Debug for NewSession {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("NewSession")
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

/// The values of the cookies of that name.
fn values<'a>(name: &'a str, headers: &'a HeaderMap) -> impl Iterator<Item = &'a str> {
    let all = headers.get_all(COOKIE).iter();
    let all = all.filter_map(|value| value.to_str().ok());
    let pairs = all.flat_map(|value| value.split(';'));
    let pairs = pairs.filter_map(|cookie| cookie.trim().split_once('='));
    pairs.filter_map(move |(found, value)| (found == name).then_some(value))
}

impl fmt::Debug for Sessions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Sessions")
            .field("cookie", &self.cookie)
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
