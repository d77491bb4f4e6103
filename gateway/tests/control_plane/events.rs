//! The log as clients read it.

use std::time::Duration;

use serving_core::{
    Event, Fact, Failure, FailureKind, Generation, Label, Note, ReplicaId, Version,
};

use super::harness::{Caller, Plane, now};

fn at(seconds: u64, version: Option<u64>, fact: Fact) -> Event {
    Event {
        at: now() + Duration::from_secs(seconds),
        model: "iris".into(),
        version: version.map(Version),
        fact,
    }
}

fn one_of_each() -> Vec<Event> {
    let took = Duration::from_millis(1500);
    let failure = Failure {
        kind: FailureKind::Permanent,
        code: Some("PYTHON_NOT_AVAILABLE".into()),
        message: "the model needs Python 2.7".into(),
        last_lines: vec!["no".to_owned()],
        next_try: None,
        attempts: 1,
    };
    let label = |from: Option<u64>, to: Option<u64>| Fact::LabelMoved {
        label: Label::from("Production"),
        from: from.map(Version),
        to: to.map(Version),
    };
    let facts = [
        (
            Some(1),
            Fact::Discovered {
                generation: Generation(1),
            },
        ),
        (Some(1), Fact::Prepared { took }),
        (
            Some(1),
            Fact::Noted(
                Note::new("environment_reused", "Environment 0123 was there")
                    .took(took)
                    .about("environment", "0123"),
            ),
        ),
        (
            Some(1),
            Fact::ReplicaStarted {
                replica: ReplicaId(1),
                took,
            },
        ),
        (Some(1), Fact::Ready { took }),
        (None, label(None, Some(1))),
        (None, label(Some(1), Some(2))),
        (None, label(Some(2), None)),
        (
            Some(1),
            Fact::ReplicaCrashed {
                replica: ReplicaId(1),
                reason: "killed by signal 9".into(),
                last_lines: vec!["last words".to_owned()],
                restart_in: Duration::from_secs(2),
            },
        ),
        (
            Some(1),
            Fact::ReplicaReplaced {
                replica: ReplicaId(1),
                reason: "3 abandoned requests still run in it".into(),
            },
        ),
        (
            Some(1),
            Fact::Scaled {
                from: 1,
                to: 2,
                reason: "3 requests waited".into(),
            },
        ),
        (Some(1), Fact::Asleep { idle: took }),
        (Some(1), Fact::Woken { took }),
        (Some(2), Fact::Failed { failure }),
        (Some(1), Fact::Restarting {}),
        (Some(1), Fact::Draining {}),
        (Some(1), Fact::Retired { abandoned: 2 }),
    ];
    let events = facts.into_iter().zip(0..);
    events
        .map(|((version, fact), second)| at(second, version, fact))
        .collect()
}

#[tokio::test]
async fn every_fact_has_a_sentence_and_its_particulars() {
    let plane = Plane::new().await;
    plane
        .call(
            Caller::Manager,
            "PUT",
            "/api/v1/models/iris/serving",
            r#"{"replicas": 2}"#,
        )
        .await;
    plane.store.append_events(&one_of_each()).await.unwrap();
    let answer = plane
        .get(Caller::Reader, "/api/v1/models/iris/events")
        .await;
    insta::assert_json_snapshot!(answer.json());
}

#[tokio::test]
async fn pages_hold_every_event_once_newest_first() {
    let plane = Plane::new().await;
    plane.store.append_events(&one_of_each()).await.unwrap();
    let mut ids = Vec::new();
    let mut token = String::new();
    loop {
        let path = format!("/api/v1/models/iris/events?max_results=4{token}");
        let page = plane.get(Caller::Reader, &path).await.json();
        let events = page["events"].as_array().unwrap();
        assert!(events.len() <= 4);
        ids.extend(events.iter().map(|event| event["id"].as_i64().unwrap()));
        match page["next_page_token"].as_str() {
            Some(next) => token = format!("&page_token={next}"),
            None => break,
        }
    }
    assert_eq!(ids.len(), one_of_each().len());
    assert!(ids.is_sorted_by(|newer, older| newer > older), "{ids:?}");
}

#[tokio::test]
async fn a_version_has_its_own_log() {
    let plane = Plane::new().await;
    plane.store.append_events(&one_of_each()).await.unwrap();
    let page = plane
        .get(Caller::Reader, "/api/v1/models/iris/versions/2/events")
        .await
        .json();
    let events = page["events"].as_array().unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["type"], "failed");
}

#[tokio::test]
async fn events_outlive_their_model_and_a_name_without_any_has_to_exist() {
    let plane = Plane::new().await;
    let event = Event {
        model: "gone".into(),
        ..one_of_each().remove(0)
    };
    plane.store.append_events(&[event]).await.unwrap();
    assert_eq!(
        plane
            .get(Caller::Admin, "/api/v1/models/gone/events")
            .await
            .status,
        200
    );
    assert_eq!(
        plane
            .get(Caller::Admin, "/api/v1/models/iris/events")
            .await
            .status,
        200
    );
    assert_eq!(
        plane
            .get(Caller::Admin, "/api/v1/models/mystery/events")
            .await
            .status,
        404
    );
    let answer = plane
        .get(Caller::Reader, "/api/v1/models/iris/events?page_token=x")
        .await;
    assert_eq!(answer.refusal().0, 400);
}

#[tokio::test]
async fn filters_hold_together_and_each_is_checked() {
    let plane = Plane::new().await;
    plane.store.append_events(&one_of_each()).await.unwrap();
    let types = async |path: &str| {
        let page = plane.get(Caller::Reader, path).await.json();
        let events = page["events"].as_array().unwrap().iter();
        let types = events.map(|event| event["type"].as_str().unwrap().to_owned());
        types.collect::<Vec<_>>()
    };
    let of_iris = async |query: &str| types(&format!("/api/v1/models/iris/events?{query}")).await;
    assert_eq!(of_iris("type=ready").await, ["ready"]);
    // What the loader has noted is found by the loader's own word.
    assert_eq!(
        of_iris("type=environment_reused").await,
        ["environment_reused"]
    );
    assert_eq!(
        of_iris("type=failed,ready,%20retired").await,
        ["retired", "failed", "ready"]
    );
    assert_eq!(of_iris("label=production").await, ["label_moved"; 3]);
    assert_eq!(of_iris("label=champion").await, [""; 0]);
    assert_eq!(
        of_iris("version=2&type=label_moved,failed").await,
        ["failed"]
    );
    assert_eq!(
        of_iris("since=2026-01-01T00:00:02Z&until=2026-01-01T00:00:04Z").await,
        ["replica_started", "environment_reused"]
    );
    assert_eq!(
        types("/api/v1/events?model=iris&type=ready").await,
        ["ready"]
    );
    for query in [
        "since=yesterday",
        "until=",
        "version=x",
        "page_token=-",
        "max_results=0",
        // The engine's own word for what the loader has noted is none of the log's.
        "type=noted",
        "type=ready,nonsense",
        "version=2&type=Failed",
    ] {
        let answer = plane
            .get(
                Caller::Reader,
                &format!("/api/v1/models/iris/events?{query}"),
            )
            .await;
        assert_eq!(
            answer.refusal(),
            (400, "INVALID_PARAMETER_VALUE".to_owned()),
            "{query}"
        );
    }
}

#[tokio::test]
async fn every_type_of_the_log_can_be_asked_for_and_another_word_is_told_which_there_are() {
    let plane = Plane::new().await;
    plane.store.append_events(&one_of_each()).await.unwrap();
    let serving = "/api/v1/models/iris/serving";
    plane.call(Caller::Manager, "PUT", serving, "").await;
    let path = "/api/v1/models/iris/events";
    let page = plane.get(Caller::Reader, path).await.json();
    for event in page["events"].as_array().unwrap() {
        let kind = event["type"].as_str().unwrap();
        let found = plane
            .get(Caller::Reader, &format!("{path}?type={kind}"))
            .await;
        let found = found.json();
        let found = found["events"].as_array().unwrap();
        assert!(found.iter().any(|one| one["id"] == event["id"]), "{kind}");
    }
    for path in [
        "/api/v1/events",
        path,
        "/api/v1/models/iris/versions/1/events",
    ] {
        let answer = plane
            .get(Caller::Reader, &format!("{path}?type=faild"))
            .await;
        assert_eq!(
            answer.refusal(),
            (400, "INVALID_PARAMETER_VALUE".to_owned()),
            "{path}"
        );
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(
            message.contains("did you mean \"failed\"? the types are enabled, "),
            "{message}"
        );
    }
}

#[tokio::test]
async fn the_log_of_everything_holds_what_the_caller_may_see() {
    let plane = Plane::new().await;
    let of = |model: &str, second| Event {
        model: model.into(),
        ..at(second, Some(1), Fact::Restarting {})
    };
    let events = [
        of("iris", 1),
        of("secret", 2),
        of("odd one", 3),
        of("iris", 4),
    ];
    plane.store.append_events(&events).await.unwrap();
    let models = async |caller| {
        let page = plane.get(caller, "/api/v1/events").await.json();
        let events = page["events"].as_array().unwrap().iter();
        let models = events.map(|event| event["model"].as_str().unwrap().to_owned());
        models.collect::<Vec<_>>()
    };
    assert_eq!(
        models(Caller::Admin).await,
        ["iris", "odd one", "secret", "iris"]
    );
    assert_eq!(models(Caller::Manager).await, ["iris", "odd one", "iris"]);
    assert_eq!(models(Caller::Reader).await, ["iris", "iris"]);
    assert_eq!(models(Caller::Stranger).await, [""; 0]);
    let hidden = plane
        .get(Caller::Reader, "/api/v1/events?model=secret")
        .await;
    assert_eq!(hidden.refusal().0, 404);
}
