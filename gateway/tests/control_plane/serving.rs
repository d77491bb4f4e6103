//! Enabling, settings, disabling, restarting.

use std::sync::atomic::Ordering;
use std::time::Duration;

use gateway::data_plane::Example;
use serde_json::json;
use serving_core::{Intent, Phase, ServableId, Version};

use super::harness::{Caller, Plane};

const SERVING: &str = "/api/v1/models/iris/serving";

async fn event_types(plane: &Plane) -> Vec<String> {
    let page = plane
        .get(Caller::Admin, "/api/v1/models/iris/events")
        .await
        .json();
    let events = page["events"].as_array().unwrap();
    events
        .iter()
        .map(|event| event["type"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn enabling_publishes_the_intent_after_it_is_stored_and_asks_for_a_poll() {
    let plane = Plane::new().await;
    let mut published = plane.intents.subscribe();
    let answer = plane
        .call(
            Caller::Manager,
            "PUT",
            SERVING,
            r#"{"replicas": 3, "timeout": "5s"}"#,
        )
        .await;
    assert_eq!(answer.status, 200);
    assert!(published.has_changed().unwrap());
    let intents = published.borrow_and_update().clone();
    let Some(Intent::Serve(settings)) = intents.models.get("iris") else {
        panic!("it is to be served");
    };
    assert_eq!(settings.replicas.most(), 3);
    assert_eq!(settings.timeout, Duration::from_secs(5));
    assert!(plane.store.intents().await.unwrap()["iris"].serve);
    assert_eq!(plane.registry.polls.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn enabling_and_disabling_again_change_nothing() {
    let plane = Plane::new().await;
    for _ in 0..2 {
        assert_eq!(
            plane.call(Caller::Manager, "PUT", SERVING, "").await.status,
            200
        );
    }
    for _ in 0..2 {
        assert_eq!(
            plane
                .call(Caller::Manager, "DELETE", SERVING, "")
                .await
                .status,
            204
        );
    }
    assert_eq!(event_types(&plane).await, ["disabled", "enabled"]);
}

#[tokio::test]
async fn settings_are_changed_key_by_key_and_survive_a_disable() {
    let plane = Plane::new().await;
    let settings = async |body: &str| {
        plane
            .call(Caller::Manager, "PUT", SERVING, body)
            .await
            .json()["settings"]
            .clone()
    };
    settings(r#"{"replicas": 2}"#).await;
    settings(r#"{"max_queue": 5}"#).await;
    plane.call(Caller::Manager, "DELETE", SERVING, "").await;
    let now = settings("").await;
    assert_eq!(
        (&now["replicas"], &now["max_queue"], &now["timeout"]),
        (&json!(2), &json!(5), &json!("60s"))
    );
    let now = settings(r#"{"replicas": null}"#).await;
    assert_eq!(now["replicas"], 1);
    assert_eq!(
        event_types(&plane).await,
        [
            "settings_changed",
            "enabled",
            "disabled",
            "settings_changed",
            "settings_changed",
            "enabled"
        ]
    );
}

#[tokio::test]
async fn a_wrong_setting_is_refused_and_nothing_of_the_call_happens() {
    let plane = Plane::new().await;
    let answer = plane
        .call(
            Caller::Manager,
            "PUT",
            SERVING,
            r#"{"replicas": 2, "timeot": "5s"}"#,
        )
        .await;
    insta::assert_json_snapshot!(answer.json());
    assert_eq!(answer.status, 400);
    assert!(plane.intents.enabled().is_empty());
}

#[tokio::test]
async fn what_is_not_registered_cannot_be_enabled() {
    let plane = Plane::new().await;
    let enable = async |name: &str| {
        plane
            .call(
                Caller::Admin,
                "PUT",
                &format!("/api/v1/models/{name}/serving"),
                "",
            )
            .await
    };
    assert_eq!(
        enable("mystery").await.refusal(),
        (404, "RESOURCE_DOES_NOT_EXIST".to_owned())
    );
    plane.registry.fresh.lock().unwrap().push("fresh".into());
    assert_eq!(enable("fresh").await.status, 200);
    *plane.registry.down.lock().unwrap() = Some("connection refused".to_owned());
    assert_eq!(
        enable("mystery").await.refusal(),
        (503, "TEMPORARILY_UNAVAILABLE".to_owned())
    );
    // What is enabled can be changed and disabled while the registry is away.
    assert_eq!(enable("fresh").await.status, 200);
    let answer = plane
        .call(Caller::Admin, "DELETE", "/api/v1/models/fresh/serving", "")
        .await;
    assert_eq!(answer.status, 204);
}

#[tokio::test]
async fn waiting_ends_when_every_version_is_ready_or_failed() {
    let plane = Plane::new().await;
    let path = format!("{SERVING}?wait=ready&timeout=1h");
    let waiting = plane.call(Caller::Manager, "PUT", &path, "");
    let progress = async {
        let mut intents = plane.intents.subscribe();
        intents
            .wait_for(|intents| intents.models.contains_key("iris"))
            .await
            .unwrap();
        plane.serve("iris", &[(1, Phase::Building)], &[]);
        tokio::task::yield_now().await;
        plane.serve("iris", &[(1, Phase::Ready)], &[]);
    };
    let (answer, ()) = tokio::join!(waiting, progress);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["versions"][0]["state"], "READY");
}

#[tokio::test]
async fn waiting_counts_a_version_that_was_registered_just_before_the_call() {
    let plane = Plane::new().await;
    plane.serve("iris", &[(4, Phase::Ready)], &[]);
    plane.registry.polling.send_replace(true);
    plane.engine.behind.send_replace(true);
    let path = format!("{SERVING}?wait=ready&timeout=1h");
    let waiting = plane.call(Caller::Manager, "PUT", &path, "");
    let progress = async {
        let asked = async || {
            while plane.registry.polls.load(Ordering::Relaxed) == 0 {
                tokio::task::yield_now().await;
            }
        };
        asked().await;
        // The poll that began after the call sees it, a little later so does the manager.
        plane.want("iris", &[4, 5]);
        plane.registry.polling.send_replace(false);
        tokio::task::yield_now().await;
        plane.serve("iris", &[(4, Phase::Ready), (5, Phase::Building)], &[]);
        plane.engine.behind.send_replace(false);
        tokio::task::yield_now().await;
        plane.serve("iris", &[(4, Phase::Ready), (5, Phase::Ready)], &[]);
    };
    let (answer, ()) = tokio::join!(waiting, progress);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["versions"][0]["version"], 5);
}

#[tokio::test]
async fn waiting_does_not_take_what_was_seen_before_the_call_for_the_answer() {
    let failed = serving_core::Failure {
        kind: serving_core::FailureKind::Permanent,
        code: None,
        message: "with the old settings".into(),
        last_lines: Vec::new(),
        next_try: None,
        attempts: 1,
    };
    let short = format!("{SERVING}?wait=ready&timeout=10ms");
    let status = async |plane: &Plane| {
        let answer = plane.call(Caller::Manager, "PUT", &short, "").await;
        (answer.status.as_u16(), answer.text().to_owned())
    };
    // The registry does not answer.
    let plane = Plane::new().await;
    plane.serve("iris", &[(1, Phase::Ready)], &[]);
    plane.registry.polling.send_replace(true);
    *plane.registry.down.lock().unwrap() = Some("connection refused".to_owned());
    let (code, text) = status(&plane).await;
    assert_eq!(code, 504);
    assert!(text.contains("connection refused"), "{text}");
    // The manager has not taken the intent up.
    let plane = Plane::new().await;
    plane.serve("iris", &[(1, Phase::Failed(failed))], &[]);
    plane.engine.behind.send_replace(true);
    assert_eq!(status(&plane).await.0, 504);
    plane.engine.behind.send_replace(false);
    assert_eq!(status(&plane).await.0, 200);
    // It makes room for its successor.
    plane.serve("iris", &[(1, Phase::Draining)], &[]);
    assert_eq!(status(&plane).await.0, 504);
}

#[tokio::test]
async fn waiting_ends_when_somebody_disables_the_model() {
    let plane = Plane::new().await;
    plane.serve("iris", &[(1, Phase::Building)], &[]);
    let path = format!("{SERVING}?wait=ready&timeout=1h");
    let waiting = plane.call(Caller::Manager, "PUT", &path, "");
    let disabling = async {
        let mut intents = plane.intents.subscribe();
        let enabled = intents.wait_for(|intents| intents.models.contains_key("iris"));
        enabled.await.unwrap();
        plane.call(Caller::Admin, "DELETE", SERVING, "").await
    };
    let (answer, _) = tokio::join!(waiting, disabling);
    assert_eq!(
        answer.refusal(),
        (404, "RESOURCE_DOES_NOT_EXIST".to_owned())
    );
    assert!(answer.text().contains("disabled"), "{}", answer.text());
}

#[tokio::test]
async fn waiting_ends_with_its_deadline_and_the_model_stays_enabled() {
    let plane = Plane::new().await;
    plane.serve("iris", &[(1, Phase::Building)], &[]);
    let answer = plane
        .call(
            Caller::Manager,
            "PUT",
            &format!("{SERVING}?wait=ready&timeout=10ms"),
            "",
        )
        .await;
    assert_eq!(answer.refusal(), (504, "DEADLINE_EXCEEDED".to_owned()));
    assert!(
        answer
            .text()
            .contains("version 1 is Building, installing 12 packages"),
        "{}",
        answer.text()
    );
    assert_eq!(plane.intents.enabled().len(), 1);
    for query in ["wait=done", "wait=ready&timeout=2h", "timeout=soon"] {
        let answer = plane
            .call(Caller::Manager, "PUT", &format!("{SERVING}?{query}"), "")
            .await;
        assert_eq!(answer.refusal().0, 400, "{query}");
    }
}

#[tokio::test]
async fn a_caller_who_hangs_up_leaves_no_intent_unpublished() {
    let plane = Plane::new().await;
    let mut intents = plane.intents.subscribe();
    {
        let call = std::pin::pin!(plane.call(Caller::Manager, "PUT", SERVING, ""));
        // Far enough for the change to begin, then the connection is gone.
        let mut call = call;
        while intents.borrow().models.is_empty() && plane.store.intents().await.unwrap().is_empty()
        {
            let polled = futures_util::poll!(call.as_mut());
            if polled.is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    let stored = intents.wait_for(|intents| intents.models.contains_key("iris"));
    assert!(
        tokio::time::timeout(Duration::from_secs(5), stored)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_restart_is_accepted_logged_and_passed_on() {
    let plane = Plane::new().await;
    plane.serve("iris", &[(1, Phase::Ready)], &[]);
    let restart = async |version: &str| {
        let path = format!("/api/v1/models/iris/versions/{version}/restart");
        plane
            .call(Caller::Manager, "POST", &path, "")
            .await
            .status
            .as_u16()
    };
    assert_eq!(restart("1").await, 202);
    assert_eq!(restart("2").await, 404);
    assert_eq!(restart("one").await, 404);
    let restarted = plane.engine.restarted.lock().unwrap().clone();
    assert_eq!(restarted, [ServableId::new("iris", Version(1))]);
    assert_eq!(event_types(&plane).await, ["restart_requested"]);
}

#[tokio::test]
async fn an_example_is_a_body_that_can_be_scored() {
    let plane = Plane::new().await;
    plane.serve("iris", &[(1, Phase::Ready)], &[]);
    let path = "/api/v1/models/iris/versions/1/example";
    assert_eq!(plane.get(Caller::Reader, path).await.refusal().0, 404);
    let example = Example {
        content_type: "application/json".to_owned(),
        body: r#"{"inputs": [1.50]}"#.into(),
    };
    plane
        .engine
        .examples
        .lock()
        .unwrap()
        .insert(ServableId::new("iris", Version(1)), example);
    let answer = plane.get(Caller::Reader, path).await;
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.text(), r#"{"inputs": [1.50]}"#);
}

#[tokio::test]
async fn the_configuration_enables_what_nobody_disabled() {
    let plane = Plane::new().await;
    let clock: std::sync::Arc<dyn serving_core::Clock> =
        std::sync::Arc::new(serving_core::SystemClock);
    plane.call(Caller::Manager, "PUT", SERVING, "").await;
    plane.call(Caller::Manager, "DELETE", SERVING, "").await;
    let names = ["iris".to_owned(), "secret".to_owned()];
    let disabled = plane
        .intents
        .enable_configured(&names, &clock)
        .await
        .unwrap();
    assert_eq!(disabled, ["iris".into()]);
    assert_eq!(plane.intents.enabled(), ["secret".into()]);
}
