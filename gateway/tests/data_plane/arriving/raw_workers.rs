//! Workers that read and answer when a test says so.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use gateway::data_plane::{About, Endpoint, Upstream, UpstreamConfig};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use super::{HALF, SOON, inputs, pass, put, slow, until, waits};
use crate::fixture::{MIB, Setup, peer, read};

/// A worker of which a test holds the connections.
fn raw() -> (TempDir, UnixListener, Upstream) {
    raw_keeping_alive(Duration::from_secs(5))
}

fn raw_keeping_alive(keep_alive: Duration) -> (TempDir, UnixListener, Upstream) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let upstream = Upstream::new(UpstreamConfig {
        endpoint: Endpoint::Unix(path),
        mlflow_version: "3.17.2".to_owned(),
        keep_alive,
        about: Arc::new(About::default()),
    });
    (folder, listener, upstream)
}

async fn accept(listener: &UnixListener) -> UnixStream {
    listener.accept().await.unwrap().0
}

#[tokio::test]
async fn a_worker_that_does_not_read_is_stuck_however_much_is_still_to_come() {
    let (_folder, listener, upstream) = raw();
    let mut gateway = Setup::default().places(1, 0).timeout(300).over([upstream]);
    let body = inputs(16 * MIB);
    let (sending, request) = slow(body.len());
    put(&sending, &[body.slice(..12 * MIB)]).await;
    let answer = async { read(gateway.plane.handle(request, peer()).await).await };
    let (_deaf, answer) = tokio::join!(accept(&listener), answer);
    answer.is(504, "DEADLINE_EXCEEDED");
    assert!(gateway.replicas.recycle_asked().is_some());
}

#[tokio::test]
async fn time_in_which_the_worker_does_not_read_is_not_the_clients() {
    let (_folder, listener, upstream) = raw();
    let gateway = Setup::default().places(1, 0).over([upstream]);
    let body = inputs(16 * MIB);
    let (sending, request) = slow(body.len());
    put(&sending, &[body.slice(..8 * MIB)]).await;
    let plane = Arc::clone(&gateway.plane);
    let mut answer = Box::pin(async move { read(plane.handle(request, peer()).await).await });
    let mut worker = None;
    until(&mut answer, async {
        worker = Some(accept(&listener).await);
    })
    .await;
    let mut worker = worker.unwrap();
    waits(&mut answer).await;
    // Longer than any client may keep a worker waiting.
    pass(Duration::from_secs(6)).await;
    waits(&mut answer).await;
    let mut received = vec![0; 8 * MIB];
    until(&mut answer, async {
        worker.read_exact(&mut received).await.unwrap();
    })
    .await;
    waits(&mut answer).await;
    put(&sending, &[body.slice(8 * MIB..)]).await;
    let worker = async {
        let mut rest = Vec::new();
        while !rest.ends_with(b"]}") {
            worker.read_buf(&mut rest).await.unwrap();
        }
        let text = "{\"predictions\": [0]}";
        let length = text.len();
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{text}"
        );
        worker.write_all(answer.as_bytes()).await.unwrap();
        [received, rest].concat()
    };
    let (received, answer) = timeout(SOON, async { tokio::join!(worker, answer) })
        .await
        .unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(received.ends_with(&body), "it was sent once, and whole");
}

#[tokio::test]
async fn a_server_that_computes_on_half_a_body_gets_none() {
    let (_folder, listener, upstream) = raw_keeping_alive(Duration::ZERO);
    let gateway = Setup::default().places(1, 0).over([upstream]);
    let body = inputs(MIB);
    let (sending, request) = slow(body.len());
    put(&sending, &[body.slice(..HALF)]).await;
    let plane = Arc::clone(&gateway.plane);
    let mut answer = Box::pin(async move { read(plane.handle(request, peer()).await).await });
    waits(&mut answer).await;
    assert!(listener.accept().now_or_never().is_none());
    put(&sending, &[body.slice(HALF..)]).await;
    until(&mut answer, async {
        accept(&listener).await;
    })
    .await;
}

#[tokio::test]
async fn a_worker_may_answer_before_it_has_everything() {
    let (_folder, listener, upstream) = raw();
    let gateway = Setup::default().places(1, 0).over([upstream]);
    let body = inputs(MIB);
    let (sending, request) = slow(body.len());
    put(&sending, &[body.slice(..HALF)]).await;
    let answer = async { read(gateway.plane.handle(request, peer()).await).await };
    let worker = async {
        let mut worker = accept(&listener).await;
        let mut begun = [0; 1000];
        worker.read_exact(&mut begun).await.unwrap();
        let text = "{\"error_code\": \"BAD_REQUEST\", \"message\": \"no such column\"}";
        let answer = format!(
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{text}",
            text.len()
        );
        worker.write_all(answer.as_bytes()).await.unwrap();
        worker
    };
    let (_worker, answer) = timeout(SOON, async { tokio::join!(worker, answer) })
        .await
        .unwrap();
    assert_eq!(answer.is(400, "BAD_REQUEST"), "no such column");
    // Its place is free: the next one goes to the worker.
    let mut next = Box::pin(gateway.score("[1]"));
    until(&mut next, async {
        accept(&listener).await;
    })
    .await;
}
