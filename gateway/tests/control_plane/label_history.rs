//! "What was in Production when?"

use std::time::Duration;

use serving_core::{Event, Fact, Version};

use super::harness::{Caller, Plane, now};

const HISTORY: &str = "/api/v1/models/iris/labels/Production/history";

fn moved(minute: u64, from: Option<u64>, to: Option<u64>) -> Event {
    Event {
        at: now() + Duration::from_secs(60 * minute),
        model: "iris".into(),
        version: to.map(Version),
        fact: Fact::LabelMoved {
            label: "Production".into(),
            from: from.map(Version),
            to: to.map(Version),
        },
    }
}

/// Promoted, promoted again, disabled, enabled, taken away.
async fn eventful() -> Plane {
    let plane = Plane::new().await;
    let serving = "/api/v1/models/iris/serving";
    plane.call(Caller::Manager, "PUT", serving, "").await;
    let events = [moved(1, None, Some(1)), moved(2, Some(1), Some(2))];
    plane.store.append_events(&events).await.unwrap();
    plane.call(Caller::Manager, "DELETE", serving, "").await;
    let events = [moved(3, Some(2), None)];
    plane.store.append_events(&events).await.unwrap();
    plane.call(Caller::Manager, "PUT", serving, "").await;
    let events = [
        moved(5, None, Some(2)),
        moved(7, Some(2), None),
        moved(8, None, Some(3)),
    ];
    plane.store.append_events(&events).await.unwrap();
    plane
}

#[tokio::test]
async fn a_label_has_a_history_that_tells_how_each_time_ended() {
    let plane = eventful().await;
    let answer = plane.get(Caller::Reader, HISTORY).await;
    insta::assert_json_snapshot!(answer.json());
}

#[tokio::test]
async fn one_time_has_one_version_or_none() {
    let plane = eventful().await;
    for (at, version) in [
        ("00:00", None),
        ("00:01", Some(1)),
        ("00:02", Some(2)),
        ("00:03", None),
        ("00:04", None),
        ("00:06", Some(2)),
        ("00:07", None),
        ("09:00", Some(3)),
    ] {
        let path = format!("{HISTORY}?at=2026-01-01T{at}Z");
        let intervals = plane.get(Caller::Reader, &path).await.json()["intervals"].take();
        let versions: Vec<_> = intervals
            .as_array()
            .unwrap()
            .iter()
            .map(|held| held["version"].as_u64())
            .collect();
        assert_eq!(
            versions,
            version.map(Some).into_iter().collect::<Vec<_>>(),
            "{at}"
        );
    }
}

#[tokio::test]
async fn pages_hold_every_interval_once() {
    let plane = eventful().await;
    let (mut versions, mut token) = (Vec::new(), String::new());
    loop {
        let path = format!("{HISTORY}?max_results=1{token}");
        let page = plane.get(Caller::Reader, &path).await.json();
        let intervals = page["intervals"].as_array().unwrap();
        versions.extend(
            intervals
                .iter()
                .map(|held| held["version"].as_u64().unwrap()),
        );
        match page["next_page_token"].as_str() {
            Some(next) => token = format!("&page_token={next}"),
            None => break,
        }
    }
    assert_eq!(versions, [3, 2, 2, 1]);
}

#[tokio::test]
async fn who_may_not_see_the_model_learns_nothing_and_wrong_times_are_refused() {
    let plane = eventful().await;
    assert_eq!(plane.get(Caller::Stranger, HISTORY).await.refusal().0, 404);
    let path = format!("{HISTORY}?at=then");
    assert_eq!(plane.get(Caller::Reader, &path).await.refusal().0, 400);
    let other = "/api/v1/models/iris/labels/champion/history";
    let answer = plane.get(Caller::Reader, other).await.json();
    assert_eq!(answer["label"], "@champion");
    assert_eq!(answer["intervals"].as_array().unwrap().len(), 0);
    let missing = "/api/v1/models/mystery/labels/Production/history";
    assert_eq!(plane.get(Caller::Admin, missing).await.refusal().0, 404);
}
