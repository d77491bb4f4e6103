//! Where it is left to the gateway whether calls are shared.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use gateway::data_plane::Upstream;
use gateway::ports::BatchingEvents;
use serving_core::ServableId;
use tokio::time::timeout;

use super::scorer::{Answers, Scorer, less_the_mean, numbers, one_for_all};
use crate::fixture::{Gateway, Setup};

const SOON: Duration = Duration::from_secs(30);

/// What was decided, in this order.
#[derive(Default)]
pub(super) struct Decisions(Mutex<Vec<(bool, String)>>);

impl BatchingEvents for Decisions {
    fn decided(&self, id: &ServableId, on: bool, reason: &str) {
        assert_eq!(id.model.as_str(), "iris");
        self.0.lock().unwrap().push((on, reason.to_owned()));
    }
}

impl Decisions {
    pub(super) async fn next(&self, seen: usize) -> (bool, String) {
        let decided = async {
            loop {
                if let Some(decision) = self.0.lock().unwrap().get(seen) {
                    return decision.clone();
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(SOON, decided).await.unwrap()
    }
}

/// A gateway that has to decide, and has been asked once.
pub(super) async fn decided(worker: Upstream) -> (Gateway, Arc<Decisions>, (bool, String)) {
    let decisions = Arc::new(Decisions::default());
    let setup = Setup {
        batching_events: Arc::clone(&decisions) as _,
        ..Setup::default()
    };
    let gateway = setup.over([worker]);
    assert!(!gateway.stack.batching().on);
    gateway.score("{\"inputs\": [1]}").await;
    let first = decisions.next(0).await;
    assert_eq!(gateway.stack.batching().on, first.0);
    assert_eq!(&*gateway.stack.batching().reason, first.1);
    (gateway, decisions, first)
}

pub(super) const EXAMPLE: &str = r#"{"inputs": [1, 2, 3]}"#;

#[tokio::test]
async fn without_an_example_nothing_is_shared() {
    let scorer = Scorer::of(numbers);
    let (_gateway, _, (on, reason)) = decided(scorer.worker.upstream()).await;
    assert!(!on);
    assert!(reason.contains("without an input example"), "{reason}");
}

#[tokio::test]
async fn an_example_that_cannot_be_joined_says_nothing() {
    let scorer = Scorer::of(numbers);
    let (_gateway, _, (on, reason)) = decided(scorer.with_example(r#"{"messages": []}"#)).await;
    assert!(!on);
    assert!(reason.contains("can be joined"), "{reason}");
}

#[tokio::test]
async fn a_model_that_looks_at_other_rows_is_found_out_by_its_example() {
    let scorer = Scorer::of(less_the_mean);
    let (_gateway, _, (on, reason)) = decided(scorer.with_example(EXAMPLE)).await;
    assert!(!on);
    assert!(reason.contains("otherwise in company"), "{reason}");
}

#[tokio::test]
async fn a_model_that_answers_once_for_all_rows_is_found_out_by_its_example() {
    let scorer = Scorer::of(one_for_all);
    let (_gateway, _, (on, reason)) = decided(scorer.with_example(EXAMPLE)).await;
    assert!(!on);
    assert!(reason.contains("one item for each row"), "{reason}");
}

/// Waits as long for each row.
fn waits(rows: &[f64]) -> Answers {
    std::thread::sleep(Duration::from_millis(50 * rows.len() as u64));
    numbers(rows)
}

#[tokio::test]
async fn a_model_that_waits_for_each_row_gains_nothing() {
    let scorer = Scorer::of(waits);
    let (_gateway, _, (on, reason)) = decided(scorer.with_example(EXAMPLE)).await;
    assert!(!on);
    assert!(reason.contains("would not pay"), "{reason}");
}

/// So long as somebody else keeps the machine busy, it looks as if company gained nothing.
fn disturbed_at_first(rows: &[f64]) -> Answers {
    static DISTURBED: AtomicUsize = AtomicUsize::new(0);
    if rows.len() > 1 && DISTURBED.fetch_add(1, Ordering::SeqCst) < 3 {
        std::thread::sleep(Duration::from_millis(400));
    }
    slow(rows)
}

#[tokio::test]
async fn that_company_does_not_pay_is_not_believed_at_once() {
    let scorer = Scorer::of(disturbed_at_first);
    let (_gateway, _, (on, reason)) = decided(scorer.with_example(EXAMPLE)).await;
    assert!(on, "{reason}");
}

#[tokio::test]
async fn an_example_of_which_some_rows_lack_something_still_has_others() {
    const UNEVEN: &str =
        r#"{"dataframe_records": [{"x": 1, "y": null}, {"x": 1, "y": 2}, {"x": 2, "y": 3}]}"#;
    let scorer = Scorer::of(slow);
    let (_gateway, _, (on, reason)) = decided(scorer.with_example(UNEVEN)).await;
    assert!(on, "{reason}");
    let seen = scorer.worker.seen();
    let together = r#"{"x": 1, "y": 2}, {"x": 2, "y": 3}, {"x": 1, "y": 2}"#;
    assert!(seen.iter().any(|seen| seen.text().contains(together)));
    assert!(seen.iter().all(|seen| !seen.text().contains("null")));
}

/// As much for one row as for many.
pub(super) fn slow(rows: &[f64]) -> Answers {
    std::thread::sleep(Duration::from_millis(25));
    numbers(rows)
}

/// The same, and looks at the others.
pub(super) fn slow_less_the_mean(rows: &[f64]) -> Answers {
    std::thread::sleep(Duration::from_millis(25));
    less_the_mean(rows)
}

#[tokio::test]
async fn a_model_that_agrees_with_itself_is_on_and_stays_so() {
    let mut scorer = Scorer::of(slow);
    let (gateway, decisions, (on, reason)) = decided(scorer.with_example(EXAMPLE)).await;
    assert!(on, "{reason}");
    // That was nobody's request.
    assert_eq!(gateway.stack.batching().mean_rows, None);
    for _ in 0..12 {
        let bodies: Vec<String> = (0..6)
            .map(|row| format!("{{\"inputs\": [{row}]}}"))
            .collect();
        let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
        let (answers, _) = scorer.together(&gateway, &bodies).await;
        for (row, answer) in answers.iter().enumerate() {
            assert_eq!(answer.text(), format!("{{\"predictions\": [{}]}}", 2 * row));
        }
    }
    assert!(gateway.stack.batching().on);
    assert_eq!(decisions.0.lock().unwrap().len(), 1);
    // On probation each row was asked alone, too; after it no more.
    let (_, calls) = scorer
        .together(&gateway, &["{\"inputs\": [7]}", "{\"inputs\": [8]}"])
        .await;
    assert_eq!(calls, 1);
}

#[tokio::test]
async fn a_model_whose_example_hides_that_it_looks_at_other_rows_is_found_out_in_service() {
    let mut scorer = Scorer::of(slow_less_the_mean);
    // Copies of one row differ from nothing.
    let (gateway, decisions, (on, reason)) =
        decided(scorer.with_example(r#"{"inputs": [3]}"#)).await;
    assert!(on, "{reason}");
    let bodies = [
        "{\"inputs\": [1]}",
        "{\"inputs\": [2]}",
        "{\"inputs\": [6]}",
    ];
    let (answers, _) = scorer.together(&gateway, &bodies).await;
    // Nobody has been told what is wrong.
    for answer in answers {
        assert_eq!(answer.text(), "{\"predictions\": [0]}");
    }
    let (on, reason) = decisions.next(1).await;
    assert!(!on);
    assert!(reason.contains("in service"), "{reason}");
    assert!(!gateway.stack.batching().on);
    let (_, calls) = scorer.together(&gateway, &bodies).await;
    assert_eq!(calls, 3);
}

#[tokio::test]
async fn many_who_come_at_once_make_one_trial() {
    let scorer = Scorer::of(slow);
    let gateway = Setup::default().over([scorer.with_example(EXAMPLE)]);
    join_all((0..20).map(|_| gateway.score("{\"inputs\": [1]}"))).await;
    let tried = || {
        let seen = scorer.worker.seen();
        seen.iter()
            .filter(|seen| seen.text() == "{\"inputs\": [2]}")
            .count()
    };
    let decided = async {
        while !gateway.stack.batching().on {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, decided).await.unwrap();
    assert_eq!(tried(), 1);
}
