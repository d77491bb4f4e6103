//! What a worker is given, and what not.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use integration_tests::{Test, World, tests};
use serde_json::Value;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        no_secret_of_the_gateway_reaches_a_worker,
        a_worker_listens_on_a_socket_that_only_its_owner_can_reach,
    ]
}

async fn no_secret_of_the_gateway_reaches_a_worker(world: Arc<World>) -> Result<()> {
    let variables = environment(&world).await?;
    let variables = variables.as_object().context("variables")?;
    // The harness gives the gateway these, and a token in its data folder.
    for name in ["MLFLOW_TRACKING_TOKEN", "AWS_SECRET_ACCESS_KEY"] {
        assert!(!variables.contains_key(name), "{name}");
    }
    let text = format!("{variables:?}");
    assert!(!text.contains(integration_tests::SECRET), "{text}");
    assert!(!text.contains("sgp_"), "{text}");
    Ok(())
}

async fn a_worker_listens_on_a_socket_that_only_its_owner_can_reach(
    world: Arc<World>,
) -> Result<()> {
    let variables = environment(&world).await?;
    let socket = Path::new(variables["UVICORN_UDS"].as_str().context("a socket")?);
    let folder = socket.parent().context("a folder")?;
    let mode = std::fs::metadata(folder)?.permissions().mode() & 0o777;
    assert_eq!(mode, 0o700, "{}", folder.display());
    Ok(())
}

async fn environment(world: &World) -> Result<Value> {
    let client = world.scripted().await?;
    let answer = client
        .script("scripted", "1", "environment", Value::Null)
        .await?;
    answer.succeeded()?.predictions()
}
