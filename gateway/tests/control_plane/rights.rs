//! Who may do what: every caller against every verb.

use serving_core::Phase;

use super::harness::{Caller, Plane};

/// Statuses in the order of [`Caller::ALL`]: admin, manager, reader, stranger, anonymous.
const MATRIX: [(&str, &str, &str, [u16; 5]); 25] = [
    ("GET", "/api/v1/models", "", [200, 200, 200, 200, 401]),
    ("GET", "/api/v1/models/iris", "", [200, 200, 200, 404, 401]),
    (
        "GET",
        "/api/v1/models/iris/events",
        "",
        [200, 200, 200, 404, 401],
    ),
    (
        "GET",
        "/api/v1/models/iris/versions/1/events",
        "",
        [200, 200, 200, 404, 401],
    ),
    (
        "GET",
        "/api/v1/models/iris/versions/1/logs",
        "",
        [200, 200, 200, 404, 401],
    ),
    (
        "GET",
        "/api/v1/models/iris/versions/1/logs/attempts",
        "",
        [200, 200, 200, 404, 401],
    ),
    (
        "PUT",
        "/api/v1/models/iris/serving",
        "{}",
        [200, 200, 403, 404, 401],
    ),
    (
        "POST",
        "/api/v1/models/iris/versions/1/restart",
        "",
        [202, 202, 403, 404, 401],
    ),
    (
        "DELETE",
        "/api/v1/models/iris/serving",
        "",
        [204, 204, 403, 404, 401],
    ),
    (
        "GET",
        "/api/v1/models/secret",
        "",
        [200, 404, 404, 404, 401],
    ),
    (
        "PUT",
        "/api/v1/models/secret/serving",
        "",
        [200, 404, 404, 404, 401],
    ),
    (
        "POST",
        "/api/2.0/mlflow/endpoints/enable",
        r#"{"registered_model_name": "iris"}"#,
        [200, 200, 403, 404, 401],
    ),
    (
        "GET",
        "/api/2.0/mlflow/endpoints/get-status?registered_model_name=iris",
        "",
        [200, 200, 200, 404, 401],
    ),
    (
        "GET",
        "/api/2.0/mlflow/endpoints/list-versions?registered_model_name=iris",
        "",
        [200, 200, 200, 404, 401],
    ),
    (
        "POST",
        "/api/2.0/mlflow/endpoints/disable",
        r#"{"registered_model_name": "iris"}"#,
        [200, 200, 403, 404, 401],
    ),
    (
        "POST",
        "/api/v1/tokens",
        r#"{"principal": "eve"}"#,
        [201, 403, 403, 403, 401],
    ),
    ("GET", "/api/v1/grants", "", [200, 200, 200, 200, 401]),
    (
        "DELETE",
        "/api/v1/grants?principal=eve&right=READ&model=iris",
        "",
        [404, 403, 403, 403, 401],
    ),
    ("GET", "/api/v1/environments", "", [200, 403, 403, 403, 401]),
    (
        "GET",
        "/api/v1/environments/0",
        "",
        [404, 403, 403, 403, 401],
    ),
    (
        "GET",
        "/api/v1/environments/0/log",
        "",
        [404, 403, 403, 403, 401],
    ),
    (
        "POST",
        "/api/v1/environments/prune",
        "",
        [200, 403, 403, 403, 401],
    ),
    (
        "POST",
        "/api/v1/environments",
        r#"{"model": "iris", "version": 9}"#,
        [404, 404, 403, 404, 401],
    ),
    ("GET", "/metrics", "", [200, 403, 403, 403, 401]),
    ("GET", "/api/v1/status", "", [200, 200, 200, 200, 401]),
];

#[tokio::test]
async fn every_caller_may_do_what_its_rights_say_and_no_more() {
    for (place, caller) in Caller::ALL.into_iter().enumerate() {
        let plane = Plane::new().await;
        plane.serve("iris", &[(1, Phase::Ready)], &[]);
        for (method, path, body, statuses) in MATRIX {
            // Each row starts with the model enabled, whatever the row before has done.
            if path.contains("endpoints/") {
                plane
                    .call(Caller::Admin, "PUT", "/api/v1/models/iris/serving", "")
                    .await;
            }
            let answer = plane.call(caller, method, path, body).await;
            assert_eq!(answer.status, statuses[place], "{caller:?} {method} {path}");
            if answer.status.as_u16() >= 400 {
                answer.refusal();
            }
        }
    }
}

#[tokio::test]
async fn what_is_hidden_and_what_is_missing_look_alike() {
    let plane = Plane::new().await;
    let body =
        async |path: &str| plane.get(Caller::Manager, path).await.json()["message"].to_string();
    let hidden = body("/api/v1/models/secret").await;
    let missing = body("/api/v1/models/mystery").await;
    assert_eq!(
        hidden.replace("secret", "…"),
        missing.replace("mystery", "…")
    );
}

#[tokio::test]
async fn a_list_shows_what_the_caller_may_see() {
    let plane = Plane::new().await;
    for (caller, expected) in [
        (Caller::Admin, vec!["iris", "secret"]),
        (Caller::Manager, vec!["iris"]),
        (Caller::Reader, vec!["iris"]),
        (Caller::Stranger, vec![]),
    ] {
        let page = plane.get(caller, "/api/v1/models").await.json();
        let names: Vec<_> = page["models"]
            .as_array()
            .unwrap()
            .iter()
            .map(|model| model["name"].clone())
            .collect();
        assert_eq!(names, expected, "{caller:?}");
    }
}

#[tokio::test]
async fn a_refused_change_changes_nothing() {
    let plane = Plane::new().await;
    plane
        .call(Caller::Reader, "PUT", "/api/v1/models/iris/serving", "{}")
        .await;
    assert!(plane.intents.enabled().is_empty());
    let events = plane
        .get(Caller::Admin, "/api/v1/models/iris/events")
        .await
        .json();
    assert_eq!(events["events"], serde_json::json!([]));
}

#[tokio::test]
async fn variables_are_shown_to_those_who_may_set_them() {
    let plane = Plane::new().await;
    let settings = r#"{"environment": {"API_KEY": "hush"}}"#;
    plane
        .call(
            Caller::Manager,
            "PUT",
            "/api/v1/models/iris/serving",
            settings,
        )
        .await;
    let value = async |caller| {
        let model = plane.get(caller, "/api/v1/models/iris").await.json();
        model["settings"]["environment"]["API_KEY"].clone()
    };
    assert_eq!(value(Caller::Manager).await, "hush");
    assert_eq!(value(Caller::Reader).await, "***");
    let events = plane
        .get(Caller::Reader, "/api/v1/models/iris/events")
        .await;
    assert!(!events.text().contains("hush"));
}
