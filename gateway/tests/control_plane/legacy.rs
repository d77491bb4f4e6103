//! The legacy endpoints' API, as outside callers use it.

use serde_json::{Value, json};
use serving_core::Phase;

use super::harness::{Answer, Caller, Plane};

const PREFIXES: [&str; 2] = [
    "/api/2.0/mlflow/endpoints",
    "/api/2.0/preview/mlflow/endpoints",
];
const IRIS: &str = r#"{"registered_model_name": "iris", "something_else": [1]}"#;

async fn call(plane: &Plane, method: &str, path: &str, body: &str) -> Answer {
    plane.call(Caller::Manager, method, path, body).await
}

#[tokio::test]
async fn both_prefixes_enable_tell_and_disable() {
    for prefix in PREFIXES {
        let plane = Plane::new().await;
        let answer = call(&plane, "POST", &format!("{prefix}/enable"), IRIS).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({})));
        plane.serve("iris", &[], &[]);
        let status = call(
            &plane,
            "GET",
            &format!("{prefix}/get-status?registered_model_name=iris"),
            "",
        )
        .await;
        let expected = json!({"endpoint_status": {"registered_model_name": "iris", "state": "ENDPOINT_STATE_READY"}});
        assert_eq!(status.json(), expected);
        let answer = call(&plane, "POST", &format!("{prefix}/disable"), IRIS).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({})));
        let status = call(
            &plane,
            "GET",
            &format!("{prefix}/get-status?registered_model_name=iris"),
            "",
        )
        .await;
        assert_eq!(
            status.refusal(),
            (404, "RESOURCE_DOES_NOT_EXIST".to_owned())
        );
    }
}

#[tokio::test]
async fn the_name_is_found_in_the_query_or_in_a_body_of_any_content_type() {
    let plane = Plane::new().await;
    call(&plane, "POST", "/api/2.0/mlflow/endpoints/enable", IRIS).await;
    let path = "/api/2.0/mlflow/endpoints/get-status";
    for content_type in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("application/json"),
    ] {
        let mut request = plane.request(Caller::Manager, "GET", path);
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let answer = plane
            .send(request.body(IRIS.to_owned().into()).unwrap())
            .await;
        assert_eq!(answer.status, 200, "{content_type:?}");
        assert_eq!(
            answer.json()["endpoint_status"]["registered_model_name"],
            "iris"
        );
    }
    let answer = call(&plane, "GET", path, "").await;
    assert_eq!(
        answer.refusal(),
        (400, "INVALID_PARAMETER_VALUE".to_owned())
    );
}

#[tokio::test]
async fn a_status_is_there_at_once_after_enabling() {
    let plane = Plane::new().await;
    call(&plane, "POST", "/api/2.0/mlflow/endpoints/enable", IRIS).await;
    let status = call(&plane, "GET", "/api/2.0/mlflow/endpoints/get-status", IRIS)
        .await
        .json();
    assert_eq!(status["endpoint_status"]["state"], "ENDPOINT_STATE_PENDING");
}

#[tokio::test]
async fn lists_have_their_key_also_when_they_are_empty() {
    let plane = Plane::new().await;
    for body in ["", "{}"] {
        let answer = call(&plane, "GET", "/api/2.0/mlflow/endpoints/list", body).await;
        assert_eq!(answer.json(), json!({"endpoints": []}));
    }
    call(&plane, "POST", "/api/2.0/mlflow/endpoints/enable", IRIS).await;
    plane
        .call(Caller::Admin, "PUT", "/api/v1/models/secret/serving", "")
        .await;
    let answer = call(&plane, "GET", "/api/2.0/mlflow/endpoints/list", "{}").await;
    let expected = json!({"endpoints": [{"registered_model_name": "iris", "state": "ENDPOINT_STATE_PENDING"}]});
    assert_eq!(answer.json(), expected, "what the caller may see");
    let answer = call(
        &plane,
        "GET",
        "/api/2.0/mlflow/endpoints/list-versions",
        IRIS,
    )
    .await;
    assert_eq!(answer.json(), json!({"endpoint_versions": []}));
}

#[tokio::test]
async fn versions_are_listed_from_the_start_and_states_are_translated() {
    let plane = Plane::new().await;
    call(&plane, "POST", "/api/2.0/mlflow/endpoints/enable", IRIS).await;
    let failure = serving_core::Failure {
        kind: serving_core::FailureKind::Permanent,
        code: None,
        message: "no".into(),
        last_lines: Vec::new(),
        next_try: None,
        attempts: 1,
    };
    let phases = [
        (1, Phase::Ready),
        (2, Phase::Building),
        (3, Phase::Starting),
        (4, Phase::Pending),
        (5, Phase::Failed(failure)),
        (6, Phase::Draining),
    ];
    plane.serve("iris", &phases, &[]);
    plane.want("iris", &[1, 2, 3, 4, 5, 10]);
    let answer = call(
        &plane,
        "GET",
        "/api/2.0/mlflow/endpoints/list-versions",
        IRIS,
    )
    .await
    .json();
    let states: Vec<(Value, Value)> = answer["endpoint_versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| {
            (
                version["endpoint_version_name"].clone(),
                version["state"].clone(),
            )
        })
        .collect();
    let expected = [
        ("1", "VERSION_STATE_READY"),
        ("2", "VERSION_STATE_LAUNCHING"),
        ("3", "VERSION_STATE_LAUNCHING"),
        ("4", "VERSION_STATE_PENDING"),
        ("5", "VERSION_STATE_FAILED"),
        ("10", "VERSION_STATE_PENDING"),
    ];
    assert_eq!(
        states,
        expected.map(|(name, state)| (json!(name), json!(state)))
    );
}

#[tokio::test]
async fn enabling_waits_until_the_registry_has_told_its_versions() {
    let plane = Plane::new().await;
    plane.registry.polling.send_replace(true);
    let path = "/api/2.0/mlflow/endpoints/enable";
    let enabling = call(&plane, "POST", path, IRIS);
    let mut enabling = std::pin::pin!(enabling);
    let early = tokio::time::timeout(std::time::Duration::from_millis(200), &mut enabling).await;
    assert!(early.is_err(), "answered before the registry did");
    plane.registry.polling.send_replace(false);
    assert_eq!(enabling.await.json(), json!({}));
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_refused_and_says_so() {
    let plane = Plane::new().await;
    for body in [
        "[]",
        "registered_model_name=iris",
        "{",
        r#"{"registered_model_name": 1}"#,
    ] {
        for prefix in PREFIXES {
            let answer = call(&plane, "POST", &format!("{prefix}/enable"), body).await;
            let refusal = (400, "INVALID_PARAMETER_VALUE".to_owned());
            assert_eq!(answer.refusal(), refusal, "{body}");
        }
    }
}

#[tokio::test]
async fn a_token_for_less_than_everything_is_refused_rather_than_widened() {
    let plane = Plane::new().await;
    let path = "/api/2.0/token/create";
    for body in [r#"{"scopes": ["sql"]}"#, r#"{"autoscope_enabled": true}"#] {
        let answer = call(&plane, "POST", path, body).await;
        let refusal = (400, "INVALID_PARAMETER_VALUE".to_owned());
        assert_eq!(answer.refusal(), refusal, "{body}");
    }
    let answer = call(
        &plane,
        "POST",
        path,
        r#"{"comment": null, "scopes": [], "other": 1}"#,
    )
    .await;
    assert_eq!(answer.json()["token_info"]["expiry_time"], -1);
}
