//! Serving is enabled and disabled per registered model, by three ways that are one.

use std::sync::Arc;

use anyhow::{Result, ensure};
use integration_tests::{Client, Test, World, process_lives, tests, until};
use reqwest::Method;
use serde_json::{Value, json};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        nothing_is_served_that_nobody_enabled,
        the_legacy_api_enables_and_disables,
        the_command_line_enables_scores_and_disables,
    ]
}

async fn nothing_is_served_that_nobody_enabled(world: Arc<World>) -> Result<()> {
    const MODEL: &str = "unasked";
    let (registry, models) = (world.registry().await?, world.models().await?);
    let client = world.scripted().await?;
    registry.register(MODEL, &[models.scripted("a")?]).await?;
    // A later change of an enabled model has been followed, so this one was seen and left alone.
    registry.set_alias("scripted", "later", 1).await?;
    client.until_answered_by("scripted", "later", "a").await?;
    let answer = client.script(MODEL, "1", "which", Value::Null).await?;
    assert_eq!(answer.refused(404)?, "RESOURCE_DOES_NOT_EXIST");
    assert_eq!(client.model(MODEL).await?["state"], Value::Null);
    Ok(())
}

async fn the_legacy_api_enables_and_disables(world: Arc<World>) -> Result<()> {
    const MODEL: &str = "legacy";
    let (registry, models) = (world.registry().await?, world.models().await?);
    let client = world.client().await?;
    registry.register(MODEL, &[models.scripted("a")?]).await?;
    let name = json!({ "registered_model_name": MODEL });

    legacy(client, Method::POST, "enable", &name).await?;
    let status = legacy(client, Method::GET, "get-status", &name).await?;
    assert_eq!(
        status["endpoint_status"],
        json!({ "registered_model_name": MODEL, "state": "ENDPOINT_STATE_READY" })
    );
    until("the legacy API shows version 1 as ready", async || {
        let listed = legacy(client, Method::GET, "list-versions", &name).await?;
        let ready = json!([{ "endpoint_version_name": "1", "state": "VERSION_STATE_READY" }]);
        Ok(if listed["endpoint_versions"] == ready {
            Ok(())
        } else {
            Err(listed)
        })
    })
    .await?;
    assert_eq!(client.which(MODEL, "1").await?, "a");
    let listed = legacy(client, Method::GET, "list", &json!({})).await?;
    let endpoints = listed["endpoints"].as_array().into_iter().flatten();
    ensure!(
        endpoints
            .into_iter()
            .any(|one| one["registered_model_name"] == MODEL),
        "{listed}"
    );

    let worker = client.worker(MODEL, "1").await?;
    legacy(client, Method::POST, "disable", &name).await?;
    until("its worker and its URI are gone", async || {
        let answer = client.script(MODEL, "1", "which", Value::Null).await?;
        let gone = answer.status == 404 && !process_lives(worker);
        Ok(if gone { Ok(()) } else { Err(answer.text()) })
    })
    .await
}

async fn the_command_line_enables_scores_and_disables(world: Arc<World>) -> Result<()> {
    const MODEL: &str = "by command";
    let (registry, models) = (world.registry().await?, world.models().await?);
    let gateway = world.gateway().await?;
    registry.register(MODEL, &[models.iris()?]).await?;
    gateway
        .command(&["models", "enable", MODEL, "--wait", "--timeout", "2m"])
        .await?;
    let scored = gateway
        .command(&["models", "score", MODEL, "1", "--example"])
        .await?;
    assert_eq!(scored.trim(), r#"{"predictions": [0, 0]}"#);
    let listed = gateway
        .command(&["--output", "json", "models", "list"])
        .await?;
    let listed: Value = serde_json::from_str(&listed)?;
    ensure!(listed.to_string().contains(MODEL), "{listed}");
    gateway.command(&["models", "disable", MODEL]).await?;
    let answer = gateway
        .client()
        .script(MODEL, "1", "which", Value::Null)
        .await?;
    assert_eq!(answer.status, 404);
    Ok(())
}

/// A call as outside callers make it: the body is JSON even on a GET.
async fn legacy(client: &Client, method: Method, call: &str, body: &Value) -> Result<Value> {
    let path = format!("/api/2.0/preview/mlflow/endpoints/{call}");
    client
        .send(method, &path, body.clone())
        .await?
        .succeeded()?
        .json()
}
