//! Workers that come, go and die; connections that are kept.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;

use crate::fixture::{Answer, Gateway, Setup, failure};
use crate::worker::{Died, FakeWorker, answer};

/// Polls once, so that the request is on its way, and finds it waiting.
fn waits(request: &mut (impl Future<Output = Answer> + Unpin)) -> bool {
    request.now_or_never().is_none()
}

#[tokio::test]
async fn connections_are_kept_and_used_again() {
    let worker = FakeWorker::predicting();
    let gateway = Gateway::over(worker.upstream());
    for _ in 0..5 {
        assert_eq!(gateway.score("[1]").await.status, 200);
    }
    assert_eq!(worker.connections(), 1);
    assert_eq!(worker.last().before, 4);
}

#[tokio::test]
async fn a_connection_is_given_up_before_the_worker_closes_it() {
    let worker = FakeWorker::predicting();
    let gateway = Gateway::over(worker.upstream_of("3.17.2", Duration::from_secs(5)));
    for (idle, connections) in [(0, 1), (3, 1), (4, 2)] {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(idle)).await;
        tokio::time::resume();
        assert_eq!(gateway.score("[1]").await.status, 200);
        assert_eq!(worker.connections(), connections, "after {idle} s");
    }
}

#[tokio::test]
async fn a_worker_that_keeps_no_connection_gets_a_new_one_each_time() {
    let worker = FakeWorker::predicting();
    let gateway = Gateway::over(worker.upstream_of("1.30.1", Duration::ZERO));
    for _ in 0..3 {
        assert_eq!(gateway.score("[1]").await.status, 200);
    }
    assert_eq!(worker.connections(), 3);
}

#[tokio::test]
async fn a_connection_that_the_worker_closes_as_we_use_it_is_not_the_clients_business() {
    let worker = FakeWorker::start(|seen| async move {
        if seen.before == 1 {
            return Err(Died);
        }
        Ok(answer(200, "application/json", "{\"predictions\": [1]}"))
    });
    let gateway = Gateway::over(worker.upstream());
    for _ in 0..4 {
        let answer = gateway.score("{\"inputs\": [1]}").await;
        assert_eq!(answer.text(), "{\"predictions\": [1]}");
    }
}

#[tokio::test]
async fn an_idle_connection_that_was_closed_is_not_used() {
    let mut first = FakeWorker::predicting();
    let gateway = Gateway::over(first.upstream());
    assert_eq!(gateway.score("[1]").await.status, 200);
    first.kill().await;
    let mut request = Box::pin(gateway.score("[1]"));
    assert!(waits(&mut request));
    gateway.replicas.give_up(failure("gone"));
    request.await.is(503, "TEMPORARILY_UNAVAILABLE");
}

#[tokio::test]
async fn a_request_between_workers_waits_for_the_next_one() {
    let worker = FakeWorker::predicting();
    let mut gateway = Setup::default().over([]);
    let plane = Arc::clone(&gateway.plane);
    let mut request = Box::pin(async move {
        let request = crate::fixture::post(crate::fixture::INVOCATIONS, "[1]");
        crate::fixture::read(plane.handle(request, crate::fixture::peer()).await).await
    });
    assert!(waits(&mut request));
    gateway.replicas.add(worker.upstream());
    assert_eq!(request.await.text(), "[0, 2]");
}

#[tokio::test]
async fn a_request_that_waits_is_told_when_the_version_is_given_up() {
    let gateway = Setup::default().over([]);
    let mut request = Box::pin(gateway.score("[1]"));
    assert!(waits(&mut request));
    gateway.replicas.give_up(failure("it crashed 5 times"));
    request.await.is(503, "TEMPORARILY_UNAVAILABLE");
}

#[tokio::test]
async fn a_request_in_the_hands_of_a_dead_worker_goes_to_another() {
    let dying = FakeWorker::start(|_| async { Err(Died) });
    let healthy = FakeWorker::predicting();
    let gateway = Setup::default().over([dying.upstream(), healthy.upstream()]);
    for _ in 0..8 {
        assert_eq!(gateway.score("[1]").await.text(), "[0, 2]");
    }
    assert_eq!(healthy.seen().len(), 8);
}

#[tokio::test]
async fn a_request_to_a_worker_that_is_gone_waits_for_its_successor() {
    let mut gone = FakeWorker::predicting();
    let successor = FakeWorker::predicting();
    let mut gateway = Setup::default().over([]);
    let id = gateway.replicas.add(gone.upstream());
    gone.kill().await;
    let plane = Arc::clone(&gateway.plane);
    let mut request = Box::pin(async move {
        let request = crate::fixture::post(crate::fixture::INVOCATIONS, "[1]");
        crate::fixture::read(plane.handle(request, crate::fixture::peer()).await).await
    });
    assert!(waits(&mut request));
    gateway.replicas.remove(id);
    assert!(waits(&mut request));
    gateway.replicas.add(successor.upstream());
    assert_eq!(request.await.status, 200);
    assert_eq!(successor.seen().len(), 1);
}

#[tokio::test]
async fn a_worker_that_cannot_be_reached_until_the_deadline_is_503() {
    let mut gone = FakeWorker::predicting();
    let gateway = Setup::default().timeout(150).over([gone.upstream()]);
    gone.kill().await;
    let answer = gateway.score("[1]").await;
    answer.is(503, "TEMPORARILY_UNAVAILABLE");
    assert!(answer.retry_after() >= 1);
}

#[tokio::test]
async fn the_less_busy_of_two_workers_is_asked() {
    let (busy, free) = (
        FakeWorker::start(|_| std::future::pending()),
        FakeWorker::predicting(),
    );
    let gateway = Setup::default()
        .places(8, 0)
        .over([busy.upstream(), free.upstream()]);
    // Whoever gets it, the busy one ends up with one request and then with no more.
    let mut stuck = Vec::new();
    while busy.seen().is_empty() {
        let mut request = Box::pin(gateway.score("[1]"));
        let mut answered = false;
        while !answered && busy.seen().is_empty() {
            tokio::select! {
                biased;
                _ = &mut request => answered = true,
                () = tokio::task::yield_now() => {}
            }
        }
        if !answered {
            stuck.push(request);
        }
    }
    assert_eq!(stuck.len(), 1);
    for _ in 0..8 {
        assert_eq!(gateway.score("[1]").await.status, 200);
    }
    assert_eq!(busy.seen().len(), 1);
}

#[tokio::test]
async fn a_request_keeps_its_worker_until_its_answer_has_ended() {
    let begun = Arc::new(AtomicBool::new(false));
    let (go, wait) = tokio::sync::watch::channel(false);
    let flag = Arc::clone(&begun);
    let worker = FakeWorker::start(move |_| {
        let (flag, mut wait) = (Arc::clone(&flag), wait.clone());
        async move {
            flag.store(true, Ordering::SeqCst);
            wait.wait_for(|go| *go).await.unwrap();
            Ok(answer(200, "application/json", "{\"predictions\": [1]}"))
        }
    });
    let mut gateway = Setup::default().over([]);
    let id = gateway.replicas.add(worker.upstream());
    let mut request = Box::pin(gateway.score("[1]"));
    while !begun.load(Ordering::SeqCst) {
        assert!(waits(&mut request));
        tokio::task::yield_now().await;
    }
    // Drained: nobody new gets in, who is in gets the answer.
    gateway.replicas.remove(id);
    let mut late = Box::pin(gateway.score("[2]"));
    assert!(waits(&mut late));
    go.send_replace(true);
    assert_eq!(request.await.status, 200);
    assert!(waits(&mut late));
}
