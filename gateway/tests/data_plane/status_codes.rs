//! Every row of the contract's table of status codes.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use auth::{
    Authenticator, AuthenticatorConfig, Credential, Grant, MemoryTokenStore, NewToken, Principal,
    Right, Rights, RightsError, SessionKey, Sessions, TokenStore,
};
use http::{HeaderValue, Request};
use http_body_util::Full;

use crate::fixture::{Gateway, INVOCATIONS, MIB, Setup, failure, post};
use crate::worker::{Died, FakeWorker};

/// A gateway with tokens, and one token that may score `iris`, one that may not.
async fn guarded(worker: &FakeWorker) -> (Gateway, String, String) {
    let store = Arc::new(MemoryTokenStore::default());
    let mut shown = Vec::new();
    for name in ["alice", "bob"] {
        let (record, token) = NewToken::new(name).issue(SystemTime::now()).unwrap();
        store.insert(record).await.unwrap();
        shown.push(token.expose().to_owned());
    }
    store
        .grant("alice", &Grant::read("iris".parse().unwrap()))
        .await
        .unwrap();
    let clock = Arc::new(SystemTime::now);
    let authenticator = Authenticator::open(store, clock, AuthenticatorConfig::default())
        .await
        .unwrap()
        .with_sessions(Arc::new(sessions()));
    let setup = Setup {
        rights: authenticator.rights(),
        authenticator,
        ..Setup::default()
    };
    let gateway = setup.over([worker.upstream()]);
    let [alice, bob] = shown.try_into().unwrap();
    (gateway, alice, bob)
}

/// Those of one gateway: all of them have the same key.
fn sessions() -> Sessions {
    let key = SessionKey::from_text(&"A".repeat(43).into()).unwrap();
    Sessions::new(&key, Duration::from_secs(60), Arc::new(SystemTime::now))
}

#[tokio::test]
async fn nobody_is_401_and_told_how_to_come() {
    let worker = FakeWorker::predicting();
    let (gateway, alice, _) = guarded(&worker).await;
    for authorization in [None, Some("Bearer sgp_unknown"), Some("Digest x")] {
        let mut request = post(INVOCATIONS, "[1]");
        if let Some(value) = authorization {
            let value = HeaderValue::from_static(value);
            request.headers_mut().insert("authorization", value);
        }
        let answer = gateway.send(request).await;
        answer.is(401, "UNAUTHENTICATED");
        let challenge = answer.header("www-authenticate");
        assert!(
            challenge.contains("Bearer") && challenge.contains("Basic"),
            "{challenge}"
        );
    }
    let mut request = post(INVOCATIONS, "[1]");
    let value = HeaderValue::try_from(format!("Bearer {alice}")).unwrap();
    request.headers_mut().insert("authorization", value);
    assert_eq!(gateway.send(request).await.status, 200);
}

#[tokio::test]
async fn the_cookie_of_a_session_scores_for_a_page_of_ours_and_stays_here() {
    let worker = FakeWorker::predicting();
    let (gateway, alice, _) = guarded(&worker).await;
    let cookie = sessions().begin(&Credential::Token(alice.into()), false);
    let cookie = cookie.unwrap().cookie;
    let with_cookie = |headers: &[(&'static str, &'static str)]| {
        let mut request = post(INVOCATIONS, "[1]");
        let value = HeaderValue::try_from(&cookie).unwrap();
        request.headers_mut().insert("cookie", value);
        for (name, value) in headers {
            let value = HeaderValue::from_static(value);
            request.headers_mut().insert(*name, value);
        }
        request
    };
    let page = ("x-sluicegate-page", "1");
    let answer = gateway.send(with_cookie(&[])).await;
    answer.is(401, "UNAUTHENTICATED");
    assert_eq!(
        answer.header("www-authenticate"),
        "Session realm=\"sluicegate\""
    );
    let from_elsewhere = [page, ("origin", "http://evil.example")];
    let answer = gateway.send(with_cookie(&from_elsewhere)).await;
    answer.is(403, "PERMISSION_DENIED");
    assert!(worker.seen().is_empty());
    assert_eq!(gateway.send(with_cookie(&[page])).await.status, 200);
    let seen = format!("{:?}", worker.last().headers);
    assert!(!seen.contains("sluicegate"), "{seen}");
}

#[tokio::test]
async fn without_authentication_another_site_scores_nothing_through_a_browser() {
    let worker = FakeWorker::predicting();
    let gateway = Setup::default().over([worker.upstream()]);
    for (name, value) in [
        ("origin", "http://evil.example"),
        ("sec-fetch-site", "cross-site"),
        ("host", "rebound.evil.example"),
    ] {
        let mut request = post(INVOCATIONS, "[1]");
        let value = HeaderValue::from_static(value);
        request.headers_mut().insert(name, value);
        let answer = gateway.send(request).await;
        answer.is(403, "PERMISSION_DENIED");
    }
    assert!(worker.seen().is_empty());
    assert_eq!(gateway.send(post(INVOCATIONS, "[1]")).await.status, 200);
}

#[tokio::test]
async fn a_caller_without_a_right_cannot_tell_the_model_from_none() {
    let worker = FakeWorker::predicting();
    let (gateway, _, bob) = guarded(&worker).await;
    let mut messages = Vec::new();
    for path in [
        INVOCATIONS,
        "/model/nil/7/invocations",
        "/model/iris/7",
        "/model/iris/7/ping",
    ] {
        let method = if path.ends_with("invocations") {
            "POST"
        } else {
            "GET"
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {bob}"))
            .body(Full::default())
            .unwrap();
        let answer = gateway.send(request).await;
        messages.push(
            answer
                .is(404, "RESOURCE_DOES_NOT_EXIST")
                .replace("nil", "iris"),
        );
        assert!(!answer.headers.contains_key("served-model-name"));
    }
    assert!(
        messages.iter().all(|message| *message == messages[0]),
        "{messages:?}"
    );
    assert!(worker.seen().is_empty());
}

#[tokio::test]
async fn what_is_not_served_is_404() {
    let worker = FakeWorker::predicting();
    let gateway = Gateway::over(worker.upstream());
    for reference in ["nil", "10", "@Production", "Archived", "None", "007"] {
        let answer = gateway
            .send(post(&format!("/model/iris/{reference}/invocations"), "[1]"))
            .await;
        let message = answer.is(404, "RESOURCE_DOES_NOT_EXIST");
        assert!(message.contains(reference), "{message}");
    }
    let answer = gateway.send(post("/model/Iris/7/invocations", "[1]")).await;
    answer.is(404, "RESOURCE_DOES_NOT_EXIST");
}

#[tokio::test]
async fn a_version_that_was_never_ready_is_404_with_a_time_to_come_again() {
    let worker = FakeWorker::predicting();
    let gateway = Gateway::over(worker.upstream());
    for reference in ["8", "Staging"] {
        let answer = gateway
            .send(post(&format!("/model/iris/{reference}/invocations"), "[1]"))
            .await;
        let message = answer.is(404, "RESOURCE_DOES_NOT_EXIST");
        assert_eq!(message, "version 8 of model \"iris\" is being built");
        assert!(answer.retry_after() >= 1);
    }
}

#[tokio::test]
async fn a_version_that_failed_and_never_was_ready_is_404_with_the_reason() {
    let worker = FakeWorker::predicting();
    let gateway = Gateway::over(worker.upstream());
    let answer = gateway.send(post("/model/iris/9/invocations", "[1]")).await;
    let message = answer.is(404, "RESOURCE_DOES_NOT_EXIST");
    assert_eq!(
        message,
        "version 9 of model \"iris\" failed: no module named skops"
    );
    assert!((100..=120).contains(&answer.retry_after()));
}

#[tokio::test]
async fn a_version_that_was_given_up_after_it_was_ready_is_503_at_once() {
    let worker = FakeWorker::predicting();
    let gateway = Gateway::over(worker.upstream());
    gateway.replicas.give_up(failure("it crashed 5 times"));
    let answer = gateway.score("[1]").await;
    let message = answer.is(503, "TEMPORARILY_UNAVAILABLE");
    assert!(message.ends_with("it crashed 5 times"), "{message}");
    assert!((100..=120).contains(&answer.retry_after()));
}

#[tokio::test]
async fn a_version_between_workers_is_503_when_the_deadline_has_passed() {
    let gateway = Setup::default().timeout(50).over([]);
    let answer = gateway.score("[1]").await;
    answer.is(503, "TEMPORARILY_UNAVAILABLE");
    assert!(answer.retry_after() >= 1);
    assert_eq!(answer.header("served-model-name"), "iris-7");
}

#[tokio::test]
async fn a_body_over_the_limit_is_413() {
    let worker = FakeWorker::predicting();
    let gateway = Gateway::over(worker.upstream());
    gateway
        .score(vec![b'1'; 16 * MIB + 1])
        .await
        .is(413, "REQUEST_TOO_LARGE");
    assert!(worker.seen().is_empty());
    assert_eq!(gateway.score(vec![b'1'; 16 * MIB]).await.status, 200);
}

#[tokio::test]
async fn an_unsupported_type_is_415_and_names_what_is_accepted() {
    let worker = FakeWorker::predicting();
    let gateway = Gateway::over(worker.upstream());
    for (name, value) in [
        ("content-type", "text/plain"),
        ("content-type", "application/json; format=pandas-index"),
        ("content-type", "application/json; charset=latin-1"),
        ("content-encoding", "br"),
    ] {
        let mut request = post(INVOCATIONS, "[1]");
        request
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
        let message = gateway
            .send(request)
            .await
            .is(415, "UNSUPPORTED_MEDIA_TYPE");
        assert!(message.contains("accepted are: "), "{message}");
    }
    let mut request = post(INVOCATIONS, "a,b\n1,2\n");
    request.headers_mut().remove("content-type");
    gateway
        .send(request)
        .await
        .is(415, "UNSUPPORTED_MEDIA_TYPE");
    assert!(worker.seen().is_empty());
}

const RAISED: &str = r#"{"error_code": "BAD_REQUEST", "message": "Encountered an unexpected error", "stack_trace": "Traceback: /home/x.py"}"#;

#[tokio::test]
async fn a_models_exception_is_400_and_its_trace_goes_to_the_log() {
    let worker = FakeWorker::answering(400, "application/json", RAISED);
    let gateway = Gateway::over(worker.upstream());
    let answer = gateway.score("[1]").await;
    let message = answer.is(400, "BAD_REQUEST");
    assert_eq!(message, "Encountered an unexpected error");
    assert!(!answer.text().contains("Traceback"));
    let notes = gateway.notes.taken();
    let [(id, note)] = notes.as_slice() else {
        panic!("{notes:?}")
    };
    assert_eq!(id.to_string(), "iris@7");
    assert!(note.contains("Traceback: /home/x.py"));
    assert!(note.contains(answer.header("x-request-id")));
}

#[tokio::test]
async fn a_trace_is_shown_where_the_setting_says_so() {
    let worker = FakeWorker::answering(400, "application/json", RAISED);
    let mut setup = Setup::default();
    setup.config.show_stack_traces = true;
    let gateway = setup.over([worker.upstream()]);
    let answer = gateway.score("[1]").await;
    answer.is(400, "BAD_REQUEST");
    assert_eq!(answer.json()["stack_trace"], "Traceback: /home/x.py");
}

#[tokio::test]
async fn a_workers_own_errors_come_in_our_shape() {
    for (status, content_type, body, error_code) in [
        (
            400,
            "application/json",
            r#"{"error_code": "INVALID_PARAMETER_VALUE", "message": "no"}"#,
            "INVALID_PARAMETER_VALUE",
        ),
        (
            415,
            "text/plain",
            "The scoring server only supports UTF-8",
            "UNSUPPORTED_MEDIA_TYPE",
        ),
        (500, "text/plain", "Internal Server Error", "INTERNAL_ERROR"),
        (
            504,
            "application/json",
            "Request processing time exceeded limit",
            "DEADLINE_EXCEEDED",
        ),
    ] {
        let worker = FakeWorker::answering(status, content_type, body);
        let gateway = Gateway::over(worker.upstream());
        gateway.score("[1]").await.is(status, error_code);
    }
}

#[tokio::test]
async fn workers_that_keep_dying_with_the_request_are_502() {
    let worker = FakeWorker::start(|_| async { Err(Died) });
    let gateway = Gateway::over(worker.upstream());
    gateway.score("[1]").await.is(502, "WORKER_DIED");
    assert_eq!(worker.seen().len(), 3);
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_504() {
    let worker = FakeWorker::start(|_| std::future::pending());
    let gateway = Setup::default().timeout(50).over([worker.upstream()]);
    let message = gateway.score("[1]").await.is(504, "DEADLINE_EXCEEDED");
    assert!(message.contains("0.05 s"), "{message}");
}

/// A registry that does not tell what callers may do.
struct Untold(RightsError);

#[async_trait]
impl Rights for Untold {
    async fn right(&self, _: &Principal, _: &str) -> Result<Option<Right>, RightsError> {
        Err(self.0.clone())
    }
}

#[tokio::test]
async fn rights_that_cannot_be_found_out_are_503_and_those_that_never_will_are_500() {
    let worker = FakeWorker::predicting();
    let reason = || "http://mlflow:5000 refused gatekeeper".to_owned();
    for (trouble, status, code) in [
        (
            RightsError::Unavailable(reason()),
            503,
            "TEMPORARILY_UNAVAILABLE",
        ),
        (RightsError::Misconfigured(reason()), 500, "INTERNAL_ERROR"),
    ] {
        let setup = Setup {
            rights: Arc::new(Untold(trouble)),
            ..Setup::default()
        };
        let gateway = setup.over([worker.upstream()]);
        let answer = gateway.send(post(INVOCATIONS, "[1]")).await;
        answer.is(status, code);
        let retry_after = answer.headers.get("retry-after");
        assert_eq!(retry_after.is_some(), status == 503);
        assert!(!answer.text().contains("gatekeeper"));
    }
}
