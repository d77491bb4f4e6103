//! How models did lately: what was sampled, for those who may see it.

use std::sync::Arc;

use gateway::data_plane::{Upstream, VersionStack};
use gateway::ports::WorkerProcess;
use serde_json::{Value, json};
use serving_core::testing::HandMadeReplicas;
use serving_core::{Phase, ReplicaId, ServableId, Settings, Version};

use super::harness::{Caller, Plane, now};

const STEP: std::time::Duration = std::time::Duration::from_secs(10);

/// A version that requests reach, as long as it is held.
type Served = (Arc<VersionStack>, HandMadeReplicas<Upstream>);

fn served(plane: &Plane, model: &str, version: u64) -> Served {
    let id = ServableId::new(model, Version(version));
    let (replicas, seed) = HandMadeReplicas::new(id, Settings::default());
    (Arc::new(VersionStack::new(seed, &plane.scoring)), replicas)
}

fn worker(version: u64, replica: u64, memory_bytes: Option<u64>) -> WorkerProcess {
    WorkerProcess {
        id: ServableId::new("iris", Version(version)),
        replica: ReplicaId(replica),
        process: 4711,
        since: now(),
        memory_bytes,
        cpu: None,
        memory_limit: None,
    }
}

fn names(figures: &Value) -> Vec<&String> {
    figures["models"].as_object().unwrap().keys().collect()
}

#[tokio::test]
async fn the_list_has_what_the_caller_may_see_and_what_was_served() {
    let plane = Plane::new().await;
    plane.register(&["odd one"]);
    let _served = [served(&plane, "iris", 1), served(&plane, "secret", 1)];
    plane.sampler.sample(STEP);
    for (caller, seen) in [
        (Caller::Admin, vec!["iris", "secret"]),
        (Caller::Manager, vec!["iris"]),
        (Caller::Reader, vec!["iris"]),
        (Caller::Stranger, vec![]),
    ] {
        let figures = plane.get(caller, "/api/v1/figures?window=30s").await.json();
        assert_eq!(figures["step_seconds"], 10);
        assert_eq!(names(&figures), seen, "{caller:?}");
        if !seen.is_empty() {
            let series = &figures["models"]["iris"];
            assert_eq!(series["requests"], json!([null, null, 0.0]));
            assert_eq!(series["p95"], json!([null, null, null]));
        }
    }
    let figures = plane.get(Caller::Reader, "/api/v1/figures").await.json();
    let requests = figures["models"]["iris"]["requests"].as_array().unwrap();
    assert_eq!(requests.len(), 60, "ten minutes if it is not said");
    let answer = plane.get(Caller::Anonymous, "/api/v1/figures").await;
    assert_eq!(answer.refusal(), (401, "UNAUTHENTICATED".to_owned()));
}

#[tokio::test]
async fn the_list_has_only_the_series_that_are_asked_for() {
    let plane = Plane::new().await;
    let _served = served(&plane, "iris", 1);
    plane.sampler.sample(STEP);
    let asked = async |query: &str| {
        let path = format!("/api/v1/figures?{query}");
        plane.get(Caller::Reader, &path).await
    };
    let figures = asked("window=10s&series=requests,errors").await.json();
    let few = json!({"requests": [0.0], "errors": [0.0]});
    assert_eq!(figures["models"]["iris"], few);
    for (query, named) in [
        ("series=requests,size", "there are requests, errors"),
        ("series=", "p95"),
        ("window=601s", "10m"),
    ] {
        let answer = asked(query).await;
        let code = "INVALID_PARAMETER_VALUE".to_owned();
        assert_eq!(answer.refusal(), (400, code), "{query}");
        assert!(answer.text().contains(named), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_model_has_figures_of_all_its_versions_and_of_each() {
    let plane = Plane::new().await;
    plane.serve(
        "iris",
        &[(1, Phase::Ready), (2, Phase::Ready), (3, Phase::Building)],
        &[],
    );
    let _served = [served(&plane, "iris", 1), served(&plane, "iris", 2)];
    *plane.processes.0.lock().unwrap() = vec![
        worker(1, 0, Some(1000)),
        worker(1, 1, Some(500)),
        worker(2, 0, Some(200)),
        worker(2, 1, None),
    ];
    plane.sampler.sample(STEP);
    let memory = async |query: &str| {
        let path = format!("/api/v1/models/iris/figures?window=20s{query}");
        let figures = plane.get(Caller::Reader, &path).await.json();
        assert_eq!(figures["step_seconds"], 10, "{figures}");
        figures["series"]["memory"].clone()
    };
    assert_eq!(memory("").await, json!([null, 1700.0]));
    assert_eq!(memory("&version=1").await, json!([null, 1500.0]));
    assert_eq!(memory("&version=2").await, json!([null, 200.0]));
    assert_eq!(
        memory("&version=3").await,
        json!([null, null]),
        "it is being built"
    );
    // Looking is no reason to look at workers.
    plane.processes.0.lock().unwrap().clear();
    assert_eq!(memory("").await, json!([null, 1700.0]));
    plane.sampler.sample(STEP);
    assert_eq!(memory("").await, json!([1700.0, null]));
    let figures = plane
        .get(Caller::Reader, "/api/v1/models/iris/figures")
        .await
        .json();
    let requests = figures["series"]["requests"].as_array().unwrap();
    assert_eq!(requests.len(), 360, "an hour if it is not said");
}

#[tokio::test]
async fn figures_stay_for_a_while_when_a_version_is_gone() {
    let plane = Plane::new().await;
    let gone = served(&plane, "iris", 1);
    plane.sampler.sample(STEP);
    drop(gone);
    plane.sampler.sample(STEP);
    let path = "/api/v1/models/iris/figures?version=1&window=30s";
    let figures = plane.get(Caller::Reader, path).await.json();
    assert_eq!(figures["series"]["in_flight"], json!([null, 0.0, 0.0]));
}

#[tokio::test]
async fn a_model_that_was_never_served_has_none_and_what_cannot_be_answered_is_refused() {
    let plane = Plane::new().await;
    let path = "/api/v1/models/iris/figures?window=20s";
    let figures = plane.get(Caller::Reader, path).await.json();
    assert_eq!(figures["series"]["requests"], json!([null, null]));
    for (caller, path, status, word) in [
        (Caller::Admin, "/api/v1/models/nil/figures", 404, "nil"),
        (
            Caller::Reader,
            "/api/v1/models/secret/figures",
            404,
            "secret",
        ),
        (
            Caller::Stranger,
            "/api/v1/models/iris/figures?window=x",
            404,
            "iris",
        ),
        (
            Caller::Reader,
            "/api/v1/models/iris/figures?version=7",
            404,
            "version 7",
        ),
        (
            Caller::Reader,
            "/api/v1/models/iris/figures?version=one",
            400,
            "version",
        ),
        (
            Caller::Reader,
            "/api/v1/models/iris/figures?version=-1",
            400,
            "version",
        ),
        (
            Caller::Reader,
            "/api/v1/models/iris/figures?window=x",
            400,
            "window",
        ),
        (
            Caller::Reader,
            "/api/v1/models/iris/figures?window=0s",
            400,
            "1h",
        ),
        (
            Caller::Reader,
            "/api/v1/models/iris/figures?window=61m",
            400,
            "1h",
        ),
        (Caller::Stranger, "/api/v1/figures?window=2h", 400, "1h"),
        (Caller::Admin, "/api/v1/figures?window=-5s", 400, "window"),
    ] {
        let answer = plane.get(caller, path).await;
        let code = if status == 404 {
            "RESOURCE_DOES_NOT_EXIST"
        } else {
            "INVALID_PARAMETER_VALUE"
        };
        assert_eq!(answer.refusal(), (status, code.to_owned()), "{path}");
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(word), "{path}: {message}");
    }
}
