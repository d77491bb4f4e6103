//! Rights that come from the registry: a real MLflow server with basic-auth says who may what.

mod outage;
mod verbs;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use integration_tests::{
    Account, Answer, Client, Gateway, Guarded, Test, Users, Wire, World, tests, until,
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::timeout;

use outage::what_the_registry_takes_away_ends_within_the_age_and_its_outage_is_bridged_for_a_while;
use verbs::each_verb_of_each_user_is_judged_as_mlflow_judges_it;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        each_verb_of_each_user_is_judged_as_mlflow_judges_it,
        a_score_of_a_known_caller_asks_the_registry_nothing_and_waits_for_no_answer,
        what_the_registry_takes_away_ends_within_the_age_and_its_outage_is_bridged_for_a_while,
        rights_are_not_given_by_the_gateway_where_they_come_from_the_registry,
        a_service_account_that_is_no_admin_is_told_of_and_passwords_still_work,
    ]
}

const ROW: &str =
    r#"[{"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}]"#;

/// Longer than any score takes on a busy machine, and far less than a question to the registry may.
const SOON: Duration = Duration::from_secs(60);

/// How a caller shows who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Token,
    Password,
}

const BOTH: [By; 2] = [By::Token, By::Password];

async fn score(client: &Client, model: &str) -> Result<Answer> {
    let content_type = "application/json; format=pandas-records";
    client.score(model, "1", content_type, ROW).await
}

/// Scores without waiting for any answer of the registry.
async fn score_soon(client: &Client, model: &str) -> Result<()> {
    let answer = timeout(SOON, score(client, model)).await;
    answer
        .context("the score waits for the registry")??
        .succeeded()?;
    Ok(())
}

/// Who calls `gateway` as `account`.
async fn caller(gateway: &Gateway, account: &Account, by: By) -> Result<Client> {
    match by {
        By::Token => Guarded::with_token(gateway, &account.user).await,
        By::Password => Ok(gateway.client().with_login(account)),
    }
}

/// A registered model that is Ready.
async fn deploy(guarded: &Guarded, gateway: &Gateway, model: &str) -> Result<()> {
    guarded.register(model).await?;
    gateway.client().enable(model, json!({})).await?;
    gateway.client().until_ready(model, 1).await?;
    Ok(())
}

/// What was asked about rights since the last call: no poll for models asks that.
fn questions(wire: &Wire) -> Vec<String> {
    let mut requests = wire.take_requests();
    requests.retain(|request| {
        let about = ["/users/", "/permissions/", "/model-versions/get?"];
        about.iter().any(|part| request.contains(part))
    });
    requests
}

/// A user who may read `model`.
async fn reader(users: &Users, name: &str, model: &str) -> Result<Account> {
    let account = users.add(name).await?;
    users.give(name, model, "READ").await?;
    Ok(account)
}

async fn a_score_of_a_known_caller_asks_the_registry_nothing_and_waits_for_no_answer(
    world: Arc<World>,
) -> Result<()> {
    let guarded = world.guarded().await?;
    let wire = Wire::to(guarded.server().address()).await?;
    let gateway = guarded
        .gateway(&world, world.environment().await?, &wire.url())
        .await?
        // Answers are asked for again in the last quarter of it: time enough to be missed, below.
        .variable("SLUICEGATE_AUTH_RIGHTS_AGE", "60s")
        // Who waited for an answer that does not come would wait longer than the test allows.
        .variable("SLUICEGATE_AUTH_RIGHTS_DEADLINE", "10m")
        .start()
        .await?;
    deploy(guarded, &gateway, "counted").await?;
    let account = reader(&guarded.users()?, "counted-reader", "counted").await?;
    let mut callers = Vec::new();
    for by in BOTH {
        let client = caller(&gateway, &account, by).await?;
        score(&client, "counted").await?.succeeded()?;
        assert!(!questions(&wire).is_empty(), "{by:?}");
        for _ in 0..10 {
            score(&client, "counted").await?.succeeded()?;
        }
        assert_eq!(questions(&wire), [""; 0], "{by:?}");
        callers.push(client);
    }

    // Both are busy until they are asked about again: the answers do not come, and nobody waits for them.
    wire.hold(true);
    let mut asked = Vec::new();
    until("the registry is asked about both again", async || {
        for client in &callers {
            score_soon(client, "counted").await?;
        }
        asked.extend(questions(&wire));
        // Each caller is two questions at least: who it is, and what it may do.
        Ok(if asked.len() >= 4 {
            Ok(())
        } else {
            Err(format!("{asked:?}"))
        })
    })
    .await?;
    for client in &callers {
        score_soon(client, "counted").await?;
    }
    wire.hold(false);
    gateway.stop().await
}

async fn rights_are_not_given_by_the_gateway_where_they_come_from_the_registry(
    world: Arc<World>,
) -> Result<()> {
    let guarded = world.guarded().await?;
    let url = guarded.server().url();
    let environment = world.environment().await?;
    let gateway = guarded.gateway(&world, environment, &url).await?;
    let gateway = gateway.start().await?;
    let client = gateway.client();
    for wish in [
        json!({ "principal": "somebody", "admin": true }),
        json!({ "principal": "somebody", "read": ["*"] }),
        json!({ "principal": "somebody", "manage": ["iris"] }),
    ] {
        let refused = client.send(Method::POST, "/api/v1/tokens", wish).await?;
        assert_eq!(refused.refused(400)?, "INVALID_PARAMETER_VALUE");
        let said = refused.json()?["message"].to_string();
        assert!(said.contains("come from the registry"), "{said}");
    }
    let refused = client.get("/api/v1/grants").await?;
    assert_eq!(refused.refused(400)?, "INVALID_PARAMETER_VALUE");
    let refused = gateway
        .client_command(&["tokens", "create", "--principal", "somebody", "--admin"])
        .output()
        .await?;
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("come from the registry"));

    // Also on the host, if the configuration is known there.
    let data = gateway.data().to_str().context("UTF-8")?;
    let local = ["--local", "--data-dir", data];
    let create = ["tokens", "create", "--principal", "somebody", "--admin"];
    let mut refused = gateway.client_command(&[&create[..], &local].concat());
    let refused = refused.env("SLUICEGATE_AUTH_RIGHTS", "registry").output();
    let refused = refused.await?;
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("come from the registry"));

    // Grants of before count for nothing: the user does not even exist at the registry.
    let mut made = gateway.client_command(&[&create[..], &local].concat());
    let made = made.output().await?;
    let token = String::from_utf8(made.stdout)?;
    let ghost = client.with_token(Some(token.trim()));
    let status = ghost.get("/api/v1/status").await?.succeeded()?.json()?;
    assert_eq!(
        (&status["principal"], &status["admin"]),
        (&json!("somebody"), &json!(false))
    );
    assert_eq!(status["rights"], json!({ "answered": true }));
    assert_eq!(ghost.get("/metrics").await?.status, 403);

    // Whose tokens are an admin's, is what the registry says.
    let listed = gateway
        .command(&["tokens", "list", "--output", "json"])
        .await?;
    let listed: Vec<Value> = serde_json::from_str(&listed)?;
    let of = |name: &str| listed.iter().find(|token| token["principal"] == name);
    assert_eq!(of("admin").context("the first token")?["admin"], true);
    assert_eq!(of("somebody").context("the ghost's")?["admin"], false);
    gateway.stop().await
}

async fn a_service_account_that_is_no_admin_is_told_of_and_passwords_still_work(
    world: Arc<World>,
) -> Result<()> {
    let guarded = world.guarded().await?;
    let users = guarded.users()?;
    guarded.registry().create_model("modest").await?;
    let service = reader(&users, "modest-service", "*").await?;
    let account = reader(&users, "modest-reader", "modest").await?;
    let url = guarded.server().url();
    let environment = world.environment().await?;
    let gateway = guarded
        .gateway(&world, environment, &url)
        .await?
        .owner("modest-reader")
        .variable("MLFLOW_TRACKING_USERNAME", &service.user)
        .variable("MLFLOW_TRACKING_PASSWORD", &service.password)
        .start()
        .await?;
    until("the log says what is wrong", async || {
        let log = gateway.log()?;
        let is_said = log.contains("is no admin of the MLflow server");
        Ok(if is_said { Ok(()) } else { Err(log) })
    })
    .await?;
    let by_password = gateway.client().with_login(&account);
    until("the polled model is shown to its reader", async || {
        let shown = by_password.get("/api/v1/models").await?.succeeded()?;
        let shown = shown.json()?;
        Ok(if shown["models"][0]["name"] == "modest" {
            Ok(())
        } else {
            Err(shown)
        })
    })
    .await?;
    let refused = gateway.client().get("/api/v1/models/modest").await?;
    assert_eq!(refused.refused(500)?, "INTERNAL_ERROR");
    assert!(!refused.text().contains("modest-service"));
    assert_eq!(score(gateway.client(), "modest").await?.status, 500);

    // The doctor finds it out without a caller, too.
    let mut doctor = gateway.client_command(&["doctor", "--output", "json"]);
    doctor
        .env("SLUICEGATE_AUTH_RIGHTS", "registry")
        .env("SLUICEGATE_REGISTRY", &url);
    let found: Vec<Value> = serde_json::from_slice(&doctor.output().await?.stdout)?;
    let finding = |check: &str| found.iter().find(|finding| finding["check"] == check);
    let account = finding("account").context("the account was checked")?;
    assert_eq!(account["level"], "fail", "{account}");
    let log = gateway.log()?;
    for secret in ["the password of", gateway.client().token().unwrap_or("-")] {
        assert!(!log.contains(secret), "{log}");
    }
    gateway.stop().await
}
