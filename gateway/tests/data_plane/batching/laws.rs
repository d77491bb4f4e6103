//! What holds for any request holds for one in company.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use serving_core::{Batching, Settings};
use tokio::time::timeout;

use super::scorer::{Scorer, numbers};
use crate::fixture::{Answer, Gateway, Setup};

const SOON: Duration = Duration::from_secs(30);

/// A gateway whose slot is taken, and the one that took it.
pub(super) async fn taken<'a>(
    scorer: &mut Scorer,
    gateway: &'a Gateway,
) -> impl Future<Output = Vec<Answer>> + Unpin + use<'a> {
    scorer.hold();
    let mut taking = Box::pin(join_all([gateway.score("{\"inputs\": [0.5]}")]));
    tokio::select! {
        _ = &mut taking => panic!("it was not allowed to answer"),
        () = scorer.arrival() => {}
    }
    taking
}

pub(super) fn on() -> Setup {
    Setup::default().batching(Batching::On)
}

#[tokio::test]
async fn one_more_than_may_wait_is_429_and_none_is_while_there_is_a_place() {
    let mut scorer = Scorer::of(numbers);
    let gateway = on().places(2, 1).over([scorer.worker.upstream()]);
    let working = taken(&mut scorer, &gateway).await;
    let mut waiting = Box::pin(gateway.score("{\"inputs\": [1]}"));
    assert!((&mut waiting).now_or_never().is_none());
    assert!(
        gateway
            .metrics()
            .contains(r#"queue_length{model="iris",version="7"} 1"#)
    );
    // The queue is full, but a second place at work is free.
    let mut second = Box::pin(gateway.score("{\"inputs\": [2]}"));
    assert!((&mut second).now_or_never().is_none());
    gateway
        .score("{\"inputs\": [3]}")
        .await
        .is(429, "RESOURCE_EXHAUSTED");
    scorer.release();
    let (_, waiting, second) = tokio::join!(working, waiting, second);
    assert_eq!([waiting.status, second.status], [200; 2]);
    assert!(
        gateway
            .metrics()
            .contains(r#"queue_length{model="iris",version="7"} 0"#)
    );
}

#[tokio::test]
async fn who_has_gone_is_not_asked_about() {
    let mut scorer = Scorer::of(numbers);
    let gateway = on().over([scorer.worker.upstream()]);
    let working = taken(&mut scorer, &gateway).await;
    let mut stays = Box::pin(gateway.score("{\"inputs\": [1]}"));
    let mut goes = Box::pin(gateway.score("{\"inputs\": [2]}"));
    assert!((&mut stays).now_or_never().is_none());
    assert!((&mut goes).now_or_never().is_none());
    drop(goes);
    scorer.release();
    let (_, stayed) = tokio::join!(working, stays);
    assert_eq!(stayed.text(), "{\"predictions\": [2]}");
    assert_eq!(scorer.worker.last().text(), "{\"inputs\": [1]}");
}

#[tokio::test]
async fn a_client_that_goes_while_its_row_is_computed_takes_nothing_from_the_others() {
    let mut scorer = Scorer::of(numbers);
    let gateway = on().over([scorer.worker.upstream()]);
    let working = taken(&mut scorer, &gateway).await;
    let mut stays = Box::pin(gateway.score("{\"inputs\": [1]}"));
    let mut goes = Box::pin(gateway.score("{\"inputs\": [2]}"));
    assert!((&mut stays).now_or_never().is_none());
    assert!((&mut goes).now_or_never().is_none());
    scorer.go_on(1);
    let mut both = Box::pin(async { tokio::join!(working, &mut stays) });
    tokio::select! {
        _ = &mut both => panic!("they were not allowed to answer"),
        () = scorer.arrival() => {}
    }
    drop(both);
    drop(goes);
    scorer.release();
    let stayed = stays.await;
    assert_eq!(stayed.text(), "{\"predictions\": [2]}");
    assert_eq!(scorer.worker.last().text(), "{\"inputs\": [1, 2]}");
}

#[tokio::test]
async fn who_waits_for_a_slot_past_the_deadline_is_504() {
    let mut scorer = Scorer::of(numbers);
    let gateway = on().timeout(200).over([scorer.worker.upstream()]);
    let working = taken(&mut scorer, &gateway).await;
    let message = gateway
        .score("{\"inputs\": [1]}")
        .await
        .is(504, "DEADLINE_EXCEEDED");
    assert!(
        message.contains("free place") || message.contains("did not answer"),
        "{message}"
    );
    for answer in working.await {
        answer.is(504, "DEADLINE_EXCEEDED");
    }
}

#[tokio::test]
async fn calls_that_never_end_count_for_each_of_their_requests() {
    let mut scorer = Scorer::of(numbers);
    let mut gateway = on()
        .places(3, 8)
        .timeout(600)
        .over([scorer.worker.upstream()]);
    {
        let working = taken(&mut scorer, &gateway).await;
        let score = |row: u32| gateway.score(format!("{{\"inputs\": [{row}]}}"));
        let waiting = join_all((1..4).map(score));
        scorer.go_on(1);
        let (_, late) = tokio::join!(working, waiting);
        for answer in late {
            answer.is(504, "DEADLINE_EXCEEDED");
        }
    }
    let asked = async {
        loop {
            if let Some((_, reason)) = gateway.replicas.recycle_asked() {
                return reason;
            }
            tokio::task::yield_now().await;
        }
    };
    let reason = timeout(SOON, asked).await.unwrap();
    assert!(reason.starts_with("3 requests passed"), "{reason}");
}

#[tokio::test]
async fn a_batch_is_of_so_many_rows_at_most() {
    let mut scorer = Scorer::of(numbers);
    let gateway = on()
        .with(|settings| settings.max_batch_rows = 4.try_into().unwrap())
        .over([scorer.worker.upstream()]);
    let one = r#"{"inputs": [1]}"#;
    let three = r#"{"inputs": [1, 2, 3]}"#;
    let four = r#"{"inputs": [1, 2, 3, 4]}"#;
    // Four rows are as many as a call has: they need no company.
    let (answers, calls) = scorer
        .together(&gateway, &[one, one, one, three, one, four])
        .await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(calls, 3);
}

/// So many equal rows.
fn rows(count: usize, row: i32) -> String {
    let rows = vec![row.to_string(); count];
    format!("{{\"inputs\": [{}]}}", rows.join(", "))
}

#[tokio::test]
async fn hundreds_of_rows_from_each_go_together() {
    let mut scorer = Scorer::of(numbers);
    let gateway = on().over([scorer.worker.upstream()]);
    let (one, other) = (rows(300, 1), rows(400, 2));
    let (answers, calls) = scorer.together(&gateway, &[&one, &other]).await;
    assert_eq!([answers[0].status, answers[1].status], [200, 200]);
    assert_ne!(answers[0].body, answers[1].body);
    assert_eq!(calls, 1);
}

#[tokio::test]
async fn requests_that_no_call_has_room_for_beside_another_need_no_slot() {
    let mut scorer = Scorer::of(numbers);
    let gateway = on().over([scorer.worker.upstream()]);
    // Each call that fails makes the next ones half as large.
    for count in [120, 60, 30, 15] {
        let (good, bad) = (rows(count, 1), rows(count, -1));
        let (answers, calls) = scorer.together(&gateway, &[&good, &bad]).await;
        assert_eq!([answers[0].status, answers[1].status], [200, 400]);
        assert_eq!(calls, 3);
    }
    let working = taken(&mut scorer, &gateway).await;
    let mut third = Box::pin(gateway.score(rows(120, 1)));
    tokio::select! {
        _ = &mut third => panic!("it was not allowed to answer"),
        () = scorer.arrival() => {}
    }
    scorer.release();
    let (_, third) = tokio::join!(working, third);
    assert_eq!(third.status, 200);
}

#[tokio::test]
async fn the_first_of_a_batch_waits_for_company_as_long_as_the_settings_say() {
    let scorer = Scorer::of(numbers);
    let gateway = on()
        .with(|settings| {
            settings.max_batch_delay = Duration::from_secs(5);
            settings.max_batch_rows = 3.try_into().unwrap();
        })
        .over([scorer.worker.upstream()]);
    let mut first = Box::pin(join_all([
        gateway.score("{\"inputs\": [1]}"),
        gateway.score("{\"inputs\": [2]}"),
    ]));
    for _ in 0..50 {
        assert!((&mut first).now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    assert!(scorer.worker.seen().is_empty());
    let (_, third) = tokio::join!(first, gateway.score("{\"inputs\": [3]}"));
    assert_eq!(third.text(), "{\"predictions\": [6]}");
    assert_eq!(scorer.worker.last().text(), "{\"inputs\": [1, 2, 3]}");
}

#[tokio::test]
async fn a_change_of_the_settings_holds_for_those_who_wait() {
    let mut scorer = Scorer::of(numbers);
    let gateway = on().over([scorer.worker.upstream()]);
    let working = taken(&mut scorer, &gateway).await;
    let mut waiting = Box::pin(join_all([
        gateway.score("{\"inputs\": [1]}"),
        gateway.score("{\"inputs\": [2]}"),
    ]));
    assert!((&mut waiting).now_or_never().is_none());
    gateway.replicas.set(Settings {
        batching: Batching::Off,
        ..Settings::default()
    });
    scorer.release();
    let (_, answers) = tokio::join!(working, waiting);
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(scorer.worker.seen().len(), 3);
    assert!(!gateway.stack.batching().on);
}

#[tokio::test]
async fn nobody_who_waits_is_left_when_the_version_is_given_up() {
    let mut scorer = Scorer::of(numbers);
    let gateway = on().over([scorer.worker.upstream()]);
    let working = taken(&mut scorer, &gateway).await;
    let mut waiting = Box::pin(gateway.score("{\"inputs\": [1]}"));
    assert!((&mut waiting).now_or_never().is_none());
    gateway
        .replicas
        .give_up(crate::fixture::failure("it crashed 5 times"));
    scorer.worker.kill().await;
    let (_, answer) = tokio::join!(working, waiting);
    answer.is(503, "TEMPORARILY_UNAVAILABLE");
}

#[tokio::test]
async fn one_at_a_time_is_never_in_a_queue() {
    let scorer = Scorer::of(numbers);
    let gateway = on().over([scorer.worker.upstream()]);
    for _ in 0..20 {
        let answer = gateway.score("{\"inputs\": [1]}").await;
        assert_eq!(answer.text(), "{\"predictions\": [2]}");
    }
    assert_eq!(scorer.worker.seen().len(), 20);
    let metrics = gateway.metrics();
    assert!(metrics.contains(r#"way="batched"} 0"#), "{metrics}");
    assert_eq!(gateway.stack.batching().mean_rows, Some(1.0));
    let left = gateway.retire();
    assert!(!left.contains("iris"), "{left}");
}
