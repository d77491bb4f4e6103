//! Sessions of a browser: what a person signed in with, sealed into a cookie that nobody but this gateway can open.
//!
//! The gateway keeps no list of sessions: they outlive its restarts with nothing written but one key. What it does keep is
//! which ones were ended before their time. The credential itself is checked anew by every request that the cookie comes
//! with, so that a revoked token ends its sessions, and a session never may more than its credential.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::Aead;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use http::header::COOKIE;
use http::{HeaderMap, Method};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::authenticator::Clock;
use crate::credential::Credential;
use crate::secret::Secret;

/// A header that a page of ours sends, and that no form and no other origin can: they would have to ask for leave first
/// (CORS), which is never given.
pub const PAGE_HEADER: &str = "x-sluicegate-page";

/// Bytes of a nonce; random ones of this length do not meet.
const NONCE: usize = 24;
/// Digits of the key's digest in the cookie's name: gateways on one host, whose cookies browsers do not tell apart by
/// port, leave each other's alone.
const MARK: usize = 8;

/// What sessions are sealed with.
#[derive(Clone)]
pub struct SessionKey([u8; 32]);

/// Seals and opens sessions.
pub struct Sessions {
    cipher: XChaCha20Poly1305,
    cookie: String,
    lifetime: Duration,
    clock: Clock,
    /// Sessions that were ended, and when their cookies would have stopped to hold.
    ended: Mutex<HashMap<SessionId, SystemTime>>,
}

/// Tells one session from others; no secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SessionId(String);

/// A session that has begun: what the browser is to keep.
#[derive(Debug)]
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

#[derive(Serialize, Deserialize)]
struct Content {
    id: SessionId,
    /// Seconds since the epoch.
    expires: u64,
    /// A token, or the password that goes with `user`.
    secret: String,
    user: Option<String>,
}

impl SessionKey {
    /// A new one, of 256 random bits.
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// One that was kept; `None` if it has another length than 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// One that was kept as text: 32 bytes in base64 for URLs, without padding.
    pub fn from_text(text: &Secret) -> Option<Self> {
        Self::from_bytes(&URL_SAFE_NO_PAD.decode(text.expose()).ok()?)
    }

    /// To be kept where only the gateway's own user can read it.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Sessions {
    /// Sessions under `key`, each of which holds for `lifetime`.
    pub fn new(key: &SessionKey, lifetime: Duration, clock: Clock) -> Self {
        let digest = Sha256::new()
            .chain_update(b"the name of the cookie")
            .chain_update(key.0)
            .finalize();
        let mark: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Self {
            cipher: XChaCha20Poly1305::new((&key.0).into()),
            cookie: format!("sluicegate_session_{}", &mark[..MARK]),
            lifetime,
            clock,
            ended: Mutex::default(),
        }
    }

    /// The cookie's name.
    pub fn cookie(&self) -> &str {
        &self.cookie
    }

    /// Begins a session with a credential that was found to hold. `None` only if the sealing itself fails.
    pub fn begin(&self, credential: &Credential) -> Option<NewSession> {
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
        let plain = serde_json::to_vec(&content).ok()?;
        let nonce: [u8; NONCE] = rand::random();
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), &*plain).ok()?;
        let value = URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat());
        Some(NewSession {
            cookie: format!("{}={value}", self.cookie),
            lifetime: self.lifetime,
        })
    }

    /// The session of a request, if its cookie holds and the request comes from a page of ours.
    ///
    /// Cookies are sent by whichever page makes the browser ask (`SameSite` keeps other sites out, but not other ports of
    /// this host). So what may change something has to carry [`PAGE_HEADER`]; `GET` and `HEAD`, which change nothing and
    /// whose answers no other origin can read, need not: streams and downloads cannot have it.
    pub fn of_request(&self, method: &Method, headers: &HeaderMap) -> Option<Session> {
        let is_safe = matches!(*method, Method::GET | Method::HEAD);
        if !is_safe && !headers.contains_key(PAGE_HEADER) {
            return None;
        }
        let mut cookies = headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'));
        let value = cookies.find_map(|cookie| {
            let (name, value) = cookie.trim().split_once('=')?;
            (name == self.cookie).then_some(value)
        })?;
        self.open(value)
    }

    /// Ends a session before its time. The answer is what has to be kept for that to outlive a restart: until when.
    pub fn end(&self, session: &Session) -> SystemTime {
        self.remember_ended(session.id.clone(), session.expires);
        session.expires
    }

    /// Takes a session for ended, as it was kept by [`Self::end`].
    pub fn remember_ended(&self, id: SessionId, until: SystemTime) {
        let now = (self.clock)();
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.retain(|_, until| *until > now);
        ended.insert(id, until);
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
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.contains_key(&content.id) {
            return None;
        }
        drop(ended);
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

impl fmt::Debug for SessionKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SessionKey(***)")
    }
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
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    struct Time(Arc<AtomicU64>);

    impl Time {
        fn new() -> Self {
            Self(Arc::new(AtomicU64::new(1_000_000)))
        }

        fn clock(&self) -> Clock {
            let now = Arc::clone(&self.0);
            Arc::new(move || {
                SystemTime::UNIX_EPOCH + Duration::from_secs(now.load(Ordering::Relaxed))
            })
        }

        fn pass(&self, time: Duration) {
            self.0.fetch_add(time.as_secs(), Ordering::Relaxed);
        }
    }

    fn token() -> Credential {
        Credential::Token("sgp_abc".into())
    }

    fn with_cookies(cookies: &str) -> HeaderMap {
        HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(cookies).unwrap())])
    }

    #[test]
    fn a_session_gives_its_credential_back_among_other_cookies() {
        let sessions = Sessions::new(&SessionKey::random(), DAY, Time::new().clock());
        let password = Credential::Password {
            user: "älice".to_owned(),
            password: "p;a=s s".into(),
        };
        for credential in [token(), password] {
            let begun = sessions.begin(&credential).unwrap();
            let headers = with_cookies(&format!("theme=dark; {}; a=b", begun.cookie));
            let session = sessions.of_request(&Method::GET, &headers).unwrap();
            assert_eq!(session.credential, credential);
            assert!(!begun.cookie.contains("sgp_") && !begun.cookie.contains("lice"));
        }
    }

    #[test]
    fn a_session_holds_over_a_restart_and_not_for_ever() {
        let (key, time) = (SessionKey::random(), Time::new());
        let begun = Sessions::new(&key, DAY, time.clock())
            .begin(&token())
            .unwrap();
        let kept = SessionKey::from_bytes(key.as_bytes()).unwrap();
        let again = Sessions::new(&kept, DAY, time.clock());
        let headers = with_cookies(&begun.cookie);
        time.pass(DAY - Duration::from_secs(1));
        assert!(again.of_request(&Method::GET, &headers).is_some());
        time.pass(Duration::from_secs(1));
        assert!(again.of_request(&Method::GET, &headers).is_none());
    }

    #[test]
    fn another_gateway_cannot_open_it_and_has_a_cookie_of_another_name() {
        let time = Time::new();
        let ours = Sessions::new(&SessionKey::random(), DAY, time.clock());
        let theirs = Sessions::new(&SessionKey::random(), DAY, time.clock());
        let begun = ours.begin(&token()).unwrap();
        assert_ne!(ours.cookie(), theirs.cookie());
        let (_, value) = begun.cookie.split_once('=').unwrap();
        let headers = with_cookies(&format!("{}={value}", theirs.cookie()));
        assert!(theirs.of_request(&Method::GET, &headers).is_none());
    }

    #[test]
    fn what_changes_something_has_to_come_from_a_page_of_ours() {
        let sessions = Sessions::new(&SessionKey::random(), DAY, Time::new().clock());
        let mut headers = with_cookies(&sessions.begin(&token()).unwrap().cookie);
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            assert!(sessions.of_request(&method, &headers).is_none(), "{method}");
        }
        assert!(sessions.of_request(&Method::GET, &headers).is_some());
        headers.insert(PAGE_HEADER, HeaderValue::from_static("1"));
        assert!(sessions.of_request(&Method::POST, &headers).is_some());
    }

    #[test]
    fn an_ended_session_no_longer_holds_and_others_do() {
        let (key, time) = (SessionKey::random(), Time::new());
        let sessions = Sessions::new(&key, DAY, time.clock());
        let (one, other) = (
            sessions.begin(&token()).unwrap(),
            sessions.begin(&token()).unwrap(),
        );
        let (one, other) = (with_cookies(&one.cookie), with_cookies(&other.cookie));
        let session = sessions.of_request(&Method::GET, &one).unwrap();
        let until = sessions.end(&session);
        assert!(sessions.of_request(&Method::GET, &one).is_none());
        assert!(sessions.of_request(&Method::GET, &other).is_some());
        let again = Sessions::new(&key, DAY, time.clock());
        again.remember_ended(session.id, until);
        assert!(again.of_request(&Method::GET, &one).is_none());
        // The list does not grow for ever: what has expired need not be remembered.
        time.pass(DAY * 2);
        again.remember_ended(SessionId::from("x".to_owned()), until + DAY * 3);
        assert_eq!(again.ended.lock().unwrap().len(), 1);
    }

    proptest! {
        #[test]
        fn a_changed_cookie_does_not_hold(place in 0_usize..300, bit in 0_u8..8) {
            let sessions = Sessions::new(&SessionKey::random(), DAY, Time::new().clock());
            let begun = sessions.begin(&token()).unwrap();
            let (name, value) = begun.cookie.split_once('=').unwrap();
            let mut bytes = URL_SAFE_NO_PAD.decode(value).unwrap();
            let place = place % bytes.len();
            bytes[place] ^= 1 << bit;
            let headers = with_cookies(&format!("{name}={}", URL_SAFE_NO_PAD.encode(bytes)));
            prop_assert!(sessions.of_request(&Method::GET, &headers).is_none());
        }

        #[test]
        fn no_cookie_makes_it_panic(value in "[ -~]{0,80}") {
            let sessions = Sessions::new(&SessionKey::random(), DAY, Time::new().clock());
            let headers = with_cookies(&format!("{}={value}", sessions.cookie()));
            prop_assert!(sessions.of_request(&Method::GET, &headers).is_none());
        }
    }
}
