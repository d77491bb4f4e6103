//! Settings from the registry's tags, where settings come from, and waiting for what they change.

use serde_json::{Value, json};
use serving_core::{Failure, FailureKind, Intent, Phase};

use super::harness::{Caller, Plane};

const MODEL: &str = "/api/v1/models/iris";
const SERVING: &str = "/api/v1/models/iris/serving";

async fn change(plane: &Plane, settings: &str) -> Value {
    let answer = plane.call(Caller::Manager, "PUT", SERVING, settings).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// The model, once it is such that `holds`.
async fn until(plane: &Plane, holds: impl Fn(&Value) -> bool) -> Value {
    loop {
        let model = plane.get(Caller::Manager, MODEL).await.json();
        if holds(&model) {
            return model;
        }
        tokio::task::yield_now().await;
    }
}

async fn events(plane: &Plane, count: usize) -> Vec<String> {
    loop {
        let page = plane.get(Caller::Admin, &format!("{MODEL}/events")).await;
        let page = page.json();
        let events = page["events"].as_array().unwrap();
        if events.len() >= count {
            let messages = events
                .iter()
                .map(|event| event["message"].as_str().unwrap());
            return messages.map(str::to_owned).collect();
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn tags_lie_between_the_defaults_and_what_a_person_chose() {
    let plane = Plane::new().await;
    plane.want("iris", &[1]);
    change(&plane, r#"{"replicas": 3}"#).await;
    plane.tag("iris", &[("replicas", "2"), ("timeout", "5s")]);
    let model = until(&plane, |model| model["settings"]["timeout"] == "5s").await;
    assert_eq!(model["settings"]["replicas"], 3);
    let from = &model["settings_from"];
    assert_eq!(
        (&from["replicas"], &from["timeout"], &from["versions"]),
        (&json!("person"), &json!("tag"), &json!("default"))
    );
    let intents = plane.intents.subscribe().borrow().clone();
    let Some(Intent::Serve(settings)) = intents.models.get("iris") else {
        panic!("it is to be served");
    };
    assert_eq!(settings.timeout.as_secs(), 5);
    // Without the person's choice the tag's comes through, without the tag the default.
    let model = change(&plane, r#"{"replicas": null}"#).await;
    assert_eq!(model["settings"]["replicas"], 2);
    plane.tag("iris", &[]);
    until(&plane, |model| model["settings"]["replicas"] == 1).await;
}

#[tokio::test]
async fn a_change_of_tags_is_one_event_and_only_where_it_changes_something() {
    let plane = Plane::new().await;
    plane.want("iris", &[1]);
    plane.want("secret", &[1]);
    change(&plane, r#"{"replicas": 3}"#).await;
    plane.tag("secret", &[("timeout", "5s")]);
    plane.tag("iris", &[("replicas", "2")]);
    plane.tag("iris", &[("replicas", "2"), ("timeout", "5s")]);
    until(&plane, |model| model["settings"]["timeout"] == "5s").await;
    plane.tag(
        "iris",
        &[("replicas", "4"), ("timeout", "5s"), ("max_queue", "7")],
    );
    let messages = events(&plane, 4).await;
    assert_eq!(
        messages,
        [
            "Settings were changed by the registry's tags: max_queue 128 → 7",
            "Settings were changed by the registry's tags: timeout 60s → 5s",
            "Settings were changed by mel: replicas 1 → 3",
            "Serving was enabled by mel",
        ]
    );
    let path = "/api/v1/models/secret/events";
    let page = plane.get(Caller::Admin, path).await.json();
    assert_eq!(page["events"], json!([]), "it is not served");
}

#[tokio::test]
async fn a_change_is_told_with_what_held_before_and_no_secret_of_the_environment() {
    let plane = Plane::new().await;
    plane.want("iris", &[1]);
    change(&plane, "").await;
    let all = r#"{"timeout": "30s", "environment": {"TOKEN": "hunter2"}, "memory_limit": "1GB", "replicas": 1}"#;
    change(&plane, all).await;
    change(&plane, r#"{"timeout": null}"#).await;
    let messages = events(&plane, 3).await;
    assert_eq!(
        messages[..2],
        [
            "Settings were changed by mel: timeout 30s → 60s",
            // One worker is what there was by default.
            "Settings were changed by mel: environment, memory_limit none → 1GB, replicas, timeout 60s → 30s",
        ]
    );
    let page = plane.get(Caller::Admin, &format!("{MODEL}/events")).await;
    assert!(!page.text().contains("hunter2"), "{}", page.text());
}

#[tokio::test]
async fn a_wrong_tag_is_shown_and_told_once_and_changes_nothing() {
    let plane = Plane::new().await;
    plane.want("iris", &[1]);
    change(&plane, "").await;
    let wrong = [("env_manager", "local"), ("replicas", "many")];
    plane.tag("iris", &wrong);
    let problems = |model: &Value| model["tag_problems"].as_array().map_or(0, Vec::len);
    let model = until(&plane, |model| problems(model) == 2).await;
    assert_eq!(model["tag_problems"][0]["key"], "env_manager");
    assert_eq!(model["settings"]["replicas"], 1);
    assert_eq!(model["settings"]["env_manager"], "conda");
    plane.tag("iris", &[wrong[0], wrong[1], ("max_queue", "7")]);
    let messages = events(&plane, 4).await;
    assert_eq!(messages.len(), 4);
    assert!(messages[0].ends_with("max_queue 128 → 7"), "{messages:?}");
    assert!(messages[1].contains("sluicegate.replicas"), "{messages:?}");
    assert!(
        messages[2].contains("sluicegate.env_manager"),
        "{messages:?}"
    );
    // They can be taken away.
    plane.tag("iris", &[]);
    until(&plane, |model| problems(model) == 0).await;
}

#[tokio::test]
async fn which_versions_are_waited_for_is_a_setting() {
    let plane = Plane::new().await;
    plane.serve("iris", &[(1, Phase::Pending), (2, Phase::Ready)], &[]);
    let path = format!("{SERVING}?wait=ready&timeout=10ms");
    let wait = async |settings: &str| plane.call(Caller::Manager, "PUT", &path, settings).await;
    assert_eq!(wait("").await.status, 504);
    let answer = wait(r#"{"versions": "latest:1"}"#).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["settings"]["versions"], json!({"latest": 1}));
    assert_eq!(wait(r#"{"versions": [1]}"#).await.status, 504);
}

#[tokio::test]
async fn a_label_whose_version_is_not_listed_says_why_nobody_answers() {
    let plane = Plane::new().await;
    plane.serve(
        "iris",
        &[(1, Phase::Ready)],
        &[("Production", Some(2), None), ("Staging", Some(1), Some(1))],
    );
    change(&plane, r#"{"versions": [1]}"#).await;
    let model = plane.get(Caller::Reader, MODEL).await.json();
    let labels = &model["labels"];
    assert_eq!(
        labels[0]["reason"],
        "the setting versions leaves out version 2"
    );
    assert_eq!(labels[1]["reason"], Value::Null);
}

#[tokio::test]
async fn waiting_counts_the_workers_that_settings_replace() {
    let plane = Plane::new().await;
    plane.serve("iris", &[(1, Phase::Ready)], &[]);
    plane.see("iris", 1, |version| {
        version.renewing = true;
        version.step = Some("starting a new worker".into());
        version.step_since = Some(version.since);
    });
    let soon = format!("{SERVING}?wait=ready&timeout=10ms");
    let answer = plane.call(Caller::Manager, "PUT", &soon, "").await;
    assert_eq!(answer.status, 504);
    let text = answer.text().to_owned();
    assert!(
        text.contains("version 1 is Ready, starting a new worker"),
        "{text}"
    );
    let model = plane.get(Caller::Manager, MODEL).await.json();
    let version = &model["versions"][0];
    assert_eq!(version["renewing"], true);
    assert_eq!(version["step_since"], version["since"]);

    let path = format!("{SERVING}?wait=ready&timeout=1h");
    let waiting = plane.call(Caller::Manager, "PUT", &path, "");
    let ending = async {
        tokio::task::yield_now().await;
        plane.see("iris", 1, |version| version.renewing = false);
    };
    let (answer, ()) = tokio::join!(waiting, ending);
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn waiting_ends_with_the_reason_when_new_workers_cannot_be_had() {
    let plane = Plane::new().await;
    plane.serve("iris", &[(1, Phase::Ready)], &[]);
    plane.see("iris", 1, |version| {
        version.renewing = true;
        version.renewal_failure = Some(Failure {
            kind: FailureKind::Transient,
            code: None,
            message: "the disk is full".into(),
            last_lines: Vec::new(),
            next_try: None,
            attempts: 1,
        });
    });
    let path = format!("{SERVING}?wait=ready&timeout=1h");
    let answer = plane.call(Caller::Manager, "PUT", &path, "").await;
    assert_eq!(answer.status, 200);
    let model = answer.json();
    let version = &model["versions"][0];
    assert_eq!(version["state"], "READY");
    assert_eq!(
        version["last_renewal_failure"]["message"],
        "the disk is full"
    );
}
