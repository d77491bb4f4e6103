//! Fetching: whole or not at all, from where it may come only, and with whom the credentials stay.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use crate::registry::{FakeRegistry, refusal, text};
use axum::body::{Body, Bytes};
use axum::response::IntoResponse;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use registry_sync::{
    FetchError, Fetched, Interest, RegistryConfig, RegistryCredentials, RegistryHandle,
    RegistrySync,
};
use serde_json::json;
use serving_core::{Source, Version};
use tempfile::TempDir;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A registry with one model version whose files are behind its proxy, and the folder to fetch it into.
struct Fixture {
    registry: FakeRegistry,
    handle: RegistryHandle,
    source: Arc<str>,
    folder: TempDir,
}

impl Fixture {
    async fn new() -> Self {
        Self::with(FakeRegistry::start().await, FakeRegistry::config).await
    }

    async fn with(registry: FakeRegistry, config: fn(&FakeRegistry) -> RegistryConfig) -> Self {
        {
            let mut inner = registry.lock();
            inner.register("iris", 1, &[]);
            inner.artifact_uri = "mlflow-artifacts:/1/models/m-1/artifacts".into();
            let files = [
                ("MLmodel", "flavors: {}"),
                ("model.pkl", "pickle"),
                ("code/pack age/a#1%.py", "print()"),
                ("empty", ""),
            ];
            for (path, text) in files {
                inner
                    .files
                    .insert(format!("1/models/m-1/artifacts/{path}"), text.into());
            }
        }
        let (_interest, seen) = watch::channel(Interest::All);
        let (sync, handle) = RegistrySync::new(config(&registry), seen, None).unwrap();
        let mut task = JoinSet::new();
        task.spawn(sync.run(CancellationToken::new()));
        let mut aspired = handle.aspired();
        let value = aspired
            .wait_for(Option::is_some)
            .await
            .unwrap()
            .clone()
            .unwrap();
        let Source::Readable(source) = &value.models["iris"].versions[&Version(1)].source else {
            panic!("the version is not readable");
        };
        registry.lock().asked.clear();
        Self {
            registry,
            handle,
            source: source.clone(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn target(&self) -> PathBuf {
        self.folder.path().join("models/iris-1")
    }

    async fn fetch(&self) -> Result<Fetched, FetchError> {
        let artifacts = self.handle.artifacts();
        artifacts.fetch(&self.source, &self.target(), &|_| {}).await
    }

    /// What fetching left in the folder of the target.
    fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path().join("models"));
        let entries = entries.into_iter().flatten();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.target().join(path)).unwrap()
    }
}

#[tokio::test]
async fn a_model_behind_the_proxy_is_fetched_whole() {
    let fixture = Fixture::new().await;
    let said = Mutex::new(Vec::new());
    let progress = |step: String| said.lock().unwrap().push(step);
    let artifacts = fixture.handle.artifacts();
    let fetched = artifacts
        .fetch(&fixture.source, &fixture.target(), &progress)
        .await;
    assert_eq!(fetched, Ok(Fetched::Complete));
    assert_eq!(fixture.left(), ["iris-1"]);
    assert_eq!(fixture.read("MLmodel"), "flavors: {}");
    assert_eq!(fixture.read("code/pack age/a#1%.py"), "print()");
    assert_eq!(fixture.read("empty"), "");
    let said = said.into_inner().unwrap();
    assert!(said.last().unwrap().contains("4 of 4"), "{said:?}");
}

#[tokio::test]
async fn a_file_that_comes_short_leaves_nothing() {
    let fixture = Fixture::new().await;
    fixture.registry.hook(|asked, _| {
        asked
            .path
            .ends_with("/model.pkl")
            .then(|| Body::from("pick").into_response())
    });
    let error = fixture.fetch().await.unwrap_err();
    assert!(
        error.retry && error.message.contains("4 instead of 6 bytes"),
        "{error}"
    );
    assert!(fixture.left().is_empty());
}

#[tokio::test]
async fn a_connection_that_breaks_leaves_nothing() {
    let fixture = Fixture::new().await;
    fixture.registry.hook(|asked, _| {
        asked.path.ends_with("/model.pkl").then(|| {
            let broken = stream::iter([
                Ok(Bytes::from("pick")),
                Err(std::io::Error::other("broken")),
            ]);
            Body::from_stream(broken).into_response()
        })
    });
    assert!(fixture.fetch().await.unwrap_err().retry);
    assert!(fixture.left().is_empty());
}

#[tokio::test]
async fn a_fetch_that_is_dropped_leaves_nothing() {
    let fixture = Fixture::new().await;
    let reached = Arc::new(Notify::new());
    let notify = reached.clone();
    fixture.registry.hook(move |asked, _| {
        asked.path.ends_with("/model.pkl").then(|| {
            notify.notify_one();
            let stalled = stream::iter([Ok::<_, std::io::Error>(Bytes::from("pick"))]);
            Body::from_stream(stalled.chain(stream::pending())).into_response()
        })
    });
    tokio::select! {
        fetched = fixture.fetch() => panic!("finished: {fetched:?}"),
        () = reached.notified() => {}
    }
    assert!(fixture.left().is_empty(), "{:?}", fixture.left());
}

#[tokio::test]
async fn fetches_together_leave_a_worker_of_the_server_to_others() {
    let fixture = Fixture::new().await;
    let reached = Arc::new(Semaphore::new(0));
    let waiting = reached.clone();
    fixture.registry.hook(move |asked, _| {
        asked.path.contains("/artifacts/1/").then(|| {
            waiting.add_permits(1);
            let stalled = stream::pending::<Result<Bytes, std::io::Error>>();
            Body::from_stream(stalled).into_response()
        })
    });
    let artifacts = fixture.handle.artifacts();
    let folders = ["a", "b"].map(|name| fixture.folder.path().join(name));
    let fetches = folders
        .each_ref()
        .map(|into| artifacts.fetch(&fixture.source, into, &|_| {}));
    tokio::select! {
        _ = join_all(fetches) => panic!("finished"),
        () = async {
            let _three = reached.acquire_many(3).await.unwrap();
            // Whatever else was to be sent has had a round trip's time.
            fixture.handle.is_registered(&"iris".into()).await.unwrap();
            assert_eq!(reached.available_permits(), 0);
        } => {}
    }
}

#[tokio::test]
async fn names_that_lead_out_of_the_folder_are_refused() {
    for name in [
        "../evil",
        "..",
        "/etc/evil",
        "a/../../evil",
        "a\\..\\evil",
        "evil\0",
    ] {
        let fixture = Fixture::new().await;
        fixture.registry.hook(move |asked, _| {
            asked.path.ends_with("/artifacts").then(|| {
                let files = json!([{ "path": "MLmodel", "is_dir": false, "file_size": 11 },
                    { "path": name, "is_dir": false, "file_size": 4 }]);
                axum::Json(json!({ "files": files })).into_response()
            })
        });
        let error = fixture.fetch().await.unwrap_err();
        assert!(
            !error.retry && error.message.contains("leads out"),
            "{error}"
        );
        assert!(fixture.left().is_empty());
        assert!(!fixture.folder.path().join("evil").exists());
    }
}

#[tokio::test]
async fn folders_without_end_are_refused() {
    let fixture = Fixture::new().await;
    fixture.registry.hook(|asked, _| {
        asked.path.ends_with("/artifacts").then(|| {
            let files = json!([{ "path": "again", "is_dir": true }]);
            axum::Json(json!({ "files": files })).into_response()
        })
    });
    assert!(!fixture.fetch().await.unwrap_err().retry);
    assert!(fixture.left().is_empty());
}

#[tokio::test]
async fn each_failure_says_whether_another_try_could_help() {
    type Answer = fn() -> axum::response::Response;
    let cases: [(&str, Answer, bool, &str); 6] = [
        (
            "/MLmodel",
            || refusal(404, "RESOURCE_DOES_NOT_EXIST", "No such artifact"),
            false,
            "gone",
        ),
        (
            "/MLmodel",
            || text(403, "Permission denied"),
            false,
            "experiment",
        ),
        (
            "/MLmodel",
            || text(500, "<title>Internal Server Error</title>"),
            true,
            "500",
        ),
        (
            "/artifacts",
            || axum::Json(json!({})).into_response(),
            false,
            "gone",
        ),
        (
            "/get-download-uri",
            || refusal(404, "RESOURCE_DOES_NOT_EXIST", "not found"),
            false,
            "gone",
        ),
        (
            "/get-download-uri",
            || text(401, "You are not authenticated."),
            true,
            "MLFLOW_TRACKING_TOKEN",
        ),
    ];
    for (path, answer, retry, says) in cases {
        let fixture = Fixture::new().await;
        fixture
            .registry
            .hook(move |asked, _| asked.path.ends_with(path).then(answer));
        let error = fixture.fetch().await.unwrap_err();
        assert_eq!(error.retry, retry, "{error}");
        assert!(
            error.message.contains("iris@1") && error.message.contains(says),
            "{error}"
        );
        assert!(fixture.left().is_empty());
    }
}

#[tokio::test]
async fn a_version_that_was_registered_again_is_not_taken_for_the_old_one() {
    let fixture = Fixture::new().await;
    fixture.registry.lock().versions[0]["creation_timestamp"] = json!(1_795_400_000_001_u64);
    let error = fixture.fetch().await.unwrap_err();
    assert!(!error.retry && error.message.contains("gone"), "{error}");
}

#[tokio::test]
async fn what_holds_no_mlmodel_is_no_model() {
    let fixture = Fixture::new().await;
    fixture
        .registry
        .lock()
        .files
        .remove("1/models/m-1/artifacts/MLmodel");
    let error = fixture.fetch().await.unwrap_err();
    assert!(!error.retry && error.message.contains("MLmodel"), "{error}");
    assert!(fixture.left().is_empty());
}

#[tokio::test]
async fn a_model_in_a_local_folder_is_copied() {
    let fixture = Fixture::new().await;
    let model = fixture.folder.path().join("served model");
    fs::create_dir_all(model.join("data")).unwrap();
    fs::write(model.join("MLmodel"), "flavors: {}").unwrap();
    fs::write(model.join("data/model.pkl"), "pickle").unwrap();
    let uri = url::Url::from_file_path(&model).unwrap().to_string();
    fixture.registry.lock().artifact_uri = uri;
    assert_eq!(fixture.fetch().await, Ok(Fetched::Complete));
    assert_eq!(fixture.read("data/model.pkl"), "pickle");
}

fn bearer(registry: &FakeRegistry) -> RegistryConfig {
    registry.config_as(RegistryCredentials::Bearer("t0ken".into()))
}

#[tokio::test]
async fn credentials_go_with_each_call_to_the_registry() {
    let fixture = Fixture::with(FakeRegistry::start().await, bearer).await;
    fixture.fetch().await.unwrap();
    let inner = fixture.registry.lock();
    assert!(inner.asked.len() > 6);
    for asked in &inner.asked {
        assert_eq!(
            asked.header("authorization"),
            Some("Bearer t0ken"),
            "{asked:?}"
        );
    }
}

#[tokio::test]
async fn credentials_do_not_go_to_another_servers_proxy() {
    let fixture = Fixture::with(FakeRegistry::start().await, bearer).await;
    let other = FakeRegistry::start().await;
    other.lock().files = fixture.registry.lock().files.clone();
    let path = "1/models/m-1/artifacts";
    fixture.registry.lock().artifact_uri = format!("mlflow-artifacts://{}/{path}", other.address());
    assert_eq!(fixture.fetch().await, Ok(Fetched::Complete));
    assert!(other.lock().asked.len() > 4);
    for asked in &other.lock().asked {
        assert_eq!(asked.header("authorization"), None, "{asked:?}");
    }
}

#[tokio::test]
async fn a_scheme_for_mlflows_client_brings_the_declaration_only() {
    let fixture = Fixture::with(FakeRegistry::start().await, bearer).await;
    {
        let mut inner = fixture.registry.lock();
        inner.artifact_uri = "s3://bucket/1/m-1".into();
        let files = [
            ("MLmodel", "env: {virtualenv: python_env.yaml}"),
            ("python_env.yaml", "dependencies: [-r requirements.txt]"),
            ("requirements.txt", "mlflow==3.17.2"),
        ];
        inner.declaration = files.map(|(name, text)| (name.into(), text.into())).into();
    }
    let Ok(Fetched::NeedsClient { uri, environment }) = fixture.fetch().await else {
        panic!("not for the client");
    };
    assert_eq!(uri, "s3://bucket/1/m-1");
    let tracking = format!("http://{}", fixture.registry.address());
    // A bucket needs no credentials of the registry.
    assert_eq!(environment, [("MLFLOW_TRACKING_URI".to_owned(), tracking)]);
    assert_eq!(fixture.read("requirements.txt"), "mlflow==3.17.2");
    assert!(!fixture.target().join("conda.yaml").exists());
}

#[tokio::test]
async fn a_scheme_that_goes_through_the_registry_gets_its_credentials_and_hides_them() {
    let fixture = Fixture::with(FakeRegistry::start().await, bearer).await;
    fixture.registry.lock().artifact_uri = "dbfs:/databricks/mlflow-registry/1".into();
    fixture.registry.lock().declaration = [("MLmodel".into(), "flavors: {}".into())].into();
    let fetched = fixture.fetch().await.unwrap();
    assert!(!format!("{fetched:?}").contains("t0ken"));
    let Fetched::NeedsClient { environment, .. } = fetched else {
        panic!("not for the client");
    };
    assert!(environment.contains(&("MLFLOW_TRACKING_TOKEN".into(), "t0ken".into())));
}

#[tokio::test]
async fn a_declared_file_that_cannot_be_read_is_an_error() {
    let fixture = Fixture::new().await;
    fixture.registry.lock().artifact_uri = "s3://bucket/1/m-1".into();
    let mlmodel = "env: {virtualenv: python_env.yaml}";
    fixture.registry.lock().declaration = [("MLmodel".into(), mlmodel.into())].into();
    let error = fixture.fetch().await.unwrap_err();
    assert!(
        error.retry && error.message.contains("python_env.yaml"),
        "{error}"
    );
    assert!(fixture.left().is_empty());
}

#[tokio::test]
async fn fetching_and_polling_can_move_between_threads() {
    fn is_send(_: &impl Send) {}
    let fixture = Fixture::new().await;
    let fetch = fixture.fetch();
    is_send(&fetch);
    fetch.await.unwrap();
}
