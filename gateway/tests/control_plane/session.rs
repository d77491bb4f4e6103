//! Signing in with a browser: what the cookie is, what it counts for, and how it ends.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use auth::{NewToken, NoSession};
use axum::body::Body;
use http::{HeaderMap, Method, request};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use serving_core::Phase;
use tokio::time::{Instant, timeout};

use super::harness::{Answer, Caller, Plane, SESSION, now, sessions};
use super::registry_rights::ScriptedUsers;

/// A browser at `http://gate.example:8080`: it keeps one cookie, and sends what browsers send.
struct Browser<'a> {
    plane: &'a Plane,
    cookie: String,
}

const PATH: &str = "/api/v1/session";

impl<'a> Browser<'a> {
    fn new(plane: &'a Plane) -> Self {
        let cookie = String::new();
        Self { plane, cookie }
    }

    async fn signed_in(plane: &'a Plane, caller: Caller) -> Self {
        let mut browser = Self::new(plane);
        let token = &plane.credentials[caller.name()];
        let answer = browser.sign_in(&json!({ "token": token })).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        browser
    }

    async fn sign_in(&mut self, body: &Value) -> Answer {
        let answer = self.fetch("POST", PATH, &body.to_string()).await;
        self.keep(&answer);
        answer
    }

    fn keep(&mut self, answer: &Answer) {
        if let Some(cookie) = answer.headers.get("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            cookie
                .split(';')
                .next()
                .unwrap()
                .clone_into(&mut self.cookie);
        }
    }

    /// What a page of the gateway asks.
    async fn fetch(&self, method: &str, path: &str, body: &str) -> Answer {
        let request = self.request(method, path);
        let request = request
            .header("x-sluicegate-page", "1")
            .header("origin", "http://gate.example:8080");
        self.send(request, body).await
    }

    fn request(&self, method: &str, path: &str) -> request::Builder {
        let request = self.plane.request(Caller::Anonymous, method, path);
        request.header("cookie", format!("theme=dark; {}", self.cookie))
    }

    async fn send(&self, request: request::Builder, body: &str) -> Answer {
        let request = request.body(Body::from(body.to_owned()));
        self.plane.send(request.unwrap()).await
    }

    /// Whether the session holds.
    async fn is_known(&self) -> bool {
        self.fetch("GET", PATH, "").await.status == 200
    }
}

fn set_cookies(answer: &Answer) -> Vec<&str> {
    let set = answer.headers.get_all("set-cookie").iter();
    set.map(|value| value.to_str().unwrap()).collect()
}

fn shows_no_dialog(answer: &Answer) -> bool {
    let challenge = answer.headers["www-authenticate"].to_str().unwrap();
    !challenge.contains("Basic") && !challenge.contains("Bearer")
}

#[tokio::test]
async fn a_token_signs_in_and_the_cookie_is_out_of_reach() {
    let plane = Plane::new().await;
    let mut browser = Browser::new(&plane);
    let token = &plane.credentials["mel"];
    let answer = browser.sign_in(&json!({ "token": token })).await;
    let known = json!({"principal": "mel", "admin": false, "authentication": true});
    assert_eq!(
        (answer.status.as_u16(), answer.json()),
        (200, known.clone())
    );
    assert_eq!(answer.headers["cache-control"], "no-store");
    let [cookie] = set_cookies(&answer)[..] else {
        panic!("one cookie")
    };
    assert!(cookie.starts_with("sluicegate_session_"), "{cookie}");
    assert!(
        cookie.ends_with("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict"),
        "{cookie}"
    );
    assert!(!cookie.contains(&token[4..]), "{cookie}");
    assert!(!format!("{:?}", answer.headers).contains(&browser.cookie));

    assert_eq!(browser.fetch("GET", PATH, "").await.json(), known);
    // A stream has no header of its own.
    let request = browser.request("GET", "/api/v1/models/iris");
    assert_eq!(browser.send(request, "").await.status, 200);
    let enabled = browser
        .fetch("PUT", "/api/v1/models/iris/serving", "{}")
        .await;
    assert_eq!(enabled.status, 200);
    // And it may no more than its token.
    let hidden = browser.fetch("GET", "/api/v1/models/secret", "").await;
    assert_eq!(hidden.status, 404);
}

#[tokio::test]
async fn over_tls_the_cookie_goes_no_other_way() {
    let plane = Plane::new().await;
    let body = json!({ "token": plane.credentials["mel"] }).to_string();
    for (origin, forwarded, is_secure) in [
        (Some("https://gate.example:8080"), None, true),
        (None, Some("https"), true),
        // What the browser says counts.
        (Some("http://gate.example:8080"), Some("https"), false),
        (None, None, false),
    ] {
        let mut request = plane
            .request(Caller::Anonymous, "POST", PATH)
            .header("x-sluicegate-page", "1");
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        if let Some(proto) = forwarded {
            request = request.header("x-forwarded-proto", proto);
        }
        let answer = plane.send(request.body(body.clone().into()).unwrap()).await;
        let cookie = set_cookies(&answer)[0].to_owned();
        assert_eq!(cookie.ends_with("; Secure"), is_secure, "{cookie}");
        assert_eq!(cookie.starts_with("__Host-"), is_secure, "{cookie}");
        let mut browser = Browser::new(&plane);
        browser.keep(&answer);
        assert!(browser.is_known().await);
    }
}

#[tokio::test]
async fn a_user_of_the_registry_signs_in_with_the_password() {
    let plane = Plane::inheriting(Arc::new(ScriptedUsers::default())).await;
    let mut browser = Browser::new(&plane);
    let right = json!({"username": "ada", "password": "hunter2"});
    let answer = browser.sign_in(&right).await;
    let known = json!({"principal": "ada", "admin": true, "authentication": true});
    assert_eq!((answer.status.as_u16(), answer.json()), (200, known));
    let status = browser.fetch("GET", "/api/v1/status", "").await;
    assert_eq!(status.json()["admin"], true);
    // The user `token` is none: its password is a token.
    let as_token = json!({"username": "token", "password": plane.credentials["rea"]});
    let answer = browser.sign_in(&as_token).await;
    assert_eq!(answer.json()["principal"], "rea");

    for wrong in [
        json!({"username": "ada", "password": "hunter3"}),
        json!({"username": "eve", "password": "hunter2"}),
        json!({"username": "ada", "password": ""}),
    ] {
        let answer = Browser::new(&plane).sign_in(&wrong).await;
        assert_eq!(answer.refusal(), (401, "UNAUTHENTICATED".to_owned()));
        assert!(shows_no_dialog(&answer));
        assert!(set_cookies(&answer).is_empty());
        assert!(!answer.text().contains("hunter"));
    }
}

#[tokio::test]
async fn who_lost_the_account_has_no_session_any_more() {
    let users = Arc::new(ScriptedUsers::default());
    let age = Duration::from_millis(200);
    let plane = Plane::inheriting_for(Arc::clone(&users) as _, age).await;
    let mut browser = Browser::new(&plane);
    let login = json!({"username": "rea", "password": "hunter2"});
    assert_eq!(browser.sign_in(&login).await.status, 200);
    assert!(browser.is_known().await);
    users.remove("rea");
    let over = async { while browser.is_known().await {} };
    let over = timeout(Duration::from_secs(30), over).await;
    assert!(over.is_ok(), "the session goes on");
}

#[tokio::test]
async fn what_is_wrong_with_a_sign_in_is_said_and_counted() {
    let plane = Plane::new().await;
    let refused = || plane.refused();
    let before = refused();
    for (body, status) in [
        (json!({}), 400),
        (json!({"token": ""}), 400),
        (json!({"token": "a", "username": "b", "password": "c"}), 400),
        (json!({"username": "a"}), 400),
        (json!({"username": "a:b", "password": "c"}), 400),
        (json!({"username": "a\nb", "password": "c"}), 400),
        (json!({"user": "a"}), 400),
    ] {
        let answer = Browser::new(&plane).sign_in(&body).await;
        assert_eq!(answer.refusal().0, status, "{body}");
    }
    assert_eq!(refused(), before);
    for body in [
        json!({"token": "no token"}),
        json!({"token": "sgp_000000000000000000000000000000000000000000000000"}),
        json!({"username": "ada", "password": "hunter2"}),
    ] {
        let answer = Browser::new(&plane).sign_in(&body).await;
        assert_eq!(answer.refusal().0, 401, "{body}");
        assert!(shows_no_dialog(&answer), "{body}");
        assert!(
            !answer.text().contains("Authorization"),
            "{}",
            answer.text()
        );
    }
    assert_eq!(refused(), before + 3);
}

#[tokio::test]
async fn without_the_header_of_a_page_nothing_is_changed_and_nobody_signed_in() {
    let plane = Plane::new().await;
    let browser = Browser::signed_in(&plane, Caller::Manager).await;
    let refused = plane.refused();
    let form = |method: &str, path: &str| {
        let request = browser.request(method, path);
        request.header("content-type", "text/plain")
    };
    let enable = "/api/2.0/mlflow/endpoints/enable";
    let body = r#"{"registered_model_name": "iris"}"#;
    for (method, path) in [
        ("POST", enable),
        ("PUT", "/api/v1/models/iris/serving"),
        ("POST", "/api/v1/tokens"),
    ] {
        let answer = browser.send(form(method, path), body).await;
        assert_eq!(answer.refusal(), (401, "UNAUTHENTICATED".to_owned()));
        assert!(answer.text().contains("X-Sluicegate-Page"), "{path}");
        assert!(shows_no_dialog(&answer), "{path}");
    }
    let login = json!({ "token": plane.credentials["mel"] }).to_string();
    let signed_in = browser.send(form("POST", PATH), &login).await;
    assert_eq!(signed_in.refusal().0, 400);
    assert!(set_cookies(&signed_in).is_empty());
    let signed_out = browser.send(form("DELETE", PATH), "").await;
    assert_eq!(signed_out.refusal().0, 400);
    assert!(browser.is_known().await);
    assert!(plane.intents.settings("iris").is_none());
    // Who makes a browser send such things must not slow down the person who sits there.
    assert_eq!(plane.refused(), refused);
}

#[tokio::test]
async fn a_page_of_another_origin_gets_nothing_for_the_cookie() {
    let plane = Plane::new().await;
    let browser = Browser::signed_in(&plane, Caller::Manager).await;
    for (name, value) in [
        ("origin", "http://evil.example"),
        ("origin", "http://gate.example:9090"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        for method in ["GET", "PUT"] {
            let path = ["/api/v1/models/iris", "/api/v1/models/iris/serving"];
            let request = browser
                .request(method, path[usize::from(method == "PUT")])
                .header("x-sluicegate-page", "1")
                .header(name, value);
            let answer = browser.send(request, "").await;
            let refused = (403, "PERMISSION_DENIED".to_owned());
            assert_eq!(answer.refusal(), refused, "{method} {name}: {value}");
            assert!(answer.text().contains("another origin"));
        }
    }
    assert!(plane.intents.settings("iris").is_none());
}

/// A form that is sent from a page of somebody else, as a browser sends it.
async fn forged(plane: &Plane, caller: Caller, method: &str, path: &str) -> Answer {
    let request = plane
        .request(caller, method, path)
        .header("content-type", "text/plain")
        .header("origin", "http://evil.example")
        .header("sec-fetch-site", "cross-site");
    let body = Body::from(r#"{"registered_model_name": "iris"}"#);
    plane.send(request.body(body).unwrap()).await
}

#[tokio::test]
async fn another_site_changes_nothing_through_a_browser_whatever_that_remembers() {
    let calls = [
        ("POST", "/api/2.0/mlflow/endpoints/enable"),
        ("POST", "/api/2.0/preview/mlflow/endpoints/disable"),
        ("PUT", "/api/v1/models/iris/serving"),
        ("POST", "/api/v1/models/iris/versions/1/restart"),
        ("POST", "/api/v1/tokens"),
        ("POST", "/api/v1/webhooks/install"),
        ("GET", "/api/v1/models"),
    ];
    for plane in [Plane::open_to_all().await, Plane::new().await] {
        for (method, path) in calls {
            // With the password that it keeps, or with nothing where nothing is needed.
            let answer = forged(&plane, Caller::Admin, method, path).await;
            let refused = (403, "PERMISSION_DENIED".to_owned());
            assert_eq!(answer.refusal(), refused, "{path}");
            let told = answer.text();
            assert!(told.contains("http://evil.example"), "{told}");
            assert!(told.contains("public_url"), "{told}");
        }
        assert!(plane.intents.settings("iris").is_none());
        assert_eq!(plane.refused(), 0);
        // Those that are for everybody, and for programs, are as they were.
        for path in ["/healthz", "/metrics", "/", "/api/openapi.json"] {
            let answer = forged(&plane, Caller::Admin, "GET", path).await;
            assert_eq!(answer.status, 200, "{path}");
        }
    }
}

#[tokio::test]
async fn without_authentication_a_name_of_somebody_else_leads_nowhere() {
    let plane = Plane::open_to_all().await;
    let asked = async |path: &str, host: &str| {
        let mut request = plane.request(Caller::Anonymous, "GET", path);
        let value = host.parse().unwrap();
        request.headers_mut().unwrap().insert("host", value);
        plane.send(request.body(Body::empty()).unwrap()).await
    };
    for (host, is_ours) in [
        ("gate.example", true),
        ("127.0.0.1:8080", true),
        ("localhost:8080", true),
        ("rebound.evil.example:8080", false),
    ] {
        let answer = asked("/api/v1/models", host).await;
        assert_eq!(answer.status == 200, is_ours, "{host}");
        if !is_ours {
            assert_eq!(answer.refusal(), (403, "PERMISSION_DENIED".to_owned()));
            assert!(answer.text().contains("public_url"), "{}", answer.text());
        }
        for path in ["/healthz", "/metrics"] {
            assert_eq!(asked(path, host).await.status, 200, "{path} {host}");
        }
    }
}

#[tokio::test]
async fn signing_out_ends_the_session_wherever_its_cookie_is() {
    let plane = Plane::new().await;
    let browser = Browser::signed_in(&plane, Caller::Reader).await;
    let other = Browser::signed_in(&plane, Caller::Reader).await;
    let answer = browser.fetch("DELETE", PATH, "").await;
    assert_eq!(answer.status, 204);
    let cleared = set_cookies(&answer);
    assert_eq!(cleared.len(), 2, "{cleared:?}");
    for cookie in &cleared {
        assert!(
            cookie.contains("=; Path=/; Max-Age=0; HttpOnly"),
            "{cookie}"
        );
        assert_eq!(cookie.starts_with("__Host-"), cookie.ends_with("; Secure"));
    }
    let answer = browser.fetch("GET", PATH, "").await;
    assert_eq!(answer.refusal(), (401, "UNAUTHENTICATED".to_owned()));
    assert!(answer.text().contains("sign in again"));
    assert!(other.is_known().await);
    assert_eq!(browser.fetch("DELETE", PATH, "").await.status, 204);

    // After a start it is remembered, too.
    let again = sessions(&plane.session_key, &plane.later);
    let cookies = |browser: &Browser<'_>| {
        HeaderMap::from_iter([(http::header::COOKIE, browser.cookie.parse().unwrap())])
    };
    let held = again.of_request(&Method::GET, &cookies(&browser));
    assert!(matches!(held, Ok(Some(_))), "only the store knows");
    for (id, until) in plane.store.ended_sessions(now()).await.unwrap() {
        again.remember_ended(id, until).unwrap();
    }
    let held = again.of_request(&Method::GET, &cookies(&browser));
    assert_eq!(held.err(), Some(NoSession::Over));
    let held = again.of_request(&Method::GET, &cookies(&other));
    assert!(matches!(held, Ok(Some(_))));
}

#[tokio::test]
async fn signing_out_ends_what_the_browser_has_under_either_name_and_signing_in_what_it_replaces() {
    let plane = Plane::new().await;
    let mut browser = Browser::signed_in(&plane, Caller::Reader).await;
    let first = browser.cookie.clone();
    let second = Browser::signed_in(&plane, Caller::Reader).await.cookie;
    browser.cookie = format!("{first}; __Host-{second}");
    assert_eq!(browser.fetch("DELETE", PATH, "").await.status, 204);
    for cookie in [&first, &second] {
        browser.cookie.clone_from(cookie);
        assert!(!browser.is_known().await, "{cookie}");
    }

    let mut browser = Browser::signed_in(&plane, Caller::Reader).await;
    let replaced = browser.cookie.clone();
    let token = &plane.credentials[Caller::Manager.name()];
    let answer = browser.sign_in(&json!({ "token": token })).await;
    assert_eq!(answer.status, 200);
    assert!(browser.is_known().await);
    browser.cookie = replaced;
    assert!(!browser.is_known().await);
}

#[tokio::test]
async fn over_tls_the_name_counts_alone_that_no_sibling_domain_can_set() {
    let plane = Plane::new().await;
    let browser = Browser::signed_in(&plane, Caller::Reader).await;
    let request = browser.request("GET", PATH);
    let request = request.header("x-forwarded-proto", "https");
    assert_eq!(browser.send(request, "").await.status, 401);
    let request = browser.request("GET", PATH);
    let request = request.header("cookie", format!("__Host-{}", browser.cookie));
    let request = request.header("x-forwarded-proto", "https");
    assert_eq!(browser.send(request, "").await.status, 200);
}

#[tokio::test]
async fn a_revoked_token_ends_its_sessions_and_can_still_be_signed_out_of() {
    let plane = Plane::new().await;
    let (id, token) = plane.keep(NewToken::new("rea")).await;
    let mut browser = Browser::new(&plane);
    browser.sign_in(&json!({ "token": token })).await;
    assert!(browser.is_known().await);
    let revoke = format!("/api/v1/tokens/{id}");
    let revoked = plane.call(Caller::Admin, "DELETE", &revoke, "").await;
    assert_eq!(revoked.status, 204);
    let answer = browser.fetch("GET", PATH, "").await;
    assert_eq!(answer.refusal().0, 401);
    assert!(shows_no_dialog(&answer));
    assert_eq!(browser.fetch("DELETE", PATH, "").await.status, 204);
}

#[tokio::test]
async fn a_session_ends_after_twelve_hours_and_a_changed_cookie_is_none() {
    let plane = Plane::new().await;
    let mut browser = Browser::signed_in(&plane, Caller::Reader).await;
    let whole = browser.cookie.clone();
    let letter = if whole.ends_with('A') { 'B' } else { 'A' };
    let middle = whole.len() - 20;
    for changed in [
        format!("{}{letter}{}", &whole[..middle], &whole[middle + 1..]),
        whole[..middle].to_owned(),
        format!("{}=", whole.split_once('=').unwrap().0),
    ] {
        if changed != whole {
            browser.cookie = changed;
            assert!(!browser.is_known().await, "{}", browser.cookie);
        }
    }
    browser.cookie = whole;
    let seconds = SESSION.as_secs();
    plane.later.store(seconds - 1, Ordering::Relaxed);
    assert!(browser.is_known().await);
    plane.later.store(seconds, Ordering::Relaxed);
    assert!(!browser.is_known().await);
}

#[tokio::test]
async fn a_stream_ends_when_its_session_does() {
    let plane = Plane::new().await;
    let browser = Browser::signed_in(&plane, Caller::Reader).await;
    let request = browser
        .request("GET", "/api/v1/events?status=true")
        .header("accept", "text/event-stream")
        .body(Body::empty());
    plane.serve("iris", &[(1, Phase::Ready)], &[]);
    let mut answer = plane.begin(request.unwrap()).await.into_body();
    for piece in ["retry", "event: status"] {
        let frame = answer.frame().await.unwrap().unwrap();
        let frame = String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap();
        assert!(frame.starts_with(piece), "{frame}");
    }
    assert_eq!(browser.fetch("DELETE", PATH, "").await.status, 204);
    tokio::time::pause();
    let begun = Instant::now();
    let read = answer.collect();
    assert!(timeout(Duration::from_secs(20), read).await.is_ok());
    assert!(begun.elapsed() <= Duration::from_secs(6));
}

#[tokio::test]
async fn where_everybody_may_everything_there_is_nothing_to_sign_in_to() {
    let plane = Plane::open_to_all().await;
    let browser = Browser::new(&plane);
    let known = json!({"principal": "anonymous", "admin": true, "authentication": false});
    assert_eq!(browser.fetch("GET", PATH, "").await.json(), known);
    let answer = browser.fetch("POST", PATH, "{}").await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, known));
    assert!(set_cookies(&answer).is_empty());
    assert_eq!(browser.fetch("DELETE", PATH, "").await.status, 204);
}
