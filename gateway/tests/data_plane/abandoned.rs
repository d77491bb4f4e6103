//! Work that nobody waits for any more: its place, and what it says of the worker.

use std::time::Duration;

use futures_util::FutureExt;
use gateway::data_plane::Body;
use http_body_util::BodyExt;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::fixture::{Answer, Gateway, INVOCATIONS, Setup, peer, post};
use crate::worker::{FakeWorker, Pieces, answer, gated, streaming};

/// For what has to happen some time.
const SOON: Duration = Duration::from_secs(30);

/// Puts a request into the worker's hands, and goes away.
async fn ask_and_leave(gateway: &Gateway, arrivals: &mut mpsc::Receiver<()>) {
    tokio::select! {
        answer = gateway.score("[1]") => panic!("{}", answer.text()),
        arrived = arrivals.recv() => arrived.unwrap(),
    }
}

/// Asks until there is a place.
async fn score_when_there_is_a_place(gateway: &Gateway) -> Answer {
    let asking = async {
        loop {
            let answer = gateway.score("[1]").await;
            if answer.status != 429 {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, asking).await.unwrap()
}

async fn recycled(gateway: &mut Gateway) -> String {
    let asked = async {
        loop {
            if let Some((_, reason)) = gateway.replicas.recycle_asked() {
                return reason;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, asked).await.unwrap().to_string()
}

/// A worker that is stuck with whatever is called slow, and answers everything else.
fn sometimes_stuck() -> FakeWorker {
    FakeWorker::start(|seen| async move {
        if seen.text().contains("slow") {
            std::future::pending::<()>().await;
        }
        Ok(answer(200, "application/json", "{\"predictions\": [1]}"))
    })
}

#[tokio::test]
async fn a_worker_whose_abandoned_work_piles_up_is_recycled() {
    let worker = FakeWorker::start(|_| std::future::pending());
    let mut gateway = Setup::default()
        .places(2, 0)
        .timeout(30)
        .over([worker.upstream()]);
    gateway.score("[1]").await.is(504, "DEADLINE_EXCEEDED");
    assert_eq!(gateway.replicas.recycle_asked(), None);
    gateway.score("[2]").await.is(504, "DEADLINE_EXCEEDED");
    let (_, reason) = gateway.replicas.recycle_asked().unwrap();
    assert!(
        reason.starts_with("2 requests passed their deadline"),
        "{reason}"
    );
}

#[tokio::test]
async fn stuck_work_adds_up_whatever_else_is_finished() {
    let worker = sometimes_stuck();
    let mut gateway = Setup::default()
        .places(3, 0)
        .timeout(400)
        .over([worker.upstream()]);
    for body in ["\"slow\"", "1", "\"slow\"", "2"] {
        gateway.score(body).await;
    }
    assert_eq!(gateway.replicas.recycle_asked(), None);
    gateway.score("\"slow\"").await.is(504, "DEADLINE_EXCEEDED");
    assert!(gateway.replicas.recycle_asked().is_some());
}

#[tokio::test]
async fn work_that_ends_after_its_deadline_is_not_stuck() {
    let (worker, mut pieces) = streaming("text/event-stream");
    let mut gateway = Setup::default()
        .places(2, 0)
        .timeout(50)
        .over([worker.upstream()]);
    for _ in 0..5 {
        // The answer to a list is shown when its first bytes have come.
        gateway.score("[1]").await.is(504, "DEADLINE_EXCEEDED");
        let pieces = pieces.recv().await.unwrap();
        pieces.send(Ok("late, but here")).await.unwrap();
        // It was heard: more is not asked for.
        timeout(SOON, pieces.closed()).await.unwrap();
    }
    assert_eq!(gateway.replicas.recycle_asked(), None);
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_its_place_when_the_worker_is_done() {
    let (worker, go, mut arrivals) = gated();
    let gateway = Setup::default().places(1, 1).over([worker.upstream()]);
    ask_and_leave(&gateway, &mut arrivals).await;
    let mut next = Box::pin(gateway.score("[2]"));
    assert!(next.as_mut().now_or_never().is_none());
    // The place is taken as long as the worker computes for the one that has gone.
    gateway.score("[3]").await.is(429, "RESOURCE_EXHAUSTED");
    go.add_permits(1);
    tokio::select! {
        _ = &mut next => panic!("it was not allowed to answer"),
        arrived = timeout(SOON, arrivals.recv()) => arrived.unwrap().unwrap(),
    }
    go.add_permits(1);
    assert_eq!(next.await.status, 200);
}

#[tokio::test]
async fn clients_that_give_up_early_cannot_hide_that_a_worker_hangs() {
    let (worker, _never, mut arrivals) = gated();
    let mut gateway = Setup::default()
        .places(2, 0)
        .timeout(300)
        .over([worker.upstream()]);
    ask_and_leave(&gateway, &mut arrivals).await;
    ask_and_leave(&gateway, &mut arrivals).await;
    // However often they come again: no third thread is put to work before the deadline.
    gateway.score("[1]").await.is(429, "RESOURCE_EXHAUSTED");
    assert_eq!(gateway.replicas.recycle_asked(), None);
    let reason = recycled(&mut gateway).await;
    assert!(
        reason.starts_with("2 requests passed their deadline"),
        "{reason}"
    );
    assert_eq!(worker.seen().len(), 2);
}

#[tokio::test]
async fn clients_that_give_up_early_cannot_get_a_healthy_worker_recycled() {
    let (worker, go, mut arrivals) = gated();
    let mut gateway = Setup::default().places(1, 0).over([worker.upstream()]);
    for _ in 0..5 {
        ask_and_leave(&gateway, &mut arrivals).await;
        // Once for the one that has gone, and once for the one that waits for its place.
        go.add_permits(2);
        assert_eq!(score_when_there_is_a_place(&gateway).await.status, 200);
        arrivals.recv().await.unwrap();
    }
    assert_eq!(gateway.replicas.recycle_asked(), None);
}

/// A stream's response, and the end that the worker writes.
async fn begin_stream(gateway: &Gateway, pieces: &mut mpsc::Receiver<Pieces>) -> (Body, Pieces) {
    let request = post(INVOCATIONS, "{\"messages\": []}");
    let response = gateway.plane.handle(request, peer()).await;
    assert_eq!(response.status(), 200);
    (response.into_body(), pieces.recv().await.unwrap())
}

/// Lets `time` pass at once.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_stream_that_was_begun_is_closed_when_its_client_leaves() {
    let (worker, mut pieces) = streaming("text/event-stream");
    let gateway = Setup::default().places(1, 0).over([worker.upstream()]);
    let (mut body, pieces) = begin_stream(&gateway, &mut pieces).await;
    pieces.send(Ok("one")).await.unwrap();
    assert!(body.frame().await.unwrap().is_ok());
    drop(body);
    // The worker is told: its connection is closed.
    timeout(SOON, pieces.closed()).await.unwrap();
}

#[tokio::test]
async fn a_stream_that_never_begins_counts_although_its_client_has_left() {
    let (worker, mut pieces) = streaming("text/event-stream");
    let mut gateway = Setup::default()
        .places(1, 0)
        .timeout(400)
        .over([worker.upstream()]);
    let (body, _pieces) = begin_stream(&gateway, &mut pieces).await;
    drop(body);
    gateway.score("[1]").await.is(429, "RESOURCE_EXHAUSTED");
    recycled(&mut gateway).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_says_nothing_about_the_worker() {
    let (worker, mut pieces) = streaming("text/event-stream");
    let mut gateway = Setup::default().places(1, 0).over([worker.upstream()]);
    for _ in 0..3 {
        let (body, pieces) = begin_stream(&gateway, &mut pieces).await;
        for piece in ["one", "two"] {
            pieces.send(Ok(piece)).await.unwrap();
        }
        // Until the worker has written them.
        while pieces.capacity() < pieces.max_capacity() {
            tokio::task::yield_now().await;
        }
        pass(Duration::from_secs(30)).await;
        drop(body);
        timeout(SOON, pieces.closed()).await.unwrap();
    }
    assert_eq!(gateway.replicas.recycle_asked(), None);
}
