//! Webhooks of the registry: deliveries, and their management.

use std::sync::atomic::Ordering;

use auth::Secret;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway::ports::{Delivered, KnownWebhook, WebhooksError};
use hmac::{Hmac, Mac};
use serde_json::json;
use sha2::Sha256;

use super::harness::{Answer, Caller, Plane};

const DELIVERIES: &str = "/api/v1/webhooks/mlflow";
/// The only time there is in these tests, in seconds.
const NOW: i64 = 1_767_225_600;
const MAX_AGE: i64 = 300;

/// What a registry sends.
#[derive(Clone)]
struct Delivery {
    id: String,
    timestamp: String,
    body: String,
    signature: String,
}

impl Delivery {
    fn of(secret: &Secret, id: &str, at: i64, body: &str) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).unwrap();
        mac.update(format!("{id}.{at}.{body}").as_bytes());
        Self {
            id: id.to_owned(),
            timestamp: at.to_string(),
            body: body.to_owned(),
            signature: format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())),
        }
    }

    async fn send(&self, plane: &Plane) -> Answer {
        let request = plane
            .request(Caller::Anonymous, "POST", DELIVERIES)
            .header("content-type", "application/json")
            .header("x-mlflow-delivery-id", &self.id)
            .header("x-mlflow-timestamp", &self.timestamp)
            .header("x-mlflow-signature", &self.signature)
            .body(Body::from(self.body.clone()));
        plane.send(request.unwrap()).await
    }

    /// The outcome of a delivery that is taken.
    async fn outcome(&self, plane: &Plane) -> String {
        let answer = self.send(plane).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["outcome"].as_str().unwrap().to_owned()
    }
}

fn alias_moved(model: &str) -> String {
    format!(
        r#"{{"entity": "model_version_alias", "action": "created", "timestamp": "2026-01-01T00:00:00+00:00", "data": {{"name": "{model}", "alias": "champion", "version": "2"}}}}"#
    )
}

/// A plane that follows `iris`, with an installed webhook, and its secret.
async fn installed() -> (Plane, Secret) {
    let plane = Plane::new().await;
    let followed = &plane.webhooks.followed;
    followed.lock().unwrap().insert("iris".into());
    install(&plane, json!({ "url": "https://gate.example" })).await;
    let secret = plane.webhooks.secret.lock().unwrap().clone().unwrap();
    (plane, secret)
}

async fn install(plane: &Plane, body: serde_json::Value) -> serde_json::Value {
    let path = "/api/v1/webhooks/install";
    let answer = plane
        .call(Caller::Admin, "POST", path, &body.to_string())
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

async fn state(plane: &Plane) -> serde_json::Value {
    plane.get(Caller::Reader, "/api/v1/status").await.json()["webhooks"].clone()
}

#[tokio::test]
async fn a_signed_delivery_is_a_hint_and_the_same_one_again_is_none() {
    let (plane, secret) = installed().await;
    let delivery = Delivery::of(&secret, "one", NOW, &alias_moved("iris"));
    assert_eq!(delivery.outcome(&plane).await, "accepted");
    assert_eq!(delivery.outcome(&plane).await, "repeated");
    assert_eq!(plane.webhooks.hinted(), ["iris"]);
    let another = Delivery::of(&secret, "two", NOW, &alias_moved("iris"));
    assert_eq!(another.outcome(&plane).await, "accepted");
    assert_eq!(plane.webhooks.hinted(), ["iris", "iris"]);
    let state = state(&plane).await;
    assert_eq!(state["last_delivery"], "2026-01-01T00:00:00.000Z");
    assert_eq!(
        (&state["accepted"], &state["repeated"]),
        (&json!(2), &json!(1))
    );
}

#[tokio::test]
async fn a_forged_delivery_does_nothing() {
    let (plane, secret) = installed().await;
    let right = Delivery::of(&secret, "one", NOW, &alias_moved("iris"));
    let forged = [
        Delivery {
            body: alias_moved("wine"),
            ..right.clone()
        },
        Delivery {
            id: "two".into(),
            ..right.clone()
        },
        Delivery {
            timestamp: (NOW + 1).to_string(),
            ..right.clone()
        },
        Delivery {
            signature: "v1,".into(),
            ..right.clone()
        },
        Delivery::of(&Secret::from("a guess"), "one", NOW, &alias_moved("iris")),
    ];
    for delivery in &forged {
        let answer = delivery.send(&plane).await;
        assert_eq!(answer.refusal(), (401, "UNAUTHENTICATED".to_owned()));
    }
    assert!(plane.webhooks.hinted().is_empty());
    assert_eq!(state(&plane).await["refused"], forged.len());
    // A forged delivery takes no id away from the right one.
    assert_eq!(right.outcome(&plane).await, "accepted");
}

#[tokio::test]
async fn a_delivery_is_good_for_the_configured_age_in_both_directions() {
    let (plane, secret) = installed().await;
    for (id, at, taken) in [
        ("a", NOW - MAX_AGE, true),
        ("b", NOW - MAX_AGE - 1, false),
        ("c", NOW + MAX_AGE, true),
        ("d", NOW + MAX_AGE + 1, false),
        ("e", i64::MAX, false),
        ("f", i64::MIN, false),
    ] {
        let answer = Delivery::of(&secret, id, at, &alias_moved("iris"))
            .send(&plane)
            .await;
        if taken {
            assert_eq!(answer.status, 200, "{at}");
        } else {
            let refusal = (400, "INVALID_PARAMETER_VALUE".to_owned());
            assert_eq!(answer.refusal(), refusal, "{at}");
        }
    }
    assert_eq!(plane.webhooks.hinted().len(), 2);
}

#[tokio::test]
async fn what_is_no_delivery_is_refused_in_the_apis_own_words() {
    let (plane, secret) = installed().await;
    let answer = plane
        .call(Caller::Admin, "POST", DELIVERIES, &alias_moved("iris"))
        .await;
    assert_eq!(
        answer.refusal(),
        (400, "INVALID_PARAMETER_VALUE".to_owned())
    );
    for body in ["", "not json", "[]"] {
        let answer = Delivery::of(&secret, "one", NOW, body).send(&plane).await;
        assert_eq!(answer.refusal(), (400, "BAD_REQUEST".to_owned()), "{body}");
    }
    let large = format!(r#"{{"entity": "{}"}}"#, "x".repeat(64 << 10));
    let answer = Delivery::of(&secret, "one", NOW, &large).send(&plane).await;
    assert_eq!(answer.refusal(), (413, "REQUEST_TOO_LARGE".to_owned()));
    let long_id = Delivery::of(&secret, &"i".repeat(200), NOW, &alias_moved("iris"));
    assert_eq!(long_id.send(&plane).await.refusal().0, 400);
    assert_eq!(plane.get(Caller::Admin, DELIVERIES).await.refusal().0, 405);
    assert!(plane.webhooks.hinted().is_empty());
}

#[tokio::test]
async fn models_that_are_not_followed_and_unknown_events_are_taken_and_ignored() {
    let (plane, secret) = installed().await;
    let prompt = r#"{"entity": "prompt", "action": "created", "data": {"name": "iris"}}"#;
    for (id, body) in [("a", alias_moved("wine")), ("b", prompt.to_owned())] {
        let delivery = Delivery::of(&secret, id, NOW, &body);
        assert_eq!(delivery.outcome(&plane).await, "ignored", "{body}");
    }
    let catalogs = &plane.webhooks.catalogs;
    assert_eq!(catalogs.load(Ordering::Relaxed), 0);
    let new = r#"{"entity": "registered_model", "action": "created", "data": {"name": "new"}}"#;
    let delivery = Delivery::of(&secret, "c", NOW, new);
    assert_eq!(delivery.outcome(&plane).await, "accepted");
    assert_eq!(catalogs.load(Ordering::Relaxed), 1);
    assert!(plane.webhooks.hinted().is_empty());
}

#[tokio::test]
async fn without_a_secret_nothing_is_taken() {
    let plane = Plane::new().await;
    let followed = &plane.webhooks.followed;
    followed.lock().unwrap().insert("iris".into());
    let delivery = Delivery::of(&Secret::from(""), "one", NOW, &alias_moved("iris"));
    let refusal = (404, "RESOURCE_DOES_NOT_EXIST".to_owned());
    assert_eq!(delivery.send(&plane).await.refusal(), refusal);
    assert!(plane.webhooks.hinted().is_empty());
    assert_eq!(state(&plane).await["has_secret"], false);
}

#[tokio::test]
async fn installing_again_updates_and_leaves_others_alone() {
    let (plane, secret) = installed().await;
    let others = KnownWebhook {
        id: "other".into(),
        name: "sluicegate".into(),
        url: "https://elsewhere.example/hook".into(),
        events: Vec::new(),
        active: true,
    };
    plane.webhooks.known.lock().unwrap().push(others.clone());
    let again = install(&plane, json!({ "url": "https://gate.example" })).await;
    assert_eq!(
        (&again["created"], &again["before"]),
        (&json!(false), &json!(null))
    );
    let moved = install(&plane, json!({ "url": "https://new.example/" })).await;
    assert_eq!(
        moved["before"],
        "https://gate.example/api/v1/webhooks/mlflow"
    );
    assert_eq!(
        moved["webhook"]["url"],
        "https://new.example/api/v1/webhooks/mlflow"
    );
    assert_eq!(
        plane.webhooks.secret.lock().unwrap().as_ref(),
        Some(&secret)
    );
    install(
        &plane,
        json!({ "url": "https://second.example", "name": "second" }),
    )
    .await;

    let page = plane.get(Caller::Admin, "/api/v1/webhooks").await.json();
    let known = page["webhooks"].as_array().unwrap().iter();
    let names: Vec<_> = known
        .map(|webhook| webhook["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["sluicegate", "second"]);
    assert_eq!(page["deliveries"]["installed"], true);
    assert!(!page.to_string().contains(secret.expose()));

    let removed = plane
        .call(Caller::Admin, "DELETE", "/api/v1/webhooks", "")
        .await;
    assert_eq!(removed.json(), json!({ "removed": 1 }));
    let again = plane
        .call(Caller::Admin, "DELETE", "/api/v1/webhooks", "")
        .await;
    assert_eq!(again.refusal(), (404, "RESOURCE_DOES_NOT_EXIST".to_owned()));
    let left: Vec<_> = plane
        .webhooks
        .known
        .lock()
        .unwrap()
        .iter()
        .map(|known| known.id.clone())
        .collect();
    assert_eq!(left, ["other", "w2"]);
}

#[tokio::test]
async fn a_webhook_of_another_gateway_is_moved_or_removed_only_by_its_name() {
    let plane = Plane::new().await;
    let others = "https://first.example/api/v1/webhooks/mlflow";
    plane.webhooks.known.lock().unwrap().push(KnownWebhook {
        id: "first".into(),
        name: "sluicegate".into(),
        url: others.into(),
        events: Vec::new(),
        active: true,
    });
    let ours = r#"{"url": "https://second.example"}"#;
    for (method, path, body) in [
        ("POST", "/api/v1/webhooks/install", ours),
        ("DELETE", "/api/v1/webhooks", ""),
    ] {
        let answer = plane.call(Caller::Admin, method, path, body).await;
        let refusal = (400, "INVALID_PARAMETER_VALUE".to_owned());
        assert_eq!(answer.refusal(), refusal, "{path}");
        assert!(answer.text().contains(others), "{}", answer.text());
        assert_eq!(plane.webhooks.known.lock().unwrap()[0].url, others);
    }
    assert_eq!(state(&plane).await["has_secret"], false);
    let named = json!({ "url": "https://second.example", "name": "sluicegate" });
    assert_eq!(install(&plane, named).await["before"], others);
    // It is ours now: we have moved it ourselves.
    let removed = plane
        .call(Caller::Admin, "DELETE", "/api/v1/webhooks", "")
        .await;
    assert_eq!(removed.json(), json!({ "removed": 1 }));
}

#[tokio::test]
async fn two_who_install_at_once_make_one_webhook() {
    let plane = Plane::new().await;
    let wish = || json!({ "url": "https://gate.example" });
    let (one, two) = tokio::join!(install(&plane, wish()), install(&plane, wish()));
    assert_ne!(one["created"], two["created"]);
    assert_eq!(plane.webhooks.known.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn only_admins_manage_webhooks() {
    let plane = Plane::new().await;
    for (method, path) in [
        ("GET", "/api/v1/webhooks"),
        ("POST", "/api/v1/webhooks/install"),
        ("POST", "/api/v1/webhooks/test"),
        ("DELETE", "/api/v1/webhooks"),
    ] {
        for (caller, refusal) in [
            (Caller::Manager, (403, "PERMISSION_DENIED")),
            (Caller::Anonymous, (401, "UNAUTHENTICATED")),
        ] {
            let answer = plane.call(caller, method, path, "").await;
            assert_eq!(
                answer.refusal(),
                (refusal.0, refusal.1.to_owned()),
                "{path}"
            );
        }
    }
    assert_eq!(*plane.webhooks.secret.lock().unwrap(), None);
}

#[tokio::test]
async fn what_the_registry_refuses_is_told_and_leaves_no_secret() {
    let plane = Plane::new().await;
    let path = "/api/v1/webhooks/install";
    let body = r#"{"url": "https://gate.example"}"#;
    for (wrong, refusal) in [
        (
            WebhooksError::Unsupported("none".into()),
            (404, "RESOURCE_DOES_NOT_EXIST"),
        ),
        (
            WebhooksError::Denied("no".into()),
            (403, "PERMISSION_DENIED"),
        ),
        (
            WebhooksError::Refused("bad".into()),
            (400, "INVALID_PARAMETER_VALUE"),
        ),
        (
            WebhooksError::Failed("down".into()),
            (503, "TEMPORARILY_UNAVAILABLE"),
        ),
    ] {
        *plane.webhooks.wrong.lock().unwrap() = Some(wrong);
        let answer = plane.call(Caller::Admin, "POST", path, body).await;
        assert_eq!(answer.refusal(), (refusal.0, refusal.1.to_owned()));
    }
    assert_eq!(state(&plane).await["has_secret"], false);
    let answer = plane.call(Caller::Admin, "POST", path, "{}").await;
    assert_eq!(answer.refusal().0, 400);
    assert!(answer.text().contains("public_url"));
}

#[tokio::test]
async fn a_trial_says_what_went_wrong() {
    let (plane, _) = installed().await;
    for (success, status, word) in [
        (true, Some(200), ""),
        (false, Some(401), "Install again"),
        (false, Some(404), "--url"),
        (false, None, "could not reach"),
    ] {
        let error = String::new();
        *plane.webhooks.trial.lock().unwrap() = Some(Delivered {
            success,
            status,
            error,
        });
        let answer = plane
            .call(Caller::Admin, "POST", "/api/v1/webhooks/test", "")
            .await
            .json();
        assert_eq!(answer["success"], success);
        let problem = answer["problem"].as_str().unwrap_or_default();
        assert_eq!(problem.is_empty(), success);
        assert!(problem.contains(word), "{problem}");
    }
    let none = plane
        .call(
            Caller::Admin,
            "POST",
            "/api/v1/webhooks/test",
            r#"{"name": "nobody"}"#,
        )
        .await;
    assert_eq!(none.refusal().0, 404);
}
