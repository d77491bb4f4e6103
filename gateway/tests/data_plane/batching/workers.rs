//! Shared calls, and workers that are too few, sleep, die or are given up.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::join_all;

use super::auto::{Decisions, EXAMPLE, slow};
use super::laws::{on, taken};
use super::scorer::{Scorer, numbers};
use crate::fixture::{INVOCATIONS, Setup, peer, post, read};

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
