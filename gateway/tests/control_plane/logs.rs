//! Logs: the attempts that there were, and their last lines.

use gateway::ports::{AttemptOutcome, LogKind};
use serde_json::json;
use serving_core::Phase;

use super::harness::{Caller, Plane};

const LOGS: &str = "/api/v1/models/iris/versions/1/logs";

async fn text(plane: &Plane, query: &str) -> String {
    let answer = plane.get(Caller::Reader, &format!("{LOGS}{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text().to_owned()
}

#[tokio::test]
async fn the_end_of_a_log_is_read_across_its_files_and_attempts() {
    let plane = Plane::new().await;
    plane.files.worker(1, "one\ntwo\n");
    plane.files.end(LogKind::Worker, 1, AttemptOutcome::Failed);
    plane.files.worker(2, "three\nfo");
    plane.files.rotate(2);
    plane.files.worker(2, "ur\nfi");
    plane
        .files
        .write(LogKind::Build, 1, "Resolved 12 packages\n");
    assert_eq!(text(&plane, "").await, "one\ntwo\nthree\nfour\nfi");
    assert_eq!(
        text(&plane, "?kind=worker&tail=4").await,
        "two\nthree\nfour\nfi"
    );
    assert_eq!(text(&plane, "?tail=0").await, "");
    assert_eq!(text(&plane, "?kind=build").await, "Resolved 12 packages\n");
    assert_eq!(text(&plane, "?attempt=1&tail=1").await, "two\n");
    assert_eq!(text(&plane, "?attempt=last").await, "three\nfour\nfi");
    assert_eq!(text(&plane, "?attempt=last-failed").await, "one\ntwo\n");
    let answer = plane.get(Caller::Reader, LOGS).await;
    assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
}

#[tokio::test]
async fn the_attempts_say_how_they_went() {
    let plane = Plane::new().await;
    plane.files.write(LogKind::Build, 1, "no such package\n");
    plane.files.end(LogKind::Build, 1, AttemptOutcome::Failed);
    plane.files.worker(3, "12345678\n");
    plane.files.rotate(3);
    plane.files.worker(3, "90\n");
    plane.files.forget_oldest(3);
    let answer = plane.get(Caller::Reader, &format!("{LOGS}/attempts")).await;
    let begun = "2026-01-01T00:00:00.000Z";
    let build = json!({
        "attempt": 1, "kind": "build", "started": begun, "ended": begun, "outcome": "failed",
        "bytes": 16, "current": false,
    });
    let worker = json!({
        "attempt": 3, "kind": "worker", "started": begun, "outcome": "running", "bytes": 3,
        "current": true,
    });
    assert_eq!(answer.json(), json!({"attempts": [build, worker]}));
    let path = format!("{LOGS}/attempts?kind=worker");
    let answer = plane.get(Caller::Reader, &path).await;
    assert_eq!(answer.json(), json!({"attempts": [worker]}));
    let unknown = "/api/v1/models/iris/versions/9/logs/attempts";
    assert_eq!(plane.get(Caller::Reader, unknown).await.refusal().0, 404);
}

#[tokio::test]
async fn a_version_without_a_log_has_an_empty_one_and_an_unknown_version_none() {
    let plane = Plane::new().await;
    assert_eq!(plane.get(Caller::Reader, LOGS).await.refusal().0, 404);
    plane.serve("iris", &[(1, Phase::Pending)], &[]);
    assert_eq!(text(&plane, "").await, "");
    for (query, status) in [
        ("?kind=access", 400),
        ("?tail=-1", 400),
        ("?follow=maybe", 400),
        ("?download=maybe", 400),
        ("?attempt=first", 400),
        ("?attempt=7", 404),
        ("?attempt=last", 404),
        ("?attempt=last-failed", 404),
        ("/attempts?kind=access", 400),
    ] {
        let answer = plane.get(Caller::Reader, &format!("{LOGS}{query}")).await;
        assert_eq!(answer.refusal().0, status, "{query}");
    }
    let long = format!("{LOGS}?contains={}", "x".repeat(1001));
    assert_eq!(plane.get(Caller::Reader, &long).await.refusal().0, 400);
}

#[tokio::test]
async fn only_lines_that_contain_a_text_are_shown() {
    let plane = Plane::new().await;
    plane.files.worker(1, "Error: one\nfine\n");
    plane.files.worker(2, "fine\nerror: two\nfine\nan ERROR\n");
    let found = text(&plane, "?contains=error").await;
    assert_eq!(found, "Error: one\nerror: two\nan ERROR\n");
    // Two attempts go on: each has its share.
    assert_eq!(
        text(&plane, "?contains=error&tail=2").await,
        "Error: one\nan ERROR\n"
    );
    assert_eq!(text(&plane, "?contains=nowhere").await, "");
}

#[tokio::test]
async fn a_log_can_be_saved_whole_under_a_name_that_files_can_have() {
    let plane = Plane::new().await;
    let whole = "a line\n".repeat(200_000);
    plane.files.worker(1, &whole);
    let path = format!("{LOGS}?download=true&follow=true&attempt=1");
    let answer = plane.get(Caller::Reader, &path).await;
    assert_eq!(
        answer.headers["content-disposition"],
        "attachment; filename=\"iris-1-worker-1.log\"; filename*=UTF-8''iris%2D1%2Dworker%2D1%2Elog"
    );
    assert!(answer.text() == whole);
    let odd = "/api/v1/models/odd%2F%22%C3%BC/versions/1/logs?download=true";
    let answer = plane.get(Caller::Manager, odd).await;
    let name = answer.headers["content-disposition"].to_str().unwrap();
    assert!(
        name.starts_with("attachment; filename=\"odd___-1-worker.log\"; "),
        "{name}"
    );
}

#[tokio::test]
async fn bytes_that_are_no_text_and_endless_lines_come_as_they_are() {
    let plane = Plane::new().await;
    let mut printed = vec![0xff, 0x1b, b'[', b'2', b'J', b'\n'];
    printed.extend(vec![b'x'; 300_000]);
    printed.extend(b"\nlast\n");
    plane.files.worker(1, &printed);
    let answer = plane.get(Caller::Reader, LOGS).await;
    assert!(answer.body == printed);
    assert_eq!(text(&plane, "?tail=1").await, "last\n");
}
