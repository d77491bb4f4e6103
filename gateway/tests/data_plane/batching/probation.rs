//! What calls have to show before they are believed, in service.

use std::time::Duration;

use serde_json::Value;

use super::auto::{EXAMPLE, decided, slow, slow_less_the_mean};
use super::scorer::{Answers, Model, Scorer, less_the_mean, numbers};
use crate::fixture::Gateway;

/// Shares enough calls of such rows for these to be believed.
async fn show(scorer: &mut Scorer, gateway: &Gateway, bodies: &[&str]) {
    for _ in 0..8 {
        let (answers, _) = scorer.together(gateway, bodies).await;
        assert!(answers.iter().all(|answer| answer.status == 200));
    }
}

#[tokio::test]
async fn requests_of_many_rows_share_calls_from_the_beginning() {
    let mut scorer = Scorer::of(slow);
    let (gateway, _, (on, reason)) = decided(scorer.with_example(EXAMPLE)).await;
    assert!(on, "{reason}");
    let bodies = [
        r#"{"inputs": [1, 2, 3, 4, 5, 6]}"#,
        r#"{"inputs": [7, 8, 9, 10, 11, 12]}"#,
    ];
    show(&mut scorer, &gateway, &bodies).await;
    let (_, calls) = scorer.together(&gateway, &bodies).await;
    assert_eq!(calls, 1);
}

#[tokio::test]
async fn of_many_who_wait_a_few_are_asked_about_twice_and_the_others_once() {
    let mut scorer = Scorer::of(slow);
    let (gateway, _, (on, reason)) = decided(scorer.with_example(EXAMPLE)).await;
    assert!(on, "{reason}");
    let bodies: Vec<String> = (0..10)
        .map(|row| format!("{{\"inputs\": [{row}]}}"))
        .collect();
    let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
    let (answers, calls) = scorer.together(&gateway, &bodies).await;
    assert_eq!(calls, 11);
    for (row, answer) in answers.iter().enumerate() {
        assert_eq!(answer.text(), format!("{{\"predictions\": [{}]}}", 2 * row));
    }
}

/// Looks at the other rows if it is asked to.
fn ranks_if_asked(params: &Value, rows: &[f64]) -> Answers {
    std::thread::sleep(Duration::from_millis(25));
    if params.get("rank").is_some() {
        return less_the_mean(rows);
    }
    numbers(rows)
}

#[tokio::test]
async fn what_was_seen_without_parameters_says_nothing_of_those_with_them() {
    let mut scorer = Scorer::of_params(ranks_if_asked);
    let (gateway, decisions, (on, reason)) = decided(scorer.with_example(EXAMPLE)).await;
    assert!(on, "{reason}");
    let plain = [r#"{"inputs": [1]}"#, r#"{"inputs": [6]}"#];
    show(&mut scorer, &gateway, &plain).await;
    let ranked = [
        r#"{"inputs": [1], "params": {"rank": true}}"#,
        r#"{"inputs": [6], "params": {"rank": true}}"#,
    ];
    let (answers, _) = scorer.together(&gateway, &ranked).await;
    for answer in answers {
        assert_eq!(answer.text(), "{\"predictions\": [0]}");
    }
    let (on, reason) = decisions.next(1).await;
    assert!(!on);
    assert!(reason.contains("in service"), "{reason}");
}

#[tokio::test]
async fn the_same_row_printed_in_two_ways_shows_nothing() {
    let mut scorer = Scorer::of(slow_less_the_mean);
    let (gateway, decisions, (on, reason)) =
        decided(scorer.with_example(r#"{"inputs": [[3, 3]]}"#)).await;
    assert!(on, "{reason}");
    let one = [r#"{"inputs": [[1,2]]}"#, r#"{"inputs": [ [1, 2] ]}"#];
    show(&mut scorer, &gateway, &one).await;
    let two = [r#"{"inputs": [[1, 2]]}"#, r#"{"inputs": [[6, 2]]}"#];
    let (answers, _) = scorer.together(&gateway, &two).await;
    for answer in answers {
        assert_eq!(answer.text(), "{\"predictions\": [0]}");
    }
    assert!(!decisions.next(1).await.0);
}

/// Refuses one row, if it has no company.
fn refuses_seven_alone(rows: &[f64]) -> Answers {
    std::thread::sleep(Duration::from_millis(25));
    if rows == [7.0] {
        return Err("one row is not enough");
    }
    numbers(rows)
}

/// Answers it with nothing.
fn says_nothing_to_seven_alone(rows: &[f64]) -> Answers {
    std::thread::sleep(Duration::from_millis(25));
    if rows == [7.0] {
        return Ok(Vec::new());
    }
    numbers(rows)
}

#[tokio::test]
async fn rows_that_are_refused_only_alone_end_it() {
    let models: [(Model, u16, &str); 2] = [
        (refuses_seven_alone, 400, "400 Bad Request"),
        (says_nothing_to_seven_alone, 200, "one item for each row"),
    ];
    for (model, status, told) in models {
        let mut scorer = Scorer::of(model);
        let (gateway, decisions, (on, reason)) = decided(scorer.with_example(EXAMPLE)).await;
        assert!(on, "{reason}");
        let bodies = [r#"{"inputs": [7]}"#, r#"{"inputs": [8]}"#];
        let (answers, _) = scorer.together(&gateway, &bodies).await;
        assert_eq!(answers[0].status, status);
        assert_eq!(answers[1].text(), "{\"predictions\": [16]}");
        let (on, reason) = decisions.next(1).await;
        assert!(!on);
        assert!(reason.contains(told), "{reason}");
    }
}
