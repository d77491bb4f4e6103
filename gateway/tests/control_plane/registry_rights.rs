//! Rights that come from the registry: what is asked of it, who hears of it when it does not answer, and what is not given here.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use auth::{Account, Caller as Asked, Overview, Right, RightsSource, SourceError};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gateway::data_plane::VersionStack;
use serde_json::{Value, json};
use serving_core::testing::HandMadeReplicas;
use serving_core::{Phase, ServableId, Settings, Version};

use super::harness::{Answer, Caller, Plane};

/// A registry in which `ada` is the admin, and `rea` may read what starts with `open`.
#[derive(Default)]
pub(crate) struct ScriptedUsers {
    asked: Mutex<Vec<&'static str>>,
    trouble: Mutex<Option<SourceError>>,
    removed: Mutex<Vec<String>>,
}

impl ScriptedUsers {
    fn answer(&self, question: &'static str) -> Result<(), SourceError> {
        self.asked.lock().unwrap().push(question);
        self.trouble.lock().unwrap().clone().map_or(Ok(()), Err)
    }

    /// There is no such user any more.
    pub(crate) fn remove(&self, name: &str) {
        self.removed.lock().unwrap().push(name.to_owned());
    }

    /// What was asked since the last call.
    fn asked(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

#[async_trait]
impl RightsSource for ScriptedUsers {
    async fn account(&self, caller: &Asked) -> Result<Option<Account>, SourceError> {
        self.answer("account")?;
        let is_wrong =
            matches!(caller, Asked::SignedIn(login) if login.password().expose() != "hunter2");
        let is_removed = self
            .removed
            .lock()
            .unwrap()
            .iter()
            .any(|name| name == caller.name());
        let is_known = ["ada", "rea"].contains(&caller.name()) && !is_wrong && !is_removed;
        Ok(is_known.then(|| Account {
            admin: caller.name() == "ada",
            ..Account::new(caller.name())
        }))
    }

    async fn right(&self, _: &Asked, model: &str) -> Result<Option<Right>, SourceError> {
        self.answer("right")?;
        Ok(model.starts_with("open").then_some(Right::Read))
    }

    async fn overview(&self, _: &Asked) -> Result<Overview, SourceError> {
        self.answer("overview")?;
        let names = (0..300).map(|number| format!("open-{number:03}").into());
        let rights = (0..300).zip(names).map(|(number, name)| {
            let right = if number < 2 {
                Right::Manage
            } else {
                Right::Read
            };
            (name, right)
        });
        Ok(Overview::Readable(rights.collect()))
    }

    async fn check_service(&self) -> Result<(), SourceError> {
        self.answer("service")
    }
}

async fn plane() -> (Plane, Arc<ScriptedUsers>) {
    let users = Arc::new(ScriptedUsers::default());
    let plane = Plane::inheriting(Arc::clone(&users) as _).await;
    (plane, users)
}

async fn with_password(plane: &Plane, user: &str, path: &str) -> Answer {
    let login = STANDARD.encode(format!("{user}:hunter2"));
    let request = plane
        .request(Caller::Anonymous, "GET", path)
        .header("authorization", format!("Basic {login}"))
        .body(axum::body::Body::empty());
    plane.send(request.unwrap()).await
}

fn names(page: &Value) -> Vec<&str> {
    let models = page["models"].as_array().unwrap().iter();
    models
        .map(|model| model["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_page_of_models_is_one_question() {
    let (plane, users) = plane().await;
    let registered: Vec<_> = (0..600)
        .map(|number| format!("{}-{:03}", ["open", "shut"][number % 2], number / 2))
        .collect();
    plane.register(&registered.iter().map(String::as_str).collect::<Vec<_>>());
    let mut path = "/api/v1/models?max_results=100".to_owned();
    let (mut shown, mut managed) = (Vec::new(), Vec::<String>::new());
    loop {
        let page = with_password(&plane, "rea", &path).await.json();
        shown.extend(names(&page).iter().map(|name| (*name).to_owned()));
        let models = page["models"].as_array().unwrap().iter();
        let manageable = models.filter(|model| model["permission"] == "MANAGE");
        managed.extend(manageable.map(|model| model["name"].as_str().unwrap().to_owned()));
        let Some(token) = page["next_page_token"].as_str() else {
            break;
        };
        path = format!("/api/v1/models?max_results=100&page_token={token}");
    }
    let open: Vec<_> = registered
        .iter()
        .filter(|name| name.starts_with("open"))
        .collect();
    assert_eq!(shown.iter().collect::<Vec<_>>(), open);
    assert_eq!(managed, ["open-000", "open-001"]);
    assert_eq!(users.asked(), ["account", "overview"]);
}

#[tokio::test]
async fn the_figures_of_all_models_are_one_question() {
    let (plane, users) = plane().await;
    let stacks: Vec<_> = (0..600)
        .map(|number| {
            let name = format!("{}-{:03}", ["open", "shut"][number % 2], number / 2);
            let id = ServableId::new(name, Version(1));
            let (replicas, seed) = HandMadeReplicas::new(id, Settings::default());
            (VersionStack::new(seed, &plane.scoring), replicas)
        })
        .collect();
    plane.sampler.sample(Duration::from_secs(10));
    let figures = with_password(&plane, "rea", "/api/v1/figures").await.json();
    let shown = figures["models"].as_object().unwrap();
    assert_eq!(shown.len(), stacks.len() / 2);
    assert!(shown.keys().all(|name| name.starts_with("open")));
    assert_eq!(users.asked(), ["account", "overview"]);
}

#[tokio::test]
async fn the_legacy_list_is_one_question() {
    let (plane, users) = plane().await;
    for name in ["open-001", "open-002", "shut-001"] {
        plane.serve(name, &[(1, Phase::Ready)], &[]);
        let path = format!("/api/v1/models/{name}/serving");
        let enabled = plane.call(Caller::Admin, "PUT", &path, "").await;
        assert_eq!(enabled.status, 200);
    }
    users.asked();
    let list = with_password(&plane, "rea", "/api/2.0/mlflow/endpoints/list").await;
    let listed = list.json();
    let listed = listed["endpoints"].as_array().unwrap();
    assert_eq!(listed.len(), 2, "{listed:?}");
    assert_eq!(users.asked(), ["account", "overview"]);
}

#[tokio::test]
async fn who_cannot_be_judged_may_come_again_and_hears_no_reason() {
    let reason = || "http://mlflow:5000 refused gatekeeper".to_owned();
    for (trouble, status, code) in [
        (
            SourceError::Unavailable(reason()),
            503,
            "TEMPORARILY_UNAVAILABLE",
        ),
        (SourceError::Misconfigured(reason()), 500, "INTERNAL_ERROR"),
    ] {
        let (plane, users) = plane().await;
        *users.trouble.lock().unwrap() = Some(trouble);
        let answer = plane.get(Caller::Reader, "/api/v1/models/open-001").await;
        assert_eq!(answer.refusal(), (status, code.to_owned()));
        assert_eq!(answer.headers.contains_key("retry-after"), status == 503);
        assert!(!answer.text().contains("gatekeeper"), "{}", answer.text());

        // Nobody knows whether a password is right: that is no 401.
        let answer = with_password(&plane, "rea", "/api/v1/models").await;
        assert_eq!(
            answer.refusal(),
            (503, "TEMPORARILY_UNAVAILABLE".to_owned())
        );
        assert_eq!(answer.headers["retry-after"], "5");
        assert!(!answer.text().contains("gatekeeper"), "{}", answer.text());
        let status = plane.get(Caller::Reader, "/api/v1/status").await.json();
        assert_eq!(status["rights"], json!({ "answered": false }));
    }
}

#[tokio::test]
async fn a_wrong_password_is_401_with_the_challenge() {
    let (plane, _) = plane().await;
    let answer = with_password(&plane, "eve", "/api/v1/models").await;
    assert_eq!(answer.refusal(), (401, "UNAUTHENTICATED".to_owned()));
    assert!(answer.headers.contains_key("www-authenticate"));
}

#[tokio::test]
async fn rights_are_neither_given_nor_told_nor_taken_here() {
    let (plane, _) = plane().await;
    let taken = "/api/v1/grants?principal=mel&right=MANAGE&model=iris";
    for (method, path, body) in [
        (
            "POST",
            "/api/v1/tokens",
            r#"{"principal": "eve", "admin": true}"#,
        ),
        (
            "POST",
            "/api/v1/tokens",
            r#"{"principal": "eve", "read": ["*"]}"#,
        ),
        (
            "POST",
            "/api/v1/tokens",
            r#"{"principal": "eve", "manage": ["*"]}"#,
        ),
        ("GET", "/api/v1/grants", ""),
        ("DELETE", taken, ""),
    ] {
        let answer = plane.call(Caller::Admin, method, path, body).await;
        assert_eq!(
            answer.refusal(),
            (400, "INVALID_PARAMETER_VALUE".to_owned()),
            "{method} {path}"
        );
        let message = answer.json()["message"].to_string();
        assert!(message.contains("http://mlflow:5000"), "{message}");
    }
    // Nothing of it was done, and nobody was made somebody by it.
    let page = plane.get(Caller::Admin, "/api/v1/tokens").await.json();
    let tokens = page["tokens"].as_array().unwrap();
    let of = |name: &str| tokens.iter().find(|token| token["principal"] == name);
    assert!(of("eve").is_none());
    assert_eq!(of("ada").unwrap()["admin"], true);
    assert_eq!(of("mel").unwrap()["admin"], false);
}

#[tokio::test]
async fn grants_of_before_count_for_nothing() {
    let (plane, _) = plane().await;
    // The store has `rea` read `iris` and `mel` manage it; the registry knows nothing of that.
    for caller in [Caller::Reader, Caller::Manager] {
        let answer = plane.get(caller, "/api/v1/models/iris").await;
        assert_eq!(answer.status, 404, "{caller:?}");
    }
}

#[tokio::test]
async fn what_only_an_admin_may_is_no_403_while_nobody_can_tell_who_is_one() {
    let (plane, users) = plane().await;
    *users.trouble.lock().unwrap() = Some(SourceError::Unavailable("silent".to_owned()));
    for path in ["/api/v1/tokens", "/api/v1/environments"] {
        let answer = plane.get(Caller::Admin, path).await;
        assert_eq!(answer.status, 503, "{path}");
    }
}
