//! Callers that were written for the API of 2020, and know nothing of us, work: a notebook, MLflow's own way to call
//! servers, and the unmodified Python package databricks-sdk.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use integration_tests::{Client, Test, World, command, output, tests};
use serde_json::{Value, json};

const NOTEBOOK: &str = include_str!("outside_callers/notebook.py");
const MLFLOW_REQUESTS: &str = include_str!("outside_callers/mlflow_requests.py");
const WORKSPACE_CLIENT: &str = include_str!("outside_callers/workspace_client.py");

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_notebook_passes_from_enable_to_its_first_score,
        mlflows_own_requests_drive_the_endpoints,
        the_sdk_drives_endpoints_and_tokens,
    ]
}

async fn a_notebook_passes_from_enable_to_its_first_score(world: Arc<World>) -> Result<()> {
    const MODEL: &str = "notebook";
    let seen = run(&world, MODEL, NOTEBOOK).await?;
    let scores: BTreeSet<u64> = seen["scores"]
        .as_array()
        .context("scores")?
        .iter()
        .filter_map(Value::as_u64)
        .collect();
    // It was not ready at first, and until it was there was nothing but what callers take for "not yet".
    ensure!(scores.contains(&404), "ready too early: {seen}");
    ensure!(scores.is_subset(&BTreeSet::from([200, 404, 503])), "{seen}");
    assert_eq!(seen["answer"], json!(["a"]));
    assert_eq!(seen["listed_at_once"], json!(["1"]));
    let states = seen["version_states"].as_array().context("states")?;
    let known =
        ["PENDING", "LAUNCHING", "READY"].map(|state| json!(format!("VERSION_STATE_{state}")));
    ensure!(
        states
            .iter()
            .all(|state| known.contains(state) || state.is_null()),
        "{seen}"
    );
    let ready = json!({ "registered_model_name": MODEL, "state": "ENDPOINT_STATE_READY" });
    ensure!(
        seen["listed"]
            .as_array()
            .context("listed")?
            .contains(&ready),
        "{seen}"
    );
    assert_eq!(seen["after"]["error_code"], "RESOURCE_DOES_NOT_EXIST");
    Ok(())
}

async fn mlflows_own_requests_drive_the_endpoints(world: Arc<World>) -> Result<()> {
    const MODEL: &str = "mlflow requests";
    let seen = run(&world, MODEL, MLFLOW_REQUESTS).await?;
    assert_eq!(
        (&seen["enable"], &seen["disable"]),
        (&json!({}), &json!({}))
    );
    let status = &seen["status"]["endpoint_status"];
    assert_eq!(status["registered_model_name"], MODEL);
    ensure!(seen["versions"]["endpoint_versions"].is_array(), "{seen}");
    ensure!(seen["list"]["endpoints"].is_array(), "{seen}");
    let refused = seen["refused"].as_str().context("a refusal")?;
    ensure!(refused.contains("RESOURCE_DOES_NOT_EXIST"), "{refused}");
    Ok(())
}

async fn the_sdk_drives_endpoints_and_tokens(world: Arc<World>) -> Result<()> {
    const MODEL: &str = "sdk";
    let seen = run(&world, MODEL, WORKSPACE_CLIENT).await?;
    assert_eq!(seen["enable"], json!({}));
    let ready = json!({ "registered_model_name": MODEL, "state": "ENDPOINT_STATE_READY" });
    assert_eq!(seen["status"]["endpoint_status"], ready);
    assert_eq!(
        seen["versions"],
        json!([{ "endpoint_version_name": "1", "state": "VERSION_STATE_READY" }])
    );
    ensure!(
        seen["list"].as_array().context("a list")?.contains(&ready),
        "{seen}"
    );
    assert_eq!(seen["disabled"][0], "RESOURCE_DOES_NOT_EXIST");
    assert_eq!(
        seen["token"],
        json!({
            "comment": "by the SDK", "lifetime": 3600.0, "listed": true, "works": true, "endless": -1, "left": false,
            "revoked": ["Unauthenticated", "UNAUTHENTICATED"], "gone": "RESOURCE_DOES_NOT_EXIST",
        })
    );
    Ok(())
}

/// Registers one version of `model` and runs a script with it; what it prints.
async fn run(world: &World, model: &str, script: &str) -> Result<Value> {
    let (registry, models) = (world.registry().await?, world.models().await?);
    let client: &Client = world.client().await?;
    registry.register(model, &[models.scripted("a")?]).await?;
    let mut python = command(world.environment().await?.python());
    python
        .args(["-c", script])
        .env("HOST", client.base())
        .env("TOKEN", client.token().context("a token")?)
        .env("MODEL", model);
    let printed = output(python).await?;
    serde_json::from_str(&printed).with_context(|| printed)
}
