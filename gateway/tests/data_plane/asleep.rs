//! Versions without a worker because nobody called, and requests spread over several workers.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::task::JoinSet;

use crate::fixture::{Answer, Gateway, INVOCATIONS, Setup, failure, get, peer, post, read};
use crate::worker::{FakeWorker, gated};

/// A version that sleeps.
fn asleep(setup: Setup) -> Gateway {
    let gateway = setup.over([]);
    gateway.replicas.sleep();
    gateway
}

/// Requests at once, which do not borrow the gateway.
fn requests(gateway: &Gateway, count: usize) -> impl Future<Output = Vec<Answer>> + use<> {
    let plane = Arc::clone(&gateway.plane);
    let request = move |_| {
        let plane = Arc::clone(&plane);
        async move { read(plane.handle(post(INVOCATIONS, "[1]"), peer()).await).await }
    };
    join_all((0..count).map(request))
}

fn is_missed(gateway: &Gateway) -> bool {
    gateway.replicas.replicas().demand().is_missed()
}

#[tokio::test]
async fn requests_to_a_version_that_sleeps_wake_it_and_are_all_answered() {
    let worker = FakeWorker::predicting();
    let mut gateway = asleep(Setup::default());
    assert!(!is_missed(&gateway));
    let mut waiting = Box::pin(requests(&gateway, 32));
    assert!(waiting.as_mut().now_or_never().is_none());
    assert!(is_missed(&gateway));
    assert_eq!(
        gateway.replicas.replicas().demand().waiting(),
        24,
        "there are places as for one worker"
    );
    gateway.replicas.add(worker.upstream());
    for answer in waiting.await {
        assert_eq!(answer.text(), "[0, 2]");
    }
    assert_eq!(worker.seen().len(), 32);
    assert_eq!(gateway.replicas.replicas().demand().waiting(), 0);
}

#[tokio::test]
async fn who_only_asks_how_it_is_wakes_nobody_and_is_told_that_it_sleeps() {
    let worker = FakeWorker::predicting();
    let mut gateway = asleep(Setup::default());
    let ping = gateway.send(get("/model/iris/7/ping")).await;
    assert_eq!(ping.status, 200);
    assert_eq!(ping.header("x-sluicegate-state"), "asleep");
    let described = gateway.send(get("/model/iris/7")).await.json();
    assert_eq!(
        (
            &described["state"],
            &described["replicas"],
            &described["asleep"]
        ),
        (&"READY".into(), &0.into(), &true.into())
    );
    assert!(!is_missed(&gateway));
    gateway.replicas.add(worker.upstream());
    let ping = gateway.send(get("/model/iris/7/ping")).await;
    assert_eq!(ping.status, 200);
    assert!(!ping.headers.contains_key("x-sluicegate-state"));
    let described = gateway.send(get("/model/iris/7")).await.json();
    assert!(described.get("asleep").is_none());
}

#[tokio::test]
async fn a_wake_that_fails_is_told_to_all_who_wait_and_to_whoever_comes_before_the_next_try() {
    let gateway = asleep(Setup::default());
    let mut waiting = Box::pin(requests(&gateway, 12));
    assert!(waiting.as_mut().now_or_never().is_none());
    gateway.replicas.give_up(failure("the fork was refused"));
    for answer in waiting.await {
        let message = answer.is(503, "TEMPORARILY_UNAVAILABLE");
        assert!(message.contains("the fork was refused"), "{message}");
        assert!(answer.retry_after() > 60);
    }
    let late = gateway.score("[1]").await;
    late.is(503, "TEMPORARILY_UNAVAILABLE");
}

#[tokio::test]
async fn a_wake_that_takes_longer_than_a_request_may_wait_is_told_with_when_to_come_again() {
    let gateway = asleep(Setup::default().timeout(50));
    let answer = gateway.score("[1]").await;
    let message = answer.is(503, "TEMPORARILY_UNAVAILABLE");
    assert!(message.contains("asleep"), "{message}");
    assert!(answer.retry_after() > 0);
}

#[tokio::test]
async fn the_queue_before_a_version_that_sleeps_has_its_bound() {
    let worker = FakeWorker::predicting();
    let mut gateway = asleep(Setup::default().places(1, 1));
    let mut waiting = Box::pin(requests(&gateway, 2));
    assert!(waiting.as_mut().now_or_never().is_none());
    gateway.score("[1]").await.is(429, "RESOURCE_EXHAUSTED");
    gateway.replicas.add(worker.upstream());
    for answer in waiting.await {
        assert_eq!(answer.status, 200);
    }
}

#[tokio::test]
async fn requests_are_spread_over_the_workers_by_how_busy_they_are() {
    const WORKERS: usize = 4;
    const EACH: usize = 100;
    let mut workers: Vec<_> = (0..WORKERS).map(|_| gated()).collect();
    let upstreams: Vec<_> = workers
        .iter()
        .map(|(worker, ..)| worker.upstream())
        .collect();
    let gateway = Setup::default().places(200, 0).over(upstreams);
    let mut waiting = JoinSet::new();
    waiting.spawn(requests(&gateway, WORKERS * EACH));
    let arrivals = workers.iter_mut().map(|(_, _, arrivals)| arrivals);
    let mut streams: Vec<_> = arrivals.collect();
    for _ in 0..WORKERS * EACH {
        let next = streams.iter_mut().map(|arrivals| Box::pin(arrivals.recv()));
        let (arrived, ..) = futures_util::future::select_all(next).await;
        arrived.unwrap();
    }
    let counts: Vec<_> = workers
        .iter()
        .map(|(worker, ..)| worker.seen().len())
        .collect();
    // By chance alone they would be 17 apart in the mean.
    let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
    assert!(most - least <= 8, "{counts:?}");
    for (_, go, _) in &workers {
        go.add_permits(2 * EACH);
    }
    let answers = waiting.join_all().await;
    assert!(answers.iter().flatten().all(|answer| answer.status == 200));
}
