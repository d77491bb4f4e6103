//! Shared calls, and workers that are too few, sleep, die or are given up.

use futures_util::FutureExt;
use futures_util::future::join_all;

use super::laws::{on, taken};
use super::scorer::{Scorer, numbers};

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
