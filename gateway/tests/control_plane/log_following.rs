//! Logs as they grow: as text and as events that can be resumed, until the caller may not see them any more.

use std::time::Duration;

use auth::TokenStore;
use axum::body::{Body, BodyDataStream};
use futures_util::StreamExt;
use gateway::ports::{AttemptOutcome, LogKind};
use tokio::time::{Instant, timeout};

use super::harness::{Caller, Plane};

const LOGS: &str = "/api/v1/models/iris/versions/1/logs";

/// A stream of events, taken apart.
struct Events {
    body: BodyDataStream,
    text: String,
}

/// One event: what it is (`line` without a name), its id, its data.
type Event = (String, String, String);

impl Events {
    async fn follow(plane: &Plane, query: &str, last: Option<&str>) -> Self {
        let path = format!("{LOGS}{query}");
        let mut request = plane
            .request(Caller::Reader, "GET", &path)
            .header("accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = plane.begin(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        Self {
            body: response.into_body().into_data_stream(),
            text: String::new(),
        }
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            let event = self.piece().await?;
            if event.0 != "retry" && event.0 != "heartbeat" {
                return Some(event);
            }
        }
    }

    /// The same, or what only keeps the connection.
    async fn piece(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (mut name, mut id, mut data) = ("line", "", "");
                for line in event.lines() {
                    match line.split_once(": ") {
                        Some(("event", value)) => name = value,
                        Some(("id", value)) => id = value,
                        Some(("data", value)) => data = value,
                        Some(("retry", _)) => name = "retry",
                        other => panic!("{line:?} {other:?}"),
                    }
                }
                let event = (name.to_owned(), id.to_owned(), data.to_owned());
                let taken = self.text.len() - rest.len();
                self.text.drain(..taken);
                return Some(event);
            }
            let piece = self.body.next().await?.unwrap();
            self.text.push_str(std::str::from_utf8(&piece).unwrap());
        }
    }

    /// The next lines, so many, with their ids.
    async fn lines(&mut self, count: usize) -> Vec<(String, String)> {
        let mut lines = Vec::new();
        while lines.len() < count {
            let (name, id, data) = self.next().await.expect("more lines");
            if name == "line" {
                lines.push((id, data));
            }
        }
        lines
    }
}

fn texts(lines: &[(String, String)]) -> Vec<&str> {
    lines.iter().map(|(_, text)| text.as_str()).collect()
}

#[tokio::test]
async fn a_log_is_followed_as_text_through_a_rotation_until_the_gateway_stops() {
    let plane = Plane::new().await;
    plane.files.worker(1, "old\nnew\n");
    let request = plane.request(Caller::Reader, "GET", &format!("{LOGS}?follow=true&tail=1"));
    let response = plane.begin(request.body(Body::empty()).unwrap()).await;
    let mut body = response.into_body().into_data_stream();
    let mut next = async || {
        let piece = body.next().await?;
        Some(String::from_utf8(piece.unwrap().to_vec()).unwrap())
    };
    assert_eq!(next().await.unwrap(), "new\n");
    plane.files.worker(1, "newer\n");
    assert_eq!(next().await.unwrap(), "newer\n");
    plane.files.worker(1, "half ");
    plane.files.rotate(1);
    plane.files.worker(1, "a line\n");
    assert_eq!(next().await.unwrap(), "half a line\n");
    plane.files.end(LogKind::Worker, 1, AttemptOutcome::Failed);
    plane.files.worker(2, "successor\n");
    assert_eq!(next().await.unwrap(), "successor\n");
    plane.shutdown.cancel();
    assert_eq!(next().await, None);
}

#[tokio::test]
async fn a_broken_stream_is_resumed_without_losing_or_repeating_a_line() {
    let plane = Plane::new().await;
    plane.files.worker(1, "one\ntwo\nthree\n");
    plane.files.worker(2, "uno\n");
    let mut events = Events::follow(&plane, "?follow=true", None).await;
    let all = events.lines(4).await;
    assert_eq!(texts(&all), ["one", "two", "three", "uno"]);
    plane.files.worker(2, "dos\n");
    plane.files.end(LogKind::Worker, 1, AttemptOutcome::Stopped);
    plane.files.worker(3, "un\n");
    let expected = ["one", "two", "three", "uno", "dos", "un"];
    for (count, (id, _)) in all.iter().enumerate() {
        let mut again = Events::follow(&plane, "?follow=true&tail=0", Some(id)).await;
        let rest = again.lines(expected.len() - count - 1).await;
        assert_eq!(texts(&rest), expected[count + 1..], "after {id}");
    }
}

#[tokio::test]
async fn each_attempt_is_announced_and_one_that_has_ended_ends_the_stream() {
    let plane = Plane::new().await;
    plane.files.worker(1, "one\nhalf");
    plane.files.end(LogKind::Worker, 1, AttemptOutcome::Failed);
    plane.files.worker(2, "two\n");
    let mut events = Events::follow(&plane, "?follow=true&attempt=1", None).await;
    let (name, _, about) = events.next().await.unwrap();
    assert_eq!(name, "attempt");
    let about: serde_json::Value = serde_json::from_str(&about).unwrap();
    assert_eq!(
        (&about["attempt"], &about["begins"]),
        (&1.into(), &true.into())
    );
    assert_eq!(about["outcome"], "failed");
    assert_eq!(
        events.next().await.unwrap(),
        ("line".into(), "1:4".into(), "one".into())
    );
    assert_eq!(
        events.next().await.unwrap(),
        ("line".into(), "1:8".into(), "half".into())
    );
    assert_eq!(events.next().await.unwrap().0, "end");
    assert_eq!(events.next().await, None);

    let mut events = Events::follow(&plane, "?follow=true", None).await;
    let mut names = Vec::new();
    for _ in 0..5 {
        let (name, _, data) = events.next().await.unwrap();
        names.push(if name == "attempt" { name } else { data });
    }
    assert_eq!(names, ["attempt", "one", "half", "attempt", "two"]);
}

#[tokio::test]
async fn a_stream_of_a_log_in_which_nothing_is_written_beats() {
    let plane = Plane::new().await;
    plane.files.worker(1, "started\n");
    let mut events = Events::follow(&plane, "?follow=true", None).await;
    events.lines(1).await;
    tokio::time::pause();
    for _ in 0..3 {
        let begun = Instant::now();
        // Without any the stream would be silent for ever.
        let piece = timeout(Duration::from_secs(60), events.piece()).await;
        assert_eq!(piece.unwrap().unwrap().0, "heartbeat");
        assert_eq!(begun.elapsed().as_secs(), 15);
    }
    plane.files.worker(1, "printed\n");
    assert_eq!(texts(&events.lines(1).await), ["printed"]);
}

#[tokio::test]
async fn a_hostile_line_is_inert_text() {
    let plane = Plane::new().await;
    plane
        .files
        .worker(1, b"a\rdata: forged\r\x1b]0;x\x07\x1b[31mred\xff\nnext\n");
    let mut events = Events::follow(&plane, "", None).await;
    let lines = events.lines(2).await;
    assert_eq!(
        texts(&lines),
        ["a\\rdata: forged\\r\\u{1b}]0;x\\u{7}red\u{fffd}", "next"]
    );
    assert_eq!(events.next().await.unwrap().0, "end");
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn an_endless_line_comes_in_pieces_that_can_be_resumed() {
    let plane = Plane::new().await;
    let long = "ü".repeat(100_000);
    plane.files.worker(1, format!("x{long}\nend\n"));
    let mut events = Events::follow(&plane, "?follow=true", None).await;
    let mut whole = String::new();
    let mut ids = Vec::new();
    loop {
        let (name, id, data) = events.next().await.unwrap();
        if name == "attempt" {
            continue;
        }
        assert!(data.len() <= 64 << 10);
        whole.push_str(&data);
        ids.push((id, whole.clone()));
        if name == "line" {
            break;
        }
    }
    assert!(whole == format!("x{long}") && ids.len() > 3);
    let (id, before) = &ids[1];
    let mut events = Events::follow(&plane, "?follow=true", Some(id)).await;
    let mut rest = before.clone();
    loop {
        let (name, _, data) = events.next().await.unwrap();
        if name != "attempt" {
            rest.push_str(&data);
        }
        if name == "line" {
            break;
        }
    }
    assert!(rest == whole);
}

#[tokio::test]
async fn what_was_removed_before_it_was_read_is_told() {
    let plane = Plane::new().await;
    plane.files.worker(1, "one\n");
    plane.files.rotate(1);
    plane.files.worker(1, "two\n");
    plane.files.rotate(1);
    plane.files.worker(1, "three\n");
    plane.files.forget_oldest(1);
    plane.files.forget_oldest(1);
    let mut events = Events::follow(&plane, "?follow=true", Some("1:2")).await;
    assert_eq!(events.next().await.unwrap().0, "attempt");
    let lost = events.next().await.unwrap();
    assert_eq!(lost.0, "lost");
    assert_eq!(lost.2, r#"{"attempt":1,"bytes":6}"#);
    assert_eq!(texts(&events.lines(1).await), ["three"]);
}

#[tokio::test]
async fn a_place_that_nobody_gave_is_refused() {
    let plane = Plane::new().await;
    plane.files.worker(1, "one\n");
    for id in ["nonsense", "1", "1:", "1:2,", "-1:2"] {
        let request = plane
            .request(Caller::Reader, "GET", LOGS)
            .header("last-event-id", id)
            .body(Body::empty());
        let answer = plane.send(request.unwrap()).await;
        assert_eq!(answer.refusal().0, 400, "{id}");
    }
}

#[tokio::test]
async fn who_may_not_see_the_model_any_more_sees_no_further_line() {
    let plane = Plane::new().await;
    plane.files.worker(1, "one\n");
    let (id, token) = plane.keep(auth::NewToken::new("rea")).await;
    let path = format!("{LOGS}?follow=true");
    let request = plane
        .request(Caller::Anonymous, "GET", &path)
        .header("authorization", format!("Bearer {token}"));
    let response = plane.begin(request.body(Body::empty()).unwrap()).await;
    let mut body = response.into_body().into_data_stream();
    assert_eq!(body.next().await.unwrap().unwrap(), "one\n");
    let revoke = plane
        .call(Caller::Admin, "DELETE", &format!("/api/v1/tokens/{id}"), "")
        .await;
    assert_eq!(revoke.status, 204);
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(31)).await;
    plane.files.worker(1, "two\n");
    assert!(body.next().await.is_none());
}

#[tokio::test]
async fn who_is_no_admin_any_more_sees_no_further_line() {
    let plane = Plane::new().await;
    plane.files.worker(1, "one\n");
    plane.store.grant("una", &auth::Grant::Admin).await.unwrap();
    let (_, token) = plane.keep(auth::NewToken::new("una")).await;
    plane.reload().await;
    let request = plane
        .request(Caller::Anonymous, "GET", &format!("{LOGS}?follow=true"))
        .header("authorization", format!("Bearer {token}"));
    let response = plane.begin(request.body(Body::empty()).unwrap()).await;
    let mut body = response.into_body().into_data_stream();
    assert_eq!(body.next().await.unwrap().unwrap(), "one\n");
    plane
        .store
        .revoke_grant("una", &auth::Grant::Admin)
        .await
        .unwrap();
    plane.reload().await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(31)).await;
    plane.files.worker(1, "two\n");
    assert!(body.next().await.is_none());
}

#[tokio::test]
async fn there_is_room_for_so_many_who_follow_and_for_so_many_of_one_caller() {
    let plane = Plane::new().await;
    plane.files.worker(1, "one\n");
    let path = format!("{LOGS}?follow=true");
    let ask = async |caller| {
        plane
            .begin(
                plane
                    .request(caller, "GET", &path)
                    .body(Body::empty())
                    .unwrap(),
            )
            .await
    };
    let mut open = Vec::new();
    for _ in 0..32 {
        open.push(ask(Caller::Reader).await);
        assert_eq!(open.last().unwrap().status(), 200);
    }
    assert_eq!(ask(Caller::Reader).await.status(), 429);
    assert_eq!(ask(Caller::Manager).await.status(), 200);
    // What is written so far has an end, and needs no place.
    assert_eq!(plane.get(Caller::Reader, LOGS).await.status, 200);
    open.pop();
    assert_eq!(ask(Caller::Reader).await.status(), 200);

    let plane = Plane::with_streams(1).await;
    plane.files.worker(1, "one\n");
    let ask = async |caller| {
        plane
            .begin(
                plane
                    .request(caller, "GET", &path)
                    .body(Body::empty())
                    .unwrap(),
            )
            .await
    };
    let first = ask(Caller::Reader).await;
    assert_eq!(ask(Caller::Manager).await.status(), 429);
    drop(first);
    assert_eq!(ask(Caller::Manager).await.status(), 200);
}

#[tokio::test]
async fn many_empty_lines_come_in_small_pieces_and_all_of_them() {
    let plane = Plane::new().await;
    plane.files.worker(1, "\n".repeat(100_000));
    let request = plane
        .request(Caller::Reader, "GET", &format!("{LOGS}?download=true"))
        .body(Body::empty());
    let mut body = plane
        .begin(request.unwrap())
        .await
        .into_body()
        .into_data_stream();
    let mut sizes = Vec::new();
    while let Some(piece) = body.next().await {
        sizes.push(piece.unwrap().len());
    }
    assert_eq!(sizes.iter().sum::<usize>(), 100_000);
    assert!(sizes.iter().all(|size| *size <= 2000), "{sizes:?}");
}
