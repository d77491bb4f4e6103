//! Answers on their way back: streamed, cut, reshaped.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::BodyExt;

use crate::fixture::{Gateway, INVOCATIONS, Setup, peer, post};
use crate::worker::{Died, FakeWorker, answer, streaming};

#[tokio::test]
async fn the_first_piece_reaches_the_client_before_the_last_is_made() {
    let (worker, mut pieces) = streaming("text/event-stream");
    let gateway = Gateway::over(worker.upstream());
    let body = "{\"messages\": [], \"stream\": true}";
    let response = gateway.plane.handle(post(INVOCATIONS, body), peer()).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let pieces = pieces.recv().await.unwrap();
    let mut body = response.into_body();
    for piece in ["data: one\n\n", "data: two\n\n"] {
        pieces.send(Ok(piece)).await.unwrap();
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), piece);
    }
    drop(pieces);
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn an_answer_that_breaks_off_breaks_off_for_the_client() {
    let (worker, mut pieces) = streaming("application/json");
    let gateway = Gateway::over(worker.upstream());
    let request = post(INVOCATIONS, "{\"inputs\": [1]}");
    let response = gateway.plane.handle(request, peer()).await;
    assert_eq!(response.status(), 200);
    let pieces = pieces.recv().await.unwrap();
    let mut body = response.into_body();
    pieces.send(Ok("{\"predictions\": [")).await.unwrap();
    assert!(body.frame().await.unwrap().is_ok());
    pieces.send(Err(Died)).await.unwrap();
    assert!(body.frame().await.unwrap().is_err());
    assert_eq!(worker.seen().len(), 1);
}

#[tokio::test]
async fn an_answer_that_does_not_end_before_the_deadline_is_cut() {
    let (worker, mut pieces) = streaming("text/event-stream");
    let gateway = Setup::default().timeout(100).over([worker.upstream()]);
    let response = gateway
        .plane
        .handle(post(INVOCATIONS, "{\"messages\": []}"), peer())
        .await;
    let _pieces = pieces.recv().await.unwrap();
    let error = response.into_body().frame().await.unwrap().unwrap_err();
    assert!(error.to_string().contains("deadline"), "{error}");
}

#[tokio::test]
async fn a_place_is_held_until_the_answer_has_ended() {
    let (worker, mut pieces) = streaming("text/event-stream");
    let gateway = Setup::default().places(1, 0).over([worker.upstream()]);
    let response = gateway
        .plane
        .handle(post(INVOCATIONS, "{\"messages\": []}"), peer())
        .await;
    let pieces = pieces.recv().await.unwrap();
    gateway.score("[1]").await.is(429, "RESOURCE_EXHAUSTED");
    drop(pieces);
    let mut body = response.into_body();
    assert!(body.frame().await.is_none());
    // The body itself is still there; the place is not.
    let next = gateway
        .plane
        .handle(post(INVOCATIONS, "{\"messages\": []}"), peer())
        .await;
    assert_eq!(next.status(), 200);
    drop(body);
}

#[tokio::test]
async fn an_answer_that_nobody_reads_any_more_frees_its_place() {
    let (worker, mut pieces) = streaming("text/event-stream");
    let gateway = Setup::default().places(1, 0).over([worker.upstream()]);
    let response = gateway
        .plane
        .handle(post(INVOCATIONS, "{\"messages\": []}"), peer())
        .await;
    let pieces = pieces.recv().await.unwrap();
    pieces.send(Ok("data: one\n\n")).await.unwrap();
    let mut body = response.into_body();
    assert!(body.frame().await.unwrap().is_ok());
    drop(body);
    let next = gateway
        .plane
        .handle(post(INVOCATIONS, "{\"messages\": []}"), peer())
        .await;
    assert_eq!(next.status(), 200);
    // The worker is told: its connection is closed.
    pieces.closed().await;
}

#[tokio::test]
async fn a_long_legacy_answer_is_unwrapped_while_it_streams() {
    let (worker, mut pieces) = streaming("application/json");
    let gateway = Gateway::over(worker.upstream());
    let plane = Arc::clone(&gateway.plane);
    let response = async move { plane.handle(post(INVOCATIONS, "[1]"), peer()).await };
    let feed = async {
        let pieces = pieces.recv().await.unwrap();
        for piece in [
            "{\"predi",
            "ctions\": [1, ",
            "NaN, \"]}\"",
            ", 2]",
            " }",
            "\n",
        ] {
            pieces.send(Ok(piece)).await.unwrap();
        }
    };
    let (response, ()) = tokio::join!(response, feed);
    assert!(!response.headers().contains_key("content-length"));
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "[1, NaN, \"]}\", 2]");
}

#[tokio::test]
async fn a_legacy_answer_that_breaks_off_before_its_first_value_is_502() {
    let (worker, mut pieces) = streaming("application/json");
    let gateway = Gateway::over(worker.upstream());
    let feed = async {
        let pieces = pieces.recv().await.unwrap();
        pieces.send(Ok("{\"predictions\": ")).await.unwrap();
        pieces.send(Err(Died)).await.unwrap();
    };
    let (answer, ()) = tokio::join!(gateway.score("[1]"), feed);
    answer.is(502, "WORKER_DIED");
}

#[tokio::test]
async fn answers_of_any_length_come_back_byte_for_byte() {
    let last = Arc::new(Mutex::new(Bytes::new()));
    let shown = Arc::clone(&last);
    let worker = FakeWorker::start(move |_| {
        let body = shown.lock().unwrap().clone();
        async move { Ok(answer(200, "application/json", body)) }
    });
    let gateway = Gateway::over(worker.upstream());
    for length in [0, 1, 1000, 65_500, 65_536, 65_537, 300_000, 3_000_000] {
        let list = format!("[{}]", "0.10,".repeat(length / 5));
        let wrapped = Bytes::from(format!("{{\"predictions\": {list}}}"));
        *last.lock().unwrap() = wrapped.clone();
        assert_eq!(gateway.score("{\"inputs\": []}").await.body, wrapped);
        assert_eq!(gateway.score("[1]").await.text(), list);
    }
    assert_eq!(worker.connections(), 1);
}

#[tokio::test]
async fn headers_of_the_workers_connection_and_about_the_whole_gateway_stay_behind() {
    let worker = FakeWorker::start(|_| async {
        let mut response = answer(200, "application/json", "{\"predictions\": [1]}");
        for (name, value) in [
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("keep-alive", "5"),
            ("set-cookie", "sluicegate_session_0=x"),
            ("clear-site-data", "\"*\""),
            ("access-control-allow-origin", "*"),
            ("location", "http://evil.example"),
            ("refresh", "0; url=http://evil.example"),
            ("x-frame-options", "ALLOWALL"),
            ("x-accel-redirect", "/secret"),
            ("content-security-policy", "script-src *"),
            ("retry-after", "3"),
            ("x-own", "2"),
        ] {
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        Ok(response)
    });
    let gateway = Gateway::over(worker.upstream());
    let answer = gateway.score("{\"inputs\": [1]}").await;
    for gone in [
        "connection",
        "x-hop",
        "keep-alive",
        "server",
        "date",
        "set-cookie",
        "clear-site-data",
        "access-control-allow-origin",
        "location",
        "refresh",
        "x-frame-options",
        "x-accel-redirect",
    ] {
        assert!(!answer.headers.contains_key(gone), "{gone}");
    }
    assert_eq!(answer.header("x-own"), "2");
    assert_eq!(answer.header("retry-after"), "3");
    let policy = answer.header("content-security-policy");
    assert_eq!(policy, "sandbox; default-src 'none'");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
}
