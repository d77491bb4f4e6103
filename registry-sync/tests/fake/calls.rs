//! Single calls: credentials, redirects, limits, and errors that say what to do.

use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, StreamExt};
use registry_sync::{Interest, RegistryConfig, RegistryCredentials, RegistryError, RegistrySync};
use serde_json::json;
use serving_core::{ServableId, Source, Version};
use tokio::sync::watch;

use crate::polling::{Running, models};
use crate::registry::{FakeRegistry, text};

#[tokio::test]
async fn whether_a_model_is_registered_is_asked_by_its_exact_name() {
    let registry = FakeRegistry::start().await;
    registry.lock().register("iris", 0, &[]);
    let running = Running::start(registry.config(), models(&[]), None);
    assert_eq!(running.handle.is_registered(&"iris".into()).await, Ok(true));
    assert_eq!(
        running.handle.is_registered(&"nope".into()).await,
        Ok(false)
    );
    // A database that compares without case.
    registry.hook(|asked, inner| {
        let found = json!({ "registered_model": inner.models[0] });
        asked
            .get("name")
            .filter(|name| name.eq_ignore_ascii_case("iris"))?;
        Some(axum::Json(found).into_response())
    });
    assert_eq!(
        running.handle.is_registered(&"IRIS".into()).await,
        Ok(false)
    );
    registry.hook(|_, _| {
        let reply = json!({
            "error_code": "INVALID_PARAMETER_VALUE",
            "message": "Invalid model name 'a/b'. Names cannot contain '/' or ':'.",
        });
        Some((StatusCode::BAD_REQUEST, axum::Json(reply)).into_response())
    });
    assert_eq!(
        running.handle.is_registered(&"a/b".into()).await,
        Ok(false),
        "a name that is not allowed is no failure of the registry"
    );
    registry.hook(|_, _| Some(text(403, "Permission denied")));
    let error = running
        .handle
        .is_registered(&"iris".into())
        .await
        .unwrap_err();
    assert!(matches!(error, RegistryError::Denied { .. }), "{error}");
}

#[tokio::test]
async fn a_version_asked_for_by_itself_is_the_one_that_would_be_aspired() {
    let registry = FakeRegistry::start().await;
    registry.lock().register("iris", 2, &[]);
    let of_interest = Running::start(registry.config(), models(&["iris"]), None);
    let aspired = of_interest
        .until(|aspired| !aspired.models.is_empty())
        .await;
    let expected = &aspired.models["iris"];
    let running = Running::start(registry.config(), models(&[]), None);
    let id = |model: &str, version| ServableId::new(model, Version(version));
    let found = running.handle.version(&id("iris", 2)).await.unwrap();
    let found = found.unwrap();
    assert_eq!(found.model_incarnation, expected.incarnation);
    assert_eq!(found.version, expected.versions[&Version(2)]);
    assert_eq!(running.handle.version(&id("iris", 3)).await, Ok(None));
    assert_eq!(running.handle.version(&id("nope", 1)).await, Ok(None));
}

#[tokio::test]
async fn a_version_asked_for_by_itself_may_be_archived_or_not_there_yet() {
    let registry = FakeRegistry::start().await;
    registry.lock().register("iris", 2, &[]);
    let running = Running::start(registry.config(), models(&[]), None);
    registry.lock().versions[0]["current_stage"] = json!("Archived");
    registry.lock().versions[1]["status"] = json!("PENDING_REGISTRATION");
    let source = async |version| {
        let id = ServableId::new("iris", Version(version));
        let found = running.handle.version(&id).await.unwrap();
        found.unwrap().version.source
    };
    assert!(matches!(source(1).await, Source::Readable(_)));
    let Source::Unreadable(reason) = source(2).await else {
        panic!("a version that is still being registered can be read");
    };
    assert!(reason.contains("PENDING_REGISTRATION"), "{reason}");
}

#[tokio::test]
async fn credentials_are_sent_to_the_registry() {
    let registry = FakeRegistry::start().await;
    let basic = RegistryCredentials::Basic {
        username: "alice".into(),
        password: "s3cret".into(),
    };
    let bearer = RegistryCredentials::Bearer("t0ken".into());
    let cases = [
        (RegistryCredentials::None, None),
        (basic, Some("Basic YWxpY2U6czNjcmV0")),
        (bearer, Some("Bearer t0ken")),
    ];
    for (credentials, expected) in cases {
        let running = Running::start(registry.config_as(credentials), Interest::All, None);
        running.until(|_| true).await;
        let asked = registry.lock().asked.last().unwrap().clone();
        assert_eq!(asked.header("authorization"), expected);
        // MLflow 3 refuses foreign origins.
        assert_eq!(asked.header("origin"), None);
        assert!(
            asked
                .header("user-agent")
                .unwrap()
                .starts_with("sluicegate/")
        );
        registry.lock().models.clear();
    }
}

#[tokio::test]
async fn a_redirect_to_another_origin_is_not_followed_and_one_within_is() {
    let registry = FakeRegistry::start().await;
    let other = FakeRegistry::start().await;
    let redirect =
        |to: String| (axum::http::StatusCode::FOUND, [(header::LOCATION, to)]).into_response();
    let to = format!("http://{}/login?secret=1", other.address());
    registry.hook(move |_, _| Some(redirect(to.clone())));
    let bearer = RegistryCredentials::Bearer("t0ken".into());
    let running = Running::start(registry.config_as(bearer), Interest::All, None);
    let error = running
        .handle
        .is_registered(&"iris".into())
        .await
        .unwrap_err();
    assert_eq!(
        error,
        RegistryError::Redirected {
            to: format!("http://{}", other.address())
        }
    );
    assert!(other.lock().asked.is_empty());

    registry.lock().register("iris", 0, &[]);
    registry.hook(move |asked, _| {
        (!asked.path.starts_with("/new")).then(|| {
            let name = asked.get("name").unwrap_or_default();
            redirect(format!("/new{}?name={name}", asked.path))
        })
    });
    assert_eq!(running.handle.is_registered(&"iris".into()).await, Ok(true));
    let asked = registry
        .lock()
        .calls("registered-models/get")
        .last()
        .unwrap()
        .clone();
    assert_eq!(asked.header("authorization"), Some("Bearer t0ken"));
}

#[tokio::test]
async fn a_registry_below_a_path_is_asked_there() {
    let registry = FakeRegistry::start().await;
    registry.lock().register("iris", 1, &[]);
    let mut config = registry.config();
    config.url.set_path("/mlflow/");
    let running = Running::start(config, Interest::All, None);
    running.until(|_| true).await;
    let asked = registry.lock().asked[0].clone();
    assert!(
        asked.path.starts_with("/mlflow/api/2.0/mlflow/"),
        "{}",
        asked.path
    );
}

#[tokio::test]
async fn what_is_no_mlflow_server_is_told_so() {
    let registry = FakeRegistry::start().await;
    let running = Running::start(registry.config(), Interest::All, None);
    running.until(|_| true).await;
    let answers: [fn() -> Response; 2] = [
        || text(404, "<!doctype html><title>404 Not Found</title>"),
        || text(200, "<html>Please log in</html>"),
    ];
    for answer in answers {
        registry.hook(move |_, _| Some(answer()));
        let error = running
            .handle
            .is_registered(&"iris".into())
            .await
            .unwrap_err();
        assert!(
            error.to_string().contains("check the registry URL"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn an_answer_without_end_is_given_up() {
    let registry = FakeRegistry::start().await;
    let running = Running::start(registry.config(), models(&[]), None);
    running.until(|_| true).await;
    registry.hook(|_, _| {
        let chunk = Bytes::from(vec![b' '; 1024 * 1024]);
        let endless = stream::repeat(chunk).map(Ok::<_, std::io::Error>);
        Some(Body::from_stream(endless).into_response())
    });
    let error = running
        .handle
        .is_registered(&"iris".into())
        .await
        .unwrap_err();
    assert!(matches!(error, RegistryError::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_told_by_its_address() {
    let address = FakeRegistry::start().await.address();
    let url = format!("http://{address}").parse().unwrap();
    let (_interest, seen) = watch::channel(Interest::All);
    let (_sync, handle) = RegistrySync::new(RegistryConfig::new(url), seen, None).unwrap();
    let error = handle.is_registered(&"iris".into()).await.unwrap_err();
    assert!(matches!(error, RegistryError::Unreachable { .. }));
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}
