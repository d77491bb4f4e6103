//! Environments that uv builds from what a model declares.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use integration_tests::{Client, Stage, Test, World, tests};
use serde_json::json;

pub(crate) fn tests() -> Vec<Test> {
    tests![versions_with_the_same_requirements_share_one_environment]
}

async fn versions_with_the_same_requirements_share_one_environment(
    world: Arc<World>,
) -> Result<()> {
    const MODEL: &str = "built";
    let (registry, models) = (world.registry().await?, world.models().await?);
    let gateway = world.gateway().await?;
    let client = gateway.client();
    // Two at the same time: one build.
    let versions = [models.scripted("a")?, models.scripted("b")?];
    registry.register(MODEL, &versions).await?;
    registry.transition(MODEL, 1, Stage::Production).await?;
    client.enable(MODEL, json!({ "env_manager": "uv" })).await?;
    client.until_answered_by(MODEL, "1", "a").await?;
    client.until_answered_by(MODEL, "2", "b").await?;
    let interpreters = [
        interpreter(client, MODEL, "1").await?,
        interpreter(client, MODEL, "2").await?,
    ];
    assert_eq!(interpreters[0], interpreters[1]);
    let data = gateway.data().to_str().context("UTF-8")?;
    ensure!(
        interpreters[0].starts_with(data),
        "{interpreters:?} was built by the gateway"
    );

    // A promoted version whose environment cannot be built takes nothing away.
    registry.create_version(MODEL, models.impossible()?).await?;
    registry.replace(MODEL, 3, Stage::Production).await?;
    let failed = client.until_state(MODEL, 3, "FAILED").await?;
    let reason = failed["last_error"].to_string();
    ensure!(reason.contains("sluicegate-no-such-package"), "{reason}");
    assert_eq!(client.which(MODEL, "Production").await?, "a");
    let log = client
        .get("/api/v1/models/built/versions/3/logs?kind=build")
        .await?;
    let log = log.succeeded()?.text();
    ensure!(log.contains("sluicegate-no-such-package"), "{log}");
    client.disable(MODEL).await
}

/// The interpreter that runs a scripted model's worker.
async fn interpreter(client: &Client, model: &str, reference: &str) -> Result<String> {
    let worker = client.worker(model, reference).await?;
    let line = std::fs::read_to_string(format!("/proc/{worker}/cmdline"))?;
    Ok(line
        .split('\0')
        .next()
        .context("a command line")?
        .to_owned())
}
