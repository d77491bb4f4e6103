//! Every verb of the gateway, tried by users with different permissions, with tokens and with passwords.

use std::sync::Arc;

use anyhow::{Context, Result};
use integration_tests::{Account, Answer, Client, Gateway, World, until};
use reqwest::Method;
use serde_json::{Value, json};

use super::{BOTH, By, ROW, caller, deploy, score};

/// A call, and the statuses that these get: the server's admin, MANAGE, EDIT, READ, nobody's.
type Verb = (&'static str, &'static str, Value, [u16; 5]);

/// Others may learn that a model exists, but not do that.
const TO_MANAGE: [u16; 5] = [200, 200, 403, 403, 404];
const TO_SEE: [u16; 5] = [200, 200, 200, 200, 404];
const TO_ALL: [u16; 5] = [200; 5];
const TO_ADMINS: [u16; 5] = [200, 403, 403, 403, 403];

/// `verbs` answers, `idle` has no version: enabling and disabling it costs no worker.
fn verbs() -> Vec<Verb> {
    let none = || Value::Null;
    let idle = || json!({ "registered_model_name": "idle" });
    let legacy = |call: &'static str| {
        let path = format!("/api/2.0/preview/mlflow/endpoints/{call}");
        &*Box::leak(path.into_boxed_str())
    };
    vec![
        ("POST", "/model/verbs/1/invocations", rows(), TO_SEE),
        ("GET", "/model/verbs/1", none(), TO_SEE),
        ("GET", "/model/verbs/1/ping", none(), TO_SEE),
        ("GET", "/api/v1/models/verbs", none(), TO_SEE),
        ("GET", "/api/v1/models/verbs/events", none(), TO_SEE),
        (
            "GET",
            "/api/v1/models/verbs/versions/1/events",
            none(),
            TO_SEE,
        ),
        (
            "GET",
            "/api/v1/models/verbs/versions/1/logs?kind=worker",
            none(),
            TO_SEE,
        ),
        (
            "GET",
            "/api/v1/models/verbs/versions/1/example",
            none(),
            TO_SEE,
        ),
        ("PUT", "/api/v1/models/idle/serving", json!({}), TO_MANAGE),
        (
            "PUT",
            "/api/v1/models/idle/serving",
            json!({ "max_queue": 7 }),
            TO_MANAGE,
        ),
        (
            "GET",
            legacy("get-status?registered_model_name=verbs"),
            none(),
            TO_SEE,
        ),
        (
            "DELETE",
            "/api/v1/models/idle/serving",
            none(),
            [204, 204, 403, 403, 404],
        ),
        ("POST", legacy("enable"), idle(), TO_MANAGE),
        (
            "GET",
            legacy("list-versions?registered_model_name=verbs"),
            none(),
            TO_SEE,
        ),
        ("POST", legacy("disable"), idle(), TO_MANAGE),
        ("GET", "/api/v1/models", none(), TO_ALL),
        ("GET", legacy("list"), none(), TO_ALL),
        ("GET", "/api/v1/status", none(), TO_ALL),
        (
            "POST",
            "/api/2.0/token/create",
            json!({ "comment": "mine" }),
            TO_ALL,
        ),
        ("GET", "/api/2.0/token/list", none(), TO_ALL),
        (
            "POST",
            "/api/v1/tokens",
            json!({ "principal": "eve" }),
            [201, 403, 403, 403, 403],
        ),
        ("GET", "/metrics", none(), TO_ADMINS),
        ("GET", "/api/v1/environments", none(), TO_ADMINS),
        // An unknown name is no other answer than a hidden one.
        ("GET", "/api/v1/models/nowhere", none(), [404; 5]),
    ]
}

fn rows() -> Value {
    let rows: Value = serde_json::from_str(ROW).unwrap_or_default();
    json!({ "dataframe_records": rows })
}

pub(super) async fn each_verb_of_each_user_is_judged_as_mlflow_judges_it(
    world: Arc<World>,
) -> Result<()> {
    let guarded = world.guarded().await?;
    let (users, url) = (guarded.users()?, guarded.server().url());
    let gateway = guarded
        .gateway(&world, world.environment().await?, &url)
        .await?
        .start()
        .await?;
    deploy(guarded, &gateway, "verbs").await?;
    guarded.registry().create_model("idle").await?;
    let mut accounts = Vec::new();
    for (name, permission) in [
        ("verbs-boss", None),
        ("verbs-manager", Some("MANAGE")),
        ("verbs-editor", Some("EDIT")),
        ("verbs-reader", Some("READ")),
        ("verbs-stranger", None),
    ] {
        accounts.push(users.add(name).await?);
        for model in ["verbs", "idle"] {
            if let Some(permission) = permission {
                users.give(name, model, permission).await?;
            }
        }
    }
    users.set_admin("verbs-boss", true).await?;
    // Says something, and then more against it.
    let denied = users.add("verbs-denied").await?;
    users.give("verbs-denied", "verbs", "READ").await?;
    users.deny_versions("verbs-denied").await?;

    for by in BOTH {
        for (place, account) in accounts.iter().enumerate() {
            let client = caller(&gateway, account, by).await?;
            let lets = users.may_read(account, "verbs", 1).await?;
            let scored = score(&client, "verbs").await?;
            assert_eq!(
                scored.status == 200,
                lets,
                "{by:?} {account:?} as MLflow: {lets}"
            );
            try_verbs(&client, place, by, account).await?;
            shows(&client, lets, by, account).await?;
        }
        let client = caller(&gateway, &denied, by).await?;
        assert!(!users.may_read(&denied, "verbs", 1).await?);
        assert_eq!(score(&client, "verbs").await?.status, 404, "{by:?}");
        shows(&client, false, by, &denied).await?;
    }
    restarts(&gateway, &accounts).await?;
    who_is_not_known_is_refused(&gateway, &accounts[3]).await?;
    gateway.stop().await
}

async fn try_verbs(client: &Client, place: usize, by: By, account: &Account) -> Result<()> {
    for (method, path, body, statuses) in verbs() {
        let request = client.request(Method::from_bytes(method.as_bytes())?, path);
        let request = if body.is_null() {
            request
        } else {
            request.json(&body)
        };
        let answer = Answer::of(request).await?;
        assert_eq!(
            answer.status,
            statuses[place],
            "{by:?} {} {method} {path}: {}",
            account.user,
            answer.text()
        );
    }
    Ok(())
}

/// Both lists show exactly what the caller may see.
async fn shows(client: &Client, lets: bool, by: By, account: &Account) -> Result<()> {
    let page = client
        .get("/api/v1/models?query=verbs")
        .await?
        .succeeded()?;
    let page = page.json()?;
    let models = page["models"].as_array().context("models")?;
    assert_eq!(
        models.len(),
        usize::from(lets),
        "{by:?} {account:?}: {page}"
    );
    let legacy = client.get("/api/2.0/mlflow/endpoints/list").await?;
    let legacy = legacy.succeeded()?.json()?;
    let endpoints = legacy["endpoints"].as_array().context("endpoints")?;
    let is_listed = endpoints
        .iter()
        .any(|endpoint| endpoint["registered_model_name"] == "verbs");
    assert_eq!(is_listed, lets, "{by:?} {account:?}: {legacy}");
    Ok(())
}

/// Last, because it takes new workers.
async fn restarts(gateway: &Gateway, accounts: &[Account]) -> Result<()> {
    let path = "/api/v1/models/verbs/versions/1/restart";
    for (account, status) in accounts.iter().zip([202, 202, 403, 403, 404]) {
        let client = caller(gateway, account, By::Password).await?;
        let answer = client.send(Method::POST, path, json!({})).await?;
        assert_eq!(answer.status, status, "{account:?} {}", answer.text());
    }
    until("the restarted model answers", async || {
        let answer = score(gateway.client(), "verbs").await?;
        Ok(if answer.status == 200 {
            Ok(())
        } else {
            Err(answer.text())
        })
    })
    .await
}

async fn who_is_not_known_is_refused(gateway: &Gateway, reader: &Account) -> Result<()> {
    let wrong = Account {
        password: "not the password".to_owned(),
        ..reader.clone()
    };
    let callers = [
        gateway.client().with_login(&wrong),
        gateway.client().with_login(&Account::new("verbs-ghost")),
        gateway.client().with_token(None),
    ];
    for client in callers {
        for answer in [
            score(&client, "verbs").await?,
            client.get("/api/v1/models").await?,
            client.get("/api/2.0/mlflow/endpoints/list").await?,
        ] {
            assert_eq!(answer.refused(401)?, "UNAUTHENTICATED");
            assert!(answer.header("www-authenticate").contains("Basic"));
        }
    }
    // The seed's way to show a token is no password of the registry.
    let token = caller(gateway, reader, By::Token).await?;
    let as_password = Account {
        user: "token".to_owned(),
        password: token.token().unwrap_or_default().to_owned(),
    };
    let client = gateway.client().with_login(&as_password);
    score(&client, "verbs").await?.succeeded()?;
    Ok(())
}
