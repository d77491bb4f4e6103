//! Sessions, by hand and by chance.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderValue;
use proptest::prelude::*;

use super::*;
use crate::page::PAGE_HEADER;

const DAY: Duration = Duration::from_secs(86_400);

struct Time(Arc<AtomicU64>);

impl Time {
    fn new() -> Self {
        Self(Arc::new(AtomicU64::new(1_000_000)))
    }

    fn clock(&self) -> Clock {
        let now = Arc::clone(&self.0);
        Arc::new(move || SystemTime::UNIX_EPOCH + Duration::from_secs(now.load(Ordering::Relaxed)))
    }

    fn pass(&self, time: Duration) {
        self.0.fetch_add(time.as_secs(), Ordering::Relaxed);
    }
}

fn token() -> Credential {
    Credential::Token("sgp_abc".into())
}

fn some_sessions() -> Sessions {
    Sessions::new(&SessionKey::random(), DAY, Time::new().clock())
}

fn with_cookies(cookies: &str) -> HeaderMap {
    HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(cookies).unwrap())])
}

fn get(sessions: &Sessions, cookies: &str) -> Result<Option<Session>, NoSession> {
    sessions.of_request(&Method::GET, &with_cookies(cookies))
}

fn holds(sessions: &Sessions, cookies: &str) -> bool {
    matches!(get(sessions, cookies), Ok(Some(_)))
}

fn is_over(sessions: &Sessions, cookies: &str) -> bool {
    get(sessions, cookies).is_err_and(|reason| reason == NoSession::Over)
}

#[test]
fn one_caller_begins_a_thousand_sessions_within_their_lifetime() {
    let time = Time::new();
    let sessions = Sessions::new(&SessionKey::random(), DAY, time.clock());
    for _ in 0..MOST_BEGUN {
        assert_eq!(sessions.admit("ann"), Ok(()));
    }
    assert_eq!(sessions.admit("ann"), Err(NotBegun::TooMany));
    assert_eq!(sessions.admit("bob"), Ok(()));
    time.pass(DAY);
    assert_eq!(sessions.admit("ann"), Ok(()));
}

#[test]
fn a_session_gives_its_credential_back_among_other_cookies() {
    let sessions = some_sessions();
    let password = Credential::Password {
        user: "älice".to_owned(),
        password: "p;a=s s".into(),
    };
    for credential in [token(), password] {
        let begun = sessions.begin(&credential, false).unwrap();
        let cookies = format!("theme=dark; {}; a=b", begun.cookie);
        let session = get(&sessions, &cookies).unwrap().unwrap();
        assert_eq!(session.credential, credential);
        assert!(!begun.cookie.contains("sgp_") && !begun.cookie.contains("lice"));
        let shown = format!("{begun:?} {session:?} {sessions:?}");
        let (_, value) = begun.cookie.split_once('=').unwrap();
        for secret in [value, "sgp_abc", "p;a=s s"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
    assert!(matches!(get(&sessions, "theme=dark"), Ok(None)));
}

#[test]
fn a_session_holds_over_a_restart_and_not_for_ever() {
    let (key, time) = (SessionKey::random(), Time::new());
    let begun = Sessions::new(&key, DAY, time.clock());
    let cookie = begun.begin(&token(), false).unwrap().cookie;
    let text = URL_SAFE_NO_PAD.encode(key.as_bytes());
    let kept = SessionKey::from_text(&text.into()).unwrap();
    let again = Sessions::new(&kept, DAY, time.clock());
    time.pass(Duration::from_secs(86_399));
    assert!(holds(&again, &cookie));
    time.pass(Duration::from_secs(1));
    assert!(is_over(&again, &cookie));
}

#[test]
fn another_gateway_cannot_open_it_and_has_a_cookie_of_another_name() {
    let (ours, theirs) = (some_sessions(), some_sessions());
    let cookie = ours.begin(&token(), false).unwrap().cookie;
    assert_ne!(ours.cookies(), theirs.cookies());
    assert!(matches!(get(&theirs, &cookie), Ok(None)));
    let (_, value) = cookie.split_once('=').unwrap();
    assert!(is_over(
        &theirs,
        &format!("{}={value}", theirs.cookies()[1])
    ));
}

#[test]
fn over_tls_its_name_is_one_that_no_sibling_domain_can_set() {
    let sessions = some_sessions();
    let (over_tls, plain) = (
        sessions.begin(&token(), true).unwrap().cookie,
        sessions.begin(&token(), false).unwrap().cookie,
    );
    assert!(over_tls.starts_with("__Host-sluicegate_session_"));
    assert!(plain.starts_with("sluicegate_session_"));
    assert!(holds(&sessions, &over_tls) && holds(&sessions, &plain));
    // Both are there after a change from one to the other: the safer one counts.
    let both = format!("{plain}; {over_tls}");
    let alone = get(&sessions, &over_tls).unwrap().unwrap();
    assert_eq!(get(&sessions, &both).unwrap().unwrap().id, alone.id);
}

#[test]
fn a_cookie_that_somebody_put_beside_it_locks_nobody_out() {
    let sessions = some_sessions();
    let cookie = sessions.begin(&token(), false).unwrap().cookie;
    let junk = format!("{}=AAAA", sessions.cookies()[1]);
    for cookies in [format!("{junk}; {cookie}"), format!("{cookie}; {junk}")] {
        assert!(holds(&sessions, &cookies));
    }
}

#[test]
fn what_changes_something_has_to_come_from_a_page_of_ours() {
    let sessions = some_sessions();
    let mut headers = with_cookies(&sessions.begin(&token(), false).unwrap().cookie);
    let refused = |method, headers: &HeaderMap| sessions.of_request(method, headers).err();
    assert_eq!(refused(&Method::POST, &headers), Some(NoSession::NoHeader));
    assert_eq!(refused(&Method::GET, &headers), None);
    headers.insert(PAGE_HEADER, HeaderValue::from_static("1"));
    assert_eq!(refused(&Method::POST, &headers), None);
    headers.insert("origin", HeaderValue::from_static("http://evil.example"));
    headers.insert("host", HeaderValue::from_static("gate"));
    assert_eq!(refused(&Method::GET, &headers), Some(NoSession::Elsewhere));
}

#[test]
fn an_ended_session_no_longer_holds_and_others_do() {
    let (key, time) = (SessionKey::random(), Time::new());
    let sessions = Sessions::new(&key, DAY, time.clock());
    let one = sessions.begin(&token(), false).unwrap().cookie;
    let other = sessions.begin(&token(), false).unwrap().cookie;
    let session = get(&sessions, &one).unwrap().unwrap();
    let until = sessions.end(&session).unwrap();
    assert!(is_over(&sessions, &one));
    assert!(holds(&sessions, &other));
    let again = Sessions::new(&key, DAY, time.clock());
    again.remember_ended(session.id, until).unwrap();
    assert!(is_over(&again, &one));
}

#[test]
fn a_credential_that_no_browser_would_keep_begins_no_session() {
    let long = Credential::Token("x".repeat(4000).into());
    let begun = some_sessions().begin(&long, false);
    assert!(matches!(begun, Err(NotBegun::TooLong)), "{begun:?}");
}

proptest! {
    #[test]
    fn a_changed_cookie_does_not_hold(place in 0_usize..300, bit in 0_u8..8) {
        let sessions = some_sessions();
        let begun = sessions.begin(&token(), false).unwrap();
        let (name, value) = begun.cookie.split_once('=').unwrap();
        let mut bytes = URL_SAFE_NO_PAD.decode(value).unwrap();
        let place = place % bytes.len();
        bytes[place] ^= 1 << bit;
        let changed = format!("{name}={}", URL_SAFE_NO_PAD.encode(bytes));
        prop_assert!(is_over(&sessions, &changed));
    }

    #[test]
    fn no_cookie_makes_it_panic(value in "[ -~]{0,80}") {
        let sessions = some_sessions();
        let cookies = format!("{}={value}", sessions.cookies()[1]);
        prop_assert!(is_over(&sessions, &cookies));
    }
}
