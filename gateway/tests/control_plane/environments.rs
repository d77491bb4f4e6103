//! Environments over the API: what an admin sees and removes, and how a build is told.

use axum::body::Body;
use gateway::api::{
    BuildFailure, EnvManager, EnvironmentDetail, EnvironmentSummary, HumaneDuration,
    PruneEnvironments, ServedVersion,
};
use gateway::ports::EnvironmentsError;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use serving_core::{ServableId, Source, Version};

use super::harness::{Answer, Caller, Plane, now};

const PATH: &str = "/api/v1/environments";
const KEY: &str = "0123456789abcdef0123456789abcdef";

/// Of failed builds, and one that nobody knows.
const CODES: [&str; 15] = [
    "INVALID_DECLARATION",
    "PACKAGE_NOT_FOUND",
    "UNSATISFIABLE",
    "PYTHON_NOT_AVAILABLE",
    "HASH_MISMATCH",
    "NETWORK",
    "ACCESS_DENIED",
    "OFFLINE",
    "DISK_FULL",
    "PIP_FAILED",
    "IMPORT_FAILED",
    "MLFLOW_MISSING",
    "TOOL_MISSING",
    "INSTALL_FAILED",
    "BUILD_FAILED",
];

fn environment(key: &str, used_by: &[(&str, u64)]) -> EnvironmentDetail {
    let used_by = used_by.iter().map(|(model, version)| ServedVersion {
        model: (*model).to_owned(),
        version: *version,
    });
    EnvironmentDetail {
        summary: EnvironmentSummary {
            key: key.to_owned(),
            env_manager: EnvManager::Conda,
            python: Some("3.11.7".to_owned()),
            mlflow: Some("3.17.2".to_owned()),
            broken: false,
            base: None,
            base_of: vec!["fedcba9876543210fedcba9876543210".to_owned()],
            size_bytes: 700 << 20,
            shared_bytes: 600 << 20,
            used_by: used_by.collect(),
            built: now().into(),
            last_used: now().into(),
        },
        path: Some(format!("/data/environments/{key}")),
        steps: Vec::new(),
        packages: Vec::new(),
    }
}

/// `iris` 3 can be built, 4 cannot be read.
async fn plane() -> Plane {
    let plane = Plane::new().await;
    let used_by = [("iris", 3), ("secret", 1)];
    *plane.environments.all.lock().unwrap() = vec![environment(KEY, &used_by)];
    let id = |version| ServableId::new("iris", Version(version));
    let unreadable = "the registry says FAILED_REGISTRATION";
    plane.registry.versions.lock().unwrap().extend([
        (id(3), Source::Readable("source".into())),
        (id(4), Source::Unreadable(unreadable.into())),
    ]);
    plane
}

async fn build(plane: &Plane, caller: Caller, body: &Value) -> Answer {
    plane.call(caller, "POST", PATH, &body.to_string()).await
}

fn lines(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.headers["content-type"], "application/x-ndjson");
    let lines = answer.text().lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn an_admin_sees_all_environments_and_everything_about_one() {
    let plane = plane().await;
    let list = plane.get(Caller::Admin, PATH).await.json();
    insta::assert_json_snapshot!(list);
    let path = format!("{PATH}/0123");
    let shown = plane.get(Caller::Admin, &path).await.json();
    assert_eq!(shown["key"], KEY);
    assert_eq!(shown["path"], format!("/data/environments/{KEY}"));
    let log = plane.get(Caller::Admin, &format!("{path}/log")).await;
    assert_eq!(log.text(), "[solving]\n");
}

#[tokio::test]
async fn a_beginning_that_several_keys_have_is_refused() {
    let plane = plane().await;
    let all = [environment("aa01", &[]), environment("aa02", &[])];
    *plane.environments.all.lock().unwrap() = all.into();
    let answer = plane.get(Caller::Admin, &format!("{PATH}/aa")).await;
    assert_eq!(
        answer.refusal(),
        (400, "INVALID_PARAMETER_VALUE".to_owned())
    );
}

#[tokio::test]
async fn a_build_ends_with_the_environment() {
    let plane = plane().await;
    let answer = build(
        &plane,
        Caller::Admin,
        &json!({"model": "iris", "version": 3}),
    )
    .await;
    let lines = lines(&answer);
    assert_eq!(lines.last().unwrap()["environment"]["key"], KEY);
    let built = plane.environments.built.lock().unwrap()[0].clone();
    assert_eq!(built.id.to_string(), "iris@3");
    assert_eq!(built.incarnation.as_str(), "version");
    assert!(built.settings.loader.is_empty(), "{built:?}");
}

#[tokio::test]
async fn a_build_is_told_step_by_step_and_is_abandoned_with_its_caller() {
    let plane = plane().await;
    plane.environments.step.send_replace("solving");
    let request = plane
        .request(Caller::Manager, "POST", PATH)
        .body(Body::from(r#"{"model": "iris", "version": 3}"#))
        .unwrap();
    let mut body = plane.begin(request).await.into_body();
    let mut line = async || {
        let frame = body.frame().await.unwrap().unwrap();
        let text = frame.into_data().unwrap();
        serde_json::from_slice::<Value>(&text).unwrap()
    };
    assert_eq!(line().await, json!({"step": "solving"}));
    plane.environments.step.send_replace("linking");
    assert_eq!(line().await, json!({"step": "linking"}));
    let mut running = plane.environments.running.subscribe();
    assert_eq!(*running.borrow_and_update(), 1);
    drop(body);
    running.wait_for(|running| *running == 0).await.unwrap();
}

#[tokio::test]
async fn a_long_step_is_said_again() {
    let plane = plane().await;
    // From here on: the store would take the leaps of time for a disk that hangs.
    tokio::time::pause();
    plane.environments.step.send_replace("solving");
    let request = plane
        .request(Caller::Admin, "POST", PATH)
        .body(Body::from(r#"{"model": "iris", "version": 3}"#))
        .unwrap();
    let mut body = plane.begin(request).await.into_body();
    for _ in 0..3 {
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "{\"step\":\"solving\"}\n");
    }
}

#[tokio::test]
async fn a_failed_build_ends_with_its_code_its_sentence_and_the_last_lines() {
    let plane = plane().await;
    plane
        .environments
        .failures
        .lock()
        .unwrap()
        .push(BuildFailure {
            error_code: "PACKAGE_NOT_FOUND".to_owned(),
            message: "no channel has a package \"skikit-learn\"".to_owned(),
            last_lines: vec!["solving".to_owned()],
        });
    let answer = build(
        &plane,
        Caller::Admin,
        &json!({"model": "iris", "version": 3}),
    )
    .await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        lines(&answer),
        [json!({"error": {
            "error_code": "PACKAGE_NOT_FOUND",
            "message": "no channel has a package \"skikit-learn\"",
            "last_lines": ["solving"],
        }})]
    );
}

#[tokio::test]
async fn a_failed_build_tells_who_is_no_admin_its_kind_alone() {
    let plane = plane().await;
    let failure = |code: &str| BuildFailure {
        error_code: code.to_owned(),
        message: "/data/environments/0123 is in use by secret@3".to_owned(),
        last_lines: vec!["error: /data/packages/secret".to_owned()],
    };
    let mut told = Vec::new();
    for code in CODES {
        let failures = &plane.environments.failures;
        failures.lock().unwrap().push(failure(code));
        let body = json!({"model": "iris", "version": 3});
        let answer = build(&plane, Caller::Manager, &body).await;
        let text = answer.text();
        assert!(
            !text.contains("secret") && !text.contains("/data"),
            "{text}"
        );
        let error = lines(&answer).pop().unwrap()["error"].clone();
        assert_eq!(error["error_code"], code);
        assert_eq!(error["last_lines"], json!([]));
        told.push(format!("{code}: {}", error["message"].as_str().unwrap()));
    }
    insta::assert_snapshot!(told.join("\n"));
}

#[tokio::test]
async fn only_an_admin_may_change_what_models_share() {
    let plane = plane().await;
    let body = json!({"model": "iris", "version": 3, "fresh": true});
    let answer = build(&plane, Caller::Manager, &body).await;
    assert_eq!(answer.refusal(), (403, "PERMISSION_DENIED".to_owned()));
    assert!(plane.environments.built.lock().unwrap().is_empty());
    assert_eq!(build(&plane, Caller::Admin, &body).await.status, 200);
}

#[tokio::test]
async fn some_wait_for_their_turn_and_more_are_told_to_come_again() {
    let plane = plane().await;
    plane.environments.step.send_replace("solving");
    let begin = async || {
        let request = plane
            .request(Caller::Admin, "POST", PATH)
            .body(Body::from(r#"{"model": "iris", "version": 3}"#))
            .unwrap();
        plane.begin(request).await
    };
    let mut bodies = Vec::new();
    let refused = loop {
        assert!(bodies.len() < 100, "there is no bound");
        let answer = begin().await;
        if answer.status() != 200 {
            break answer;
        }
        let mut body = answer.into_body();
        body.frame().await.unwrap().unwrap();
        bodies.push(body);
    };
    assert_eq!(refused.status(), 429);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(*plane.environments.running.borrow(), 2);
    // Whoever leaves makes room, also one who only waited.
    bodies.pop();
    assert_eq!(begin().await.status(), 200);
}

#[tokio::test]
async fn trouble_with_environments_has_the_code_of_its_kind() {
    let plane = plane().await;
    let unusable = "cannot use the folder: No space left on device".to_owned();
    for (error, code) in [
        (
            EnvironmentsError::Failed(unusable),
            (503, "TEMPORARILY_UNAVAILABLE".to_owned()),
        ),
        (
            EnvironmentsError::Unsuitable("it is no packed environment".to_owned()),
            (400, "INVALID_PARAMETER_VALUE".to_owned()),
        ),
    ] {
        *plane.environments.trouble.lock().unwrap() = Some(error);
        assert_eq!(plane.get(Caller::Admin, PATH).await.refusal(), code);
    }
}

#[tokio::test]
async fn a_stopping_gateway_says_so_in_the_last_line() {
    let plane = plane().await;
    plane.environments.step.send_replace("solving");
    plane.shutdown.cancel();
    let answer = build(
        &plane,
        Caller::Admin,
        &json!({"model": "iris", "version": 3}),
    )
    .await;
    let lines = lines(&answer);
    let last = &lines.last().unwrap()["error"];
    assert_eq!(last["error_code"], "TEMPORARILY_UNAVAILABLE");
}

#[tokio::test]
async fn a_build_follows_the_models_settings_and_what_the_call_says() {
    let plane = plane().await;
    let settings = r#"{"env_manager": "uv", "environment": {"A": "1"}}"#;
    let path = "/api/v1/models/iris/serving";
    plane.call(Caller::Admin, "PUT", path, settings).await;
    plane.call(Caller::Admin, "DELETE", path, "").await;
    for body in [
        json!({"model": "iris", "version": 3}),
        json!({"model": "iris", "version": 3, "env_manager": "virtualenv", "fresh": true}),
        json!({"model": "iris", "version": 3, "env_manager": "conda"}),
    ] {
        assert_eq!(build(&plane, Caller::Admin, &body).await.status, 200);
    }
    let built = plane.environments.built.lock().unwrap();
    let words: Vec<_> = built
        .iter()
        .map(|spec| {
            let word = |name: &str| spec.settings.loader.get(name).map(String::as_str);
            (word("env_manager"), word("fresh"), word("environment"))
        })
        .collect();
    let variables = Some(r#"{"A":"1"}"#);
    assert_eq!(
        words,
        [
            (Some("uv"), None, variables),
            (Some("virtualenv"), Some("true"), variables),
            // The gateway's own: nothing has to be said.
            (None, None, variables),
        ]
    );
}

#[tokio::test]
async fn what_cannot_be_built_is_refused_before_anything_begins() {
    let plane = plane().await;
    let refused = async |body: Value| build(&plane, Caller::Admin, &body).await.refusal();
    let invalid = (400, "INVALID_PARAMETER_VALUE".to_owned());
    let missing = (404, "RESOURCE_DOES_NOT_EXIST".to_owned());
    assert_eq!(refused(json!({"model": "iris"})).await, invalid);
    assert_eq!(
        refused(json!({"model": "iris", "version": 3, "manager": "uv"})).await,
        invalid
    );
    assert_eq!(
        refused(json!({"model": "iris", "version": 3, "env_manager": "local"})).await,
        invalid
    );
    assert_eq!(
        refused(json!({"model": "iris", "version": 4})).await,
        invalid
    );
    assert_eq!(
        refused(json!({"model": "iris", "version": 5})).await,
        missing
    );
    assert_eq!(
        refused(json!({"model": "mystery", "version": 1})).await,
        missing
    );
    *plane.registry.down.lock().unwrap() = Some("connection refused".to_owned());
    assert_eq!(
        refused(json!({"model": "iris", "version": 3})).await,
        (503, "TEMPORARILY_UNAVAILABLE".to_owned())
    );
    assert!(plane.environments.built.lock().unwrap().is_empty());
}

#[tokio::test]
async fn who_is_no_admin_learns_nothing_of_the_host_and_of_hidden_models() {
    let plane = plane().await;
    let body = json!({"model": "iris", "version": 3});
    let seen = async |caller| {
        let lines = lines(&build(&plane, caller, &body).await);
        let built = lines.last().unwrap()["environment"].clone();
        let models: Vec<_> = built["used_by"]
            .as_array()
            .unwrap()
            .iter()
            .map(|user| user["model"].clone())
            .collect();
        let derived = built["base_of"].as_array().unwrap().len();
        (models, built["path"].is_string(), derived)
    };
    assert_eq!(
        seen(Caller::Admin).await,
        (vec![json!("iris"), json!("secret")], true, 1)
    );
    assert_eq!(seen(Caller::Manager).await, (vec![json!("iris")], false, 0));
}

#[tokio::test]
async fn pruning_takes_sizes_and_durations_as_people_write_them() {
    let plane = plane().await;
    let prune = async |body: Value| {
        let path = format!("{PATH}/prune");
        plane
            .call(Caller::Admin, "POST", &path, &body.to_string())
            .await
    };
    let body = json!({"keys": ["01"], "unused_for": "30d", "to_size": "20GB", "dry_run": true});
    assert_eq!(
        prune(body).await.json(),
        json!({"environments": ["0123"], "freed_bytes": 1 << 30, "in_use": [
            {"key": "0124", "reasons": ["used by iris@3"]},
        ]})
    );
    assert_eq!(
        *plane.environments.pruned.lock().unwrap(),
        [PruneEnvironments {
            keys: vec!["01".to_owned()],
            unused_for: Some(HumaneDuration(std::time::Duration::from_secs(30 * 86_400))),
            to_size: Some("20GB".parse().unwrap()),
            dry_run: true,
        }]
    );
    for wrong in [
        json!({"to_size": "much"}),
        json!({"unused_for": "long"}),
        json!({"older": 1}),
    ] {
        assert_eq!(prune(wrong).await.status, 400);
    }
}
