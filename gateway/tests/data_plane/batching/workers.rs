//! Shared calls, and workers that are too few, sleep, die or are given up.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::join_all;

use super::auto::{Decisions, EXAMPLE, slow};
use super::laws::{on, taken};
use super::scorer::{Scorer, numbers};
use crate::fixture::{Answer, Gateway, INVOCATIONS, Setup, failure, peer, post, read};

#[tokio::test]
async fn who_waits_in_company_counts_as_waiting_for_another_worker() {
    let mut scorer = Scorer::of(numbers);
    let gateway = on().over([scorer.worker.upstream()]);
    let working = taken(&mut scorer, &gateway).await;
    let waiting = || gateway.replicas.replicas().demand().waiting();
    assert_eq!(waiting(), 0);
    let score = |row: u32| gateway.score(format!("{{\"inputs\": [{row}]}}"));
    let mut callers = Box::pin(join_all((1..4).map(score)));
    assert!((&mut callers).now_or_never().is_none());
    assert_eq!(waiting(), 3);
    scorer.go_on(1);
    let mut both = Box::pin(async { tokio::join!(working, &mut callers) });
    tokio::select! {
        _ = &mut both => panic!("they were not allowed to answer"),
        () = scorer.arrival() => {}
    }
    // They are asked about.
    assert_eq!(waiting(), 0);
    scorer.release();
    let (_, answers) = both.await;
    assert!(answers.iter().all(|answer| answer.status == 200));
}

#[tokio::test]
async fn a_version_whose_first_request_wakes_it_is_tried_when_its_worker_is_there() {
    let scorer = Scorer::of(slow);
    let decisions = Arc::new(Decisions::default());
    let setup = Setup {
        batching_events: Arc::clone(&decisions) as _,
        ..Setup::default()
    };
    let mut gateway = setup.over([]);
    gateway.replicas.sleep();
    let plane = Arc::clone(&gateway.plane);
    let mut first = Box::pin(async move {
        read(
            plane
                .handle(post(INVOCATIONS, "{\"inputs\": [1]}"), peer())
                .await,
        )
        .await
    });
    for _ in 0..50 {
        // The trial begins to run.
        assert!((&mut first).now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    gateway.replicas.add(scorer.with_example(EXAMPLE));
    assert_eq!(first.await.status, 200);
    let (on, reason) = decisions.next(0).await;
    assert!(on, "{reason}");
}

/// Two who share a call that is in the worker's hands.
async fn in_a_call<'a>(
    scorer: &mut Scorer,
    gateway: &'a Gateway,
) -> impl Future<Output = Vec<Answer>> + Unpin + use<'a> {
    let working = taken(scorer, gateway).await;
    let mut both = Box::pin(join_all([
        gateway.score("{\"inputs\": [1]}"),
        gateway.score("{\"inputs\": [2]}"),
    ]));
    assert!((&mut both).now_or_never().is_none());
    scorer.go_on(1);
    let mut all = Box::pin(async { tokio::join!(working, &mut both) });
    tokio::select! {
        _ = &mut all => panic!("they were not allowed to answer"),
        () = scorer.arrival() => {}
    }
    drop(all);
    assert_eq!(scorer.worker.last().text(), "{\"inputs\": [1, 2]}");
    both
}

#[tokio::test]
async fn who_shares_a_call_between_workers_hears_of_that_as_one_alone_does() {
    let mut scorer = Scorer::of(numbers);
    let mut gateway = on().timeout(1000).over([]);
    let worker = gateway.replicas.add(scorer.worker.upstream());
    let sharing = in_a_call(&mut scorer, &gateway).await;
    gateway.replicas.remove(worker);
    scorer.worker.kill().await;
    for answer in sharing.await {
        answer.is(503, "TEMPORARILY_UNAVAILABLE");
        assert!(answer.retry_after() > 0);
    }
}

#[tokio::test]
async fn who_shares_a_call_when_the_version_is_given_up_hears_why_and_is_not_to_blame() {
    let mut scorer = Scorer::of(numbers);
    let mut gateway = on().over([scorer.worker.upstream()]);
    let sharing = in_a_call(&mut scorer, &gateway).await;
    gateway.replicas.give_up(failure("it crashed 5 times"));
    scorer.worker.kill().await;
    for answer in sharing.await {
        let message = answer.is(503, "TEMPORARILY_UNAVAILABLE");
        assert!(message.contains("it crashed 5 times"), "{message}");
    }
    // That was nobody's row: the next ones share as before.
    let mut next = Scorer::of(numbers);
    gateway.replicas.add(next.worker.upstream());
    let bodies = ["{\"inputs\": [1]}", "{\"inputs\": [2]}"];
    let (answers, calls) = next.together(&gateway, &bodies).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(calls, 1);
}
