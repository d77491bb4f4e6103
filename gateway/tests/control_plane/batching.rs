//! Whether requests share calls of a version's workers, as it is told.

use std::sync::Arc;

use gateway::data_plane::BatchingState;
use gateway::ports::BatchingEvents;
use gateway::store::BatchingNotes;
use serde_json::{Value, json};
use serving_core::{Phase, ServableId, SystemClock, Version};
use tokio::sync::mpsc;

use super::harness::{Caller, Plane};

fn id(version: u64) -> ServableId {
    ServableId::new("iris", Version(version))
}

fn state(on: bool, reason: &str, mean_rows: Option<f64>) -> BatchingState {
    BatchingState {
        on,
        reason: reason.into(),
        mean_rows,
    }
}

#[tokio::test]
async fn a_version_that_callers_reach_tells_whether_requests_share_calls_and_how_far() {
    let plane = Plane::new().await;
    let phases = [
        (1, Phase::Ready),
        (2, Phase::Ready),
        (3, Phase::Ready),
        (4, Phase::Draining),
        (5, Phase::Ready),
    ];
    plane.serve("iris", &phases, &[]);
    let states = [
        (1, state(true, "", Some(12.345))),
        (2, state(false, "no input example was logged", None)),
        (3, state(true, "", None)),
        (4, state(true, "", Some(2.0))),
    ];
    for (version, state) in states {
        plane
            .engine
            .batching
            .lock()
            .unwrap()
            .insert(id(version), state);
    }
    let model = plane.get(Caller::Reader, "/api/v1/models/iris").await;
    let model = model.json();
    let told = model["versions"].as_array().unwrap().iter().rev();
    let told: Vec<&Value> = told.map(|version| &version["batching"]).collect();
    assert_eq!(
        told,
        [
            &json!({"on": true, "mean_rows": 12.3}),
            &json!({"on": false, "reason": "no input example was logged"}),
            &json!({"on": true}),
            // On its way out.
            &Value::Null,
            // Nothing is known of it.
            &Value::Null,
        ]
    );
}

#[tokio::test]
async fn a_decision_is_found_in_the_log_by_its_type() {
    let plane = Plane::new().await;
    plane.want("iris", &[1]);
    let (events, mut queue) = mpsc::channel(4);
    let notes = BatchingNotes::new(events, Arc::new(SystemClock));
    notes.decided(&id(1), false, "no input example was logged");
    notes.decided(&id(1), true, "");
    let decided = [queue.recv().await.unwrap(), queue.recv().await.unwrap()];
    plane.store.append_events(&decided).await.unwrap();
    let page = plane
        .get(Caller::Admin, "/api/v1/models/iris/events?type=batching")
        .await
        .json();
    let told: Vec<_> = page["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| (&event["version"], &event["message"], &event["details"]))
        .collect();
    assert_eq!(
        told,
        [
            (&json!(1), &json!("Batching is on"), &json!({"on": true})),
            (
                &json!(1),
                &json!("Batching is off: no input example was logged"),
                &json!({"on": false, "reason": "no input example was logged"})
            ),
        ]
    );
}
