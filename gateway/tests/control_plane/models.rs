//! Lists and details.

use std::time::Duration;

use serving_core::{Failure, FailureKind, Phase};

use super::harness::{Caller, Plane, now};

fn failed() -> Phase {
    Phase::Failed(Failure {
        kind: FailureKind::Transient,
        code: Some("IMPORT_FAILED".into()),
        message: "the worker ended with exit code 1".into(),
        last_lines: vec!["ModuleNotFoundError: No module named 'sklearn'".to_owned()],
        next_try: Some(now() + Duration::from_secs(30)),
        attempts: 2,
    })
}

#[tokio::test]
async fn a_served_model_is_shown_with_its_versions_labels_and_uris() {
    let plane = Plane::new().await;
    plane
        .call(
            Caller::Admin,
            "PUT",
            "/api/v1/models/iris/serving",
            r#"{"replicas": 2}"#,
        )
        .await;
    plane.serve(
        "iris",
        &[
            (1, Phase::Ready),
            (2, Phase::Building),
            (3, failed()),
            (4, Phase::Draining),
            (5, Phase::Retired),
        ],
        &[
            ("Production", Some(2), Some(1)),
            ("@champion", Some(1), Some(1)),
            ("Staging", Some(9), None),
        ],
    );
    let answer = plane.get(Caller::Manager, "/api/v1/models/iris").await;
    insta::assert_json_snapshot!(answer.json());
}

#[tokio::test]
async fn a_model_that_is_not_enabled_has_no_state() {
    let plane = Plane::new().await;
    let answer = plane.get(Caller::Reader, "/api/v1/models/iris").await;
    insta::assert_json_snapshot!(answer.json());
}

#[tokio::test]
async fn a_list_counts_versions_and_filters() {
    let plane = Plane::new().await;
    plane
        .call(Caller::Admin, "PUT", "/api/v1/models/iris/serving", "")
        .await;
    plane.serve("iris", &[(1, Phase::Ready), (2, failed())], &[]);
    let answer = plane.get(Caller::Admin, "/api/v1/models").await;
    insta::assert_json_snapshot!(answer.json());
    let names = async |query: &str| {
        let page = plane
            .get(Caller::Admin, &format!("/api/v1/models?{query}"))
            .await
            .json();
        let models = page["models"].as_array().unwrap().clone();
        models
            .iter()
            .map(|model| model["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names("served=true").await, ["iris"]);
    assert_eq!(names("served=false").await, ["secret"]);
    assert_eq!(names("query=RI").await, ["iris"]);
    assert_eq!(names("query=zebra").await, Vec::<String>::new());
}

#[tokio::test]
async fn pages_hold_every_model_once() {
    let plane = Plane::new().await;
    let names: Vec<String> = (0..23).map(|number| format!("odd {number:02}")).collect();
    plane.register(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let mut seen = Vec::new();
    let mut token = String::new();
    loop {
        let path = format!("/api/v1/models?max_results=5&query=odd{token}");
        let page = plane.get(Caller::Manager, &path).await.json();
        let models = page["models"].as_array().unwrap();
        assert!(models.len() <= 5);
        seen.extend(
            models
                .iter()
                .map(|model| model["name"].as_str().unwrap().to_owned()),
        );
        match page["next_page_token"].as_str() {
            Some(next) => token = format!("&page_token={next}"),
            None => break,
        }
    }
    assert_eq!(seen, names);
}

#[tokio::test]
async fn wrong_parameters_are_named() {
    let plane = Plane::new().await;
    for query in [
        "served=maybe",
        "max_results=0",
        "max_results=1001",
        "max_results=x",
        "page_token=%21",
    ] {
        let answer = plane
            .get(Caller::Admin, &format!("/api/v1/models?{query}"))
            .await;
        assert_eq!(
            answer.refusal(),
            (400, "INVALID_PARAMETER_VALUE".to_owned()),
            "{query}"
        );
        let name = query.split('=').next().unwrap();
        assert!(answer.text().contains(name), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_model_waits_for_the_registry_and_says_so_or_fails_with_it() {
    let plane = Plane::new().await;
    plane
        .call(Caller::Admin, "PUT", "/api/v1/models/iris/serving", "")
        .await;
    let state = async || {
        let model = plane
            .get(Caller::Reader, "/api/v1/models/iris")
            .await
            .json();
        (model["state"].clone(), model["state_reason"].clone())
    };
    assert_eq!(state().await.0, "PENDING");
    plane.aspired.send_replace(None);
    assert_eq!(state().await.0, "PENDING");
    *plane.registry.down.lock().unwrap() = Some("connection refused".to_owned());
    let (failed, reason) = state().await;
    assert_eq!(failed, "FAILED");
    assert!(reason.as_str().unwrap().contains("connection refused"));
    plane.aspired.send_replace(Some(std::sync::Arc::default()));
    plane.serve("iris", &[], &[]);
    assert_eq!(state().await.0, "READY");
}

#[tokio::test]
async fn a_model_that_the_catalog_does_not_have_yet_is_asked_for() {
    let plane = Plane::new().await;
    assert_eq!(
        plane.get(Caller::Admin, "/api/v1/models/new").await.status,
        404
    );
    plane.registry.fresh.lock().unwrap().push("new".into());
    assert_eq!(
        plane.get(Caller::Admin, "/api/v1/models/new").await.status,
        200
    );
    *plane.registry.down.lock().unwrap() = Some("connection refused".to_owned());
    let answer = plane.get(Caller::Admin, "/api/v1/models/newer").await;
    assert_eq!(
        answer.refusal(),
        (503, "TEMPORARILY_UNAVAILABLE".to_owned())
    );
    assert!(answer.headers.contains_key("retry-after"));
}
