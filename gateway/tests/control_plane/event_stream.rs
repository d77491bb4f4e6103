//! The log as it is followed.

use std::time::Duration;

use auth::TokenStore;
use axum::body::Body;
use http_body_util::BodyExt;
use serde_json::Value;
use serving_core::{Event, Fact, Phase, Version};
use tokio::time::{Instant, timeout};

use super::harness::{Caller, Plane, now};

const IRIS: &str = "/api/v1/models/iris/events";
const ALL: &str = "/api/v1/events";

fn event(model: &str, version: u64) -> Event {
    Event {
        at: now() + Duration::from_secs(version),
        model: model.into(),
        version: Some(Version(version)),
        fact: Fact::Draining {},
    }
}

/// A client that follows.
struct Stream {
    body: Body,
    text: String,
}

/// What comes over a stream.
#[derive(Debug, PartialEq)]
enum Piece {
    Retry,
    Heartbeat,
    Record {
        kind: String,
        id: Option<i64>,
        body: Value,
    },
}

impl Stream {
    async fn open(plane: &Plane, caller: Caller, path: &str, last: Option<i64>) -> Self {
        let request = plane.request(caller, "GET", path);
        let request = request.header("accept", "text/event-stream");
        Self::send(plane, request, last).await
    }

    async fn send(plane: &Plane, request: http::request::Builder, last: Option<i64>) -> Self {
        let request = match last {
            Some(id) => request.header("last-event-id", id),
            None => request,
        };
        let answer = plane.begin(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        assert_eq!(answer.headers()["x-accel-buffering"], "no");
        let mut stream = Self {
            body: answer.into_body(),
            text: String::new(),
        };
        assert_eq!(stream.piece().await, Some(Piece::Retry));
        stream
    }

    async fn piece(&mut self) -> Option<Piece> {
        loop {
            if let Some((piece, rest)) = self.text.split_once("\n\n") {
                let (piece, rest) = (parse(piece), rest.to_owned());
                self.text = rest;
                return Some(piece);
            }
            let frame = timeout(Duration::from_secs(60), self.body.frame());
            let bytes = frame.await.unwrap()?.unwrap().into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }

    /// The next record; `None` if the stream has ended.
    async fn record(&mut self) -> Option<(String, Option<i64>, Value)> {
        let record = async {
            loop {
                if let Piece::Record { kind, id, body } = self.piece().await? {
                    return Some((kind, id, body));
                }
            }
        };
        // Heartbeats alone would go on for ever.
        timeout(Duration::from_secs(30), record).await.unwrap()
    }

    /// The model and the version of the next event, and its id.
    async fn event(&mut self) -> (String, u64, i64) {
        let (kind, id, body) = self.record().await.unwrap();
        assert_eq!(kind, "event");
        assert_eq!(body["id"].as_i64(), id);
        let model = body["model"].as_str().unwrap().to_owned();
        (model, body["version"].as_u64().unwrap(), id.unwrap())
    }
}

fn parse(piece: &str) -> Piece {
    if piece.starts_with("retry: ") {
        return Piece::Retry;
    }
    if piece == "event: heartbeat\ndata: {}" {
        return Piece::Heartbeat;
    }
    let field = |name: &str| {
        let mut lines = piece.lines();
        lines.find_map(|line| line.strip_prefix(&format!("{name}: ")))
    };
    Piece::Record {
        kind: field("event").unwrap().to_owned(),
        id: field("id").map(|id| id.parse().unwrap()),
        body: serde_json::from_str(field("data").unwrap()).unwrap(),
    }
}

#[tokio::test]
async fn who_follows_is_told_what_comes_and_who_comes_back_what_it_missed() {
    let plane = Plane::new().await;
    plane
        .store
        .append_events(&[event("iris", 1)])
        .await
        .unwrap();
    let mut stream = Stream::open(&plane, Caller::Reader, IRIS, None).await;
    plane
        .store
        .append_events(&[event("iris", 2)])
        .await
        .unwrap();
    let (_, version, id) = stream.event().await;
    assert_eq!(version, 2);
    drop(stream);

    let missed: Vec<_> = (3..200).map(|version| event("iris", version)).collect();
    plane.store.append_events(&missed).await.unwrap();
    let mut stream = Stream::open(&plane, Caller::Reader, IRIS, Some(id)).await;
    for version in 3..200 {
        assert_eq!(stream.event().await.1, version);
    }
    plane
        .store
        .append_events(&[event("iris", 200)])
        .await
        .unwrap();
    assert_eq!(stream.event().await.1, 200);

    // The same for clients that cannot set headers; a header counts for more, since it is newer.
    let path = format!("{IRIS}?last_event_id={id}");
    let mut stream = Stream::open(&plane, Caller::Reader, &path, None).await;
    assert_eq!(stream.event().await.1, 3);
    let mut stream = Stream::open(&plane, Caller::Reader, &path, Some(id + 7)).await;
    assert_eq!(stream.event().await.1, 10);
    // An id of another log: all of this one is new.
    let mut stream = Stream::open(&plane, Caller::Reader, IRIS, Some(1_000_000)).await;
    assert_eq!(stream.event().await.1, 1);
}

#[tokio::test]
async fn filters_hold_for_streams_and_what_they_leave_out_is_passed_over() {
    let plane = Plane::new().await;
    let mut others: Vec<_> = (1..150).map(|version| event("iris", version)).collect();
    others.push(Event {
        fact: Fact::Restarting {},
        ..event("iris", 7)
    });
    plane.store.append_events(&others).await.unwrap();
    let path = format!("{IRIS}?type=restarting&last_event_id=0");
    let mut stream = Stream::open(&plane, Caller::Reader, &path, None).await;
    assert_eq!(stream.event().await.1, 7);
    let path = format!("{IRIS}?since=2026-01-01T00:02:28Z");
    let mut stream = Stream::open(&plane, Caller::Reader, &path, None).await;
    assert_eq!(stream.event().await.1, 148);
    let mut version = Stream::open(
        &plane,
        Caller::Reader,
        "/api/v1/models/iris/versions/3/events?last_event_id=0",
        None,
    )
    .await;
    assert_eq!(version.event().await.1, 3);
    for query in [
        "last_event_id=x",
        "status=maybe",
        "type=ready&since=never",
        "type=nonsense",
    ] {
        let request = plane.request(Caller::Reader, "GET", &format!("{IRIS}?{query}"));
        let request = request.header("accept", "text/event-stream");
        let answer = plane.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.refusal().0, 400, "{query}");
    }
}

#[tokio::test]
async fn the_stream_of_everything_holds_what_the_caller_may_see() {
    let plane = Plane::new().await;
    let mut stream = Stream::open(&plane, Caller::Reader, ALL, None).await;
    let events = [
        event("secret", 1),
        event("iris", 2),
        event("odd", 3),
        event("iris", 4),
    ];
    plane.store.append_events(&events).await.unwrap();
    assert_eq!(stream.event().await.1, 2);
    assert_eq!(stream.event().await.1, 4);
}

#[tokio::test]
async fn a_stream_on_which_nothing_comes_beats() {
    let plane = Plane::new().await;
    let mut stream = Stream::open(&plane, Caller::Reader, IRIS, None).await;
    tokio::time::pause();
    for _ in 0..3 {
        let begun = Instant::now();
        assert_eq!(stream.piece().await, Some(Piece::Heartbeat));
        assert_eq!(begun.elapsed().as_secs(), 15);
    }
}

#[tokio::test]
async fn the_stream_of_a_caller_whose_right_is_taken_away_ends() {
    let plane = Plane::new().await;
    let mut stream = Stream::open(&plane, Caller::Reader, IRIS, None).await;
    let grant = auth::Grant::read("iris".parse().unwrap());
    plane.store.revoke_grant("rea", &grant).await.unwrap();
    plane.reload().await;
    plane
        .store
        .append_events(&[event("iris", 1)])
        .await
        .unwrap();
    tokio::time::pause();
    assert_eq!(stream.record().await, None);
}

#[tokio::test]
async fn the_stream_of_a_token_that_is_revoked_ends() {
    let plane = Plane::new().await;
    let (id, token) = plane.keep(auth::NewToken::new("ada")).await;
    plane.reload().await;
    let request = plane
        .request(Caller::Anonymous, "GET", ALL)
        .header("authorization", format!("Bearer {token}"))
        .header("accept", "text/event-stream");
    let mut stream = Stream::send(&plane, request, None).await;
    plane
        .call(Caller::Admin, "DELETE", &format!("/api/v1/tokens/{id}"), "")
        .await;
    plane.reload().await;
    tokio::time::pause();
    let begun = Instant::now();
    assert_eq!(stream.record().await, None);
    assert!(begun.elapsed() <= Duration::from_secs(6));
}

#[tokio::test]
async fn streams_end_with_the_gateway() {
    let plane = Plane::new().await;
    let mut stream = Stream::open(&plane, Caller::Reader, IRIS, None).await;
    plane.shutdown.cancel();
    assert_eq!(stream.record().await, None);
}

#[tokio::test]
async fn the_status_of_a_model_comes_at_once_and_with_each_change_but_not_more_than_four_times_a_second()
 {
    let plane = Plane::new().await;
    let serving = "/api/v1/models/iris/serving";
    plane.call(Caller::Manager, "PUT", serving, "").await;
    let path = format!("{ALL}?model=iris&status=true");
    let mut stream = Stream::open(&plane, Caller::Reader, &path, None).await;
    let (kind, id, body) = stream.record().await.unwrap();
    assert_eq!(
        (kind.as_str(), id, &body["state"]),
        ("status", None, &"PENDING".into())
    );
    let shown = plane
        .get(Caller::Reader, "/api/v1/models/iris")
        .await
        .json();
    assert_eq!(body, shown);

    // Many changes in a row are one or two records, and the last of them shows how it is.
    let begun = Instant::now();
    for version in 1..=50 {
        plane.serve("iris", &[(version, Phase::Building)], &[]);
        tokio::task::yield_now().await;
    }
    plane.serve(
        "iris",
        &[(51, Phase::Ready)],
        &[("Production", Some(51), Some(51))],
    );
    let mut records = 0;
    let last = loop {
        records += 1;
        let (_, _, body) = stream.record().await.unwrap();
        if body["versions"][0]["version"] == 51 {
            break body;
        }
    };
    assert!(
        records <= 2 + begun.elapsed().as_millis() / 250,
        "{records} records"
    );
    assert_eq!(
        last,
        plane
            .get(Caller::Reader, "/api/v1/models/iris")
            .await
            .json()
    );
    assert_eq!(last["labels"][0]["current"], 51);
}

#[tokio::test]
async fn the_status_of_all_models_tells_of_each_that_is_served_and_of_its_end() {
    let plane = Plane::new().await;
    plane.serve("secret", &[(1, Phase::Ready)], &[]);
    let serving = "/api/v1/models/iris/serving";
    plane.call(Caller::Manager, "PUT", serving, "").await;
    let path = format!("{ALL}?status=true");
    let mut stream = Stream::open(&plane, Caller::Reader, &path, None).await;
    let mut next = async || {
        loop {
            let (kind, _, body) = stream.record().await.unwrap();
            if kind == "status" {
                return (
                    body["name"].as_str().unwrap().to_owned(),
                    body["state"].clone(),
                    body["ready"].clone(),
                );
            }
        }
    };
    assert_eq!(
        next().await,
        ("iris".to_owned(), "PENDING".into(), 0.into())
    );
    plane.serve("iris", &[(1, Phase::Ready)], &[]);
    assert_eq!(next().await, ("iris".to_owned(), "READY".into(), 1.into()));
    plane.call(Caller::Manager, "DELETE", serving, "").await;
    plane
        .engine
        .snapshot
        .send_replace(std::sync::Arc::default());
    let ended = loop {
        let status = next().await;
        if status.2 == 0 {
            break status;
        }
    };
    assert_eq!(ended, ("iris".to_owned(), Value::Null, 0.into()));
}

#[tokio::test]
async fn how_all_models_are_is_worked_out_once_however_many_follow() {
    let plane = Plane::new().await;
    plane.serve("iris", &[(1, Phase::Building)], &[]);
    plane.serve("secret", &[(1, Phase::Building)], &[]);
    let path = format!("{ALL}?status=true");
    let callers = [Caller::Admin, Caller::Manager, Caller::Reader];
    let mut streams = Vec::new();
    for caller in callers.into_iter().cycle().take(9) {
        streams.push((caller, Stream::open(&plane, caller, &path, None).await));
    }
    let mut told = async |ready: u64| {
        for (caller, stream) in &mut streams {
            let visible: &[&str] = match caller {
                Caller::Admin => &["iris", "secret"],
                _ => &["iris"],
            };
            for model in visible {
                let (kind, _, body) = stream.record().await.unwrap();
                assert_eq!((kind.as_str(), &body["name"]), ("status", &(*model).into()));
                assert_eq!(body["ready"], ready, "{caller:?}");
            }
        }
    };
    told(0).await;
    assert_eq!(plane.state.summaries.looks(), 1);
    plane.serve("iris", &[(1, Phase::Ready)], &[]);
    plane.serve("secret", &[(1, Phase::Ready)], &[]);
    told(1).await;
    assert_eq!(plane.state.summaries.looks(), 2);
}

#[tokio::test]
async fn the_status_of_all_models_is_what_the_list_shows_also_when_only_the_right_changes() {
    let plane = Plane::new().await;
    let serving = "/api/v1/models/iris/serving";
    plane.call(Caller::Manager, "PUT", serving, "").await;
    let labels = [("Production", Some(2), Some(1)), ("@new", Some(2), None)];
    let versions = [(1, Phase::Ready), (2, Phase::Building)];
    plane.serve("iris", &versions, &labels);
    let path = format!("{ALL}?status=true");
    let mut stream = Stream::open(&plane, Caller::Reader, &path, None).await;
    let listed = async || {
        let page = plane.get(Caller::Reader, "/api/v1/models").await.json();
        page["models"][0].clone()
    };
    let told = stream.record().await.unwrap().2;
    assert_eq!(told, listed().await);
    assert_eq!(told["permission"], "READ");
    assert_eq!(
        told["labels"],
        serde_json::json!([
            {"label": "@new", "aspired": 2},
            {"label": "Production", "current": 1, "aspired": 2},
        ])
    );
    let grant = auth::Grant::manage("iris".parse().unwrap());
    plane.store.grant("rea", &grant).await.unwrap();
    plane.reload().await;
    let told = stream.record().await.unwrap().2;
    assert_eq!(told, listed().await);
    assert_eq!(told["permission"], "MANAGE");
}

#[tokio::test]
async fn a_client_that_takes_nothing_holds_a_page_and_no_more() {
    let plane = Plane::new().await;
    let mut stream = Stream::open(
        &plane,
        Caller::Reader,
        &format!("{IRIS}?last_event_id=0"),
        None,
    )
    .await;
    let events: Vec<_> = (1..=1000).map(|version| event("iris", version)).collect();
    plane.store.append_events(&events).await.unwrap();
    // One piece of the body is what is in memory for this client.
    let frame = stream.body.frame().await.unwrap().unwrap();
    let text = String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap();
    assert_eq!(text.matches("event: event").count(), 50);
}

#[tokio::test]
async fn there_is_room_for_so_many_streams() {
    let plane = Plane::with_streams(1).await;
    let stream = Stream::open(&plane, Caller::Reader, IRIS, None).await;
    let request = plane.request(Caller::Reader, "GET", IRIS);
    let request = request.header("accept", "text/event-stream");
    let answer = plane.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.refusal(), (429, "RESOURCE_EXHAUSTED".to_owned()));
    drop(stream);
    Stream::open(&plane, Caller::Reader, IRIS, None).await;
}

#[tokio::test]
async fn nobody_takes_all_the_streams() {
    let plane = Plane::new().await;
    let mut streams = Vec::new();
    for _ in 0..32 {
        streams.push(Stream::open(&plane, Caller::Reader, IRIS, None).await);
    }
    let request = plane.request(Caller::Reader, "GET", IRIS);
    let request = request.header("accept", "text/event-stream");
    let answer = plane.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.refusal(), (429, "RESOURCE_EXHAUSTED".to_owned()));
    Stream::open(&plane, Caller::Manager, IRIS, None).await;
    streams.pop();
    Stream::open(&plane, Caller::Reader, IRIS, None).await;
}

#[tokio::test]
async fn many_events_of_others_are_passed_over() {
    let plane = Plane::new().await;
    let mut events: Vec<_> = (1..=1200).map(|version| event("secret", version)).collect();
    events.push(event("iris", 7));
    plane.store.append_events(&events).await.unwrap();
    let path = format!("{ALL}?last_event_id=0");
    let mut stream = Stream::open(&plane, Caller::Reader, &path, None).await;
    assert_eq!(stream.event().await.1, 7);
}
