//! Builds that are killed, made ahead of time, and made again without a network.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use integration_tests::{Test, World, conda_yaml, tests, until};
use serde_json::{Value, json};

const MODEL: &str = "built ahead";

pub(crate) fn tests() -> Vec<Test> {
    tests![a_killed_build_counts_for_nothing_and_a_whole_one_is_made_once_and_again_offline]
}

async fn a_killed_build_counts_for_nothing_and_a_whole_one_is_made_once_and_again_offline(
    world: Arc<World>,
) -> Result<()> {
    let (registry, server) = (world.registry().await?, world.mlflow().await?);
    let environment = world.environment().await?;
    let (python, mlflow) = (
        environment.python_version().await?,
        environment.mlflow_version().await?,
    );
    let declaration = conda_yaml(&python, &[&format!("mlflow=={mlflow}")]);
    let scripted = world.models().await?.scripted("a")?;
    let logged = server.redeclared(scripted, "built-ahead", &declaration);
    registry.register(MODEL, &[&logged.await?]).await?;

    let mut gateway = world.another_building_gateway().await?.start().await?;
    gateway.client().enable(MODEL, json!({})).await?;
    until("Python packages are being installed", async || {
        let log = gateway
            .client()
            .build_log(MODEL, 1)
            .await
            .unwrap_or_default();
        if log.contains("ready to serve") {
            bail!("the build was too fast to be killed in its middle:\n{log}");
        }
        Ok(if log.contains("installing Python packages") {
            Ok(())
        } else {
            Err(log)
        })
    })
    .await?;
    gateway.kill().await?;
    let run = world.run().await?;
    until("no process of the killed build is left", async || {
        let left = run.processes_of(gateway.data());
        Ok(if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{left:?}"))
        })
    })
    .await?;
    assert_eq!(built(gateway.data())?, Vec::<String>::new());

    // What was wanted is built by itself after the start.
    gateway.start_again().await?;
    gateway.client().until_answered_by(MODEL, "1", "a").await?;
    let first = built(gateway.data())?;
    ensure!(first.len() == 1, "{first:?}");
    assert_eq!(leftovers(gateway.data())?, Vec::<String>::new());

    // In use, it cannot be pruned; afterwards it can.
    let refused = gateway
        .client()
        .send(
            reqwest::Method::POST,
            "/api/v1/environments/prune",
            json!({ "keys": first }),
        )
        .await?
        .succeeded()?
        .json()?;
    let kept = json!([{"key": first[0], "reasons": [format!("used by {MODEL}@1")]}]);
    assert_eq!(refused["in_use"], kept);
    gateway.client().disable(MODEL).await?;
    gateway.terminate().await?;
    gateway.set_variable("SLUICEGATE_OFFLINE", "true");
    gateway.start_again().await?;
    let prune = ["environments", "prune", "--output", "json"];
    let pruned: Value = serde_json::from_str(&gateway.command(&prune).await?)?;
    assert_eq!(pruned["environments"], json!(first));
    assert_eq!(built(gateway.data())?, Vec::<String>::new());

    // Ahead of time, and with what is cached alone: the same packages, and nothing is left to be done when it is enabled.
    let build = ["environments", "build", "--model", MODEL, "--version", "1"];
    gateway.command(&build).await?;
    assert_eq!(built(gateway.data())?, first);
    gateway.client().enable(MODEL, json!({})).await?;
    gateway.client().until_answered_by(MODEL, "1", "a").await?;
    let log = gateway.client().build_log(MODEL, 1).await?;
    let last = log.rsplit("reusing environment").next().unwrap_or_default();
    ensure!(
        log.contains("reusing environment") && !last.contains("solving"),
        "{log}"
    );
    gateway.stop().await
}

/// The keys of the environments that are there.
fn built(data: &Path) -> Result<Vec<String>> {
    entries(data, |name| !name.starts_with('.'))
}

/// What builds have staged and not taken away.
fn leftovers(data: &Path) -> Result<Vec<String>> {
    entries(data, |name| name.starts_with(".staging"))
}

fn entries(data: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(data.join("environments"))? {
        let name = entry?.file_name();
        let name = name.to_str().context("UTF-8")?;
        if wanted(name) {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}
