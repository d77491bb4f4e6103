//! Workers and gateways that are killed.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use futures_util::future::join_all;
use integration_tests::{Client, Test, World, kill, process_lives, tests, until};
use serde_json::{Value, json};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_killed_worker_is_back_by_itself_and_no_request_hangs,
        a_request_that_kills_its_workers_is_502_and_they_return_ever_more_slowly,
        nothing_outlives_a_killed_gateway_and_the_next_start_serves,
    ]
}

async fn a_killed_worker_is_back_by_itself_and_no_request_hangs(world: Arc<World>) -> Result<()> {
    const MODEL: &str = "killed";
    let client = deployed(&world, MODEL).await?;
    let worker = client.worker(MODEL, "1").await?;
    kill(worker);

    let requests = (0..20).map(|_| client.script(MODEL, "1", "which", Value::Null));
    for answer in join_all(requests).await {
        let answer = answer?;
        if answer.status != 200 {
            assert_eq!(answer.refused(503)?, "TEMPORARILY_UNAVAILABLE");
            answer
                .header("retry-after")
                .parse::<u32>()
                .context("Retry-After")?;
        }
    }
    client.until_answered_by(MODEL, "1", "a").await?;
    ensure!(!process_lives(worker), "the killed worker is dead");
    assert_ne!(client.worker(MODEL, "1").await?, worker);
    let version = client.version(MODEL, 1).await?;
    assert_eq!(
        (&version["crashes"], &version["replicas"]),
        (&json!(1), &json!(1))
    );
    client.disable(MODEL).await
}

async fn a_request_that_kills_its_workers_is_502_and_they_return_ever_more_slowly(
    world: Arc<World>,
) -> Result<()> {
    const MODEL: &str = "crashing";
    let client = deployed(&world, MODEL).await?;
    // Time for several workers to be started, since the request is put to more than one.
    client.enable(MODEL, json!({ "timeout": "4m" })).await?;
    let answer = client.script(MODEL, "1", "exit", 3).await?;
    assert_eq!(answer.refused(502)?, "WORKER_DIED");

    client.until_answered_by(MODEL, "1", "a").await?;
    let mut crashes = client.events(MODEL, 1).await?;
    crashes.retain(|event| event["type"] == "replica_crashed");
    let deaths = client.version(MODEL, 1).await?["crashes"].clone();
    assert_eq!(json!(crashes.len()), deaths, "{crashes:?}");
    ensure!(
        crashes.len() > 1,
        "not all workers may die of it, but not only one either: {crashes:?}"
    );
    // Newest first.
    let pauses: Vec<_> = crashes
        .iter()
        .rev()
        .filter_map(|event| event["details"]["restart_in_seconds"].as_f64())
        .collect();
    ensure!(
        pauses.first() < pauses.last(),
        "the pauses grow: {pauses:?}"
    );
    client.disable(MODEL).await
}

async fn nothing_outlives_a_killed_gateway_and_the_next_start_serves(
    world: Arc<World>,
) -> Result<()> {
    // Its registered model and environment are the shared ones; the gateway is not.
    world.scripted().await?;
    let mut gateway = world.another_gateway().await?.start().await?;
    gateway.client().enable("scripted", json!({})).await?;
    gateway
        .client()
        .until_answered_by("scripted", "Production", "a")
        .await?;
    let worker = gateway.client().worker("scripted", "1").await?;
    let run = world.run().await?;
    ensure!(
        run.processes_of(gateway.data()).len() >= 2,
        "the gateway and its worker are seen"
    );

    gateway.kill().await?;
    until("no process of the killed gateway is left", async || {
        let left = run.processes_of(gateway.data());
        Ok(if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{left:?}"))
        })
    })
    .await?;
    ensure!(!process_lives(worker), "its worker is dead");

    // What was enabled is kept, and so is the token.
    gateway.start_again().await?;
    gateway
        .client()
        .until_answered_by("scripted", "Production", "a")
        .await?;
    gateway.stop().await
}

/// A scripted model of its own (tag `a`) that is Ready on the shared gateway.
async fn deployed<'a>(world: &'a World, model: &str) -> Result<&'a Client> {
    let (registry, models) = (world.registry().await?, world.models().await?);
    let client = world.client().await?;
    registry.register(model, &[models.scripted("a")?]).await?;
    client.enable(model, json!({})).await?;
    client.until_ready(model, 1).await?;
    Ok(client)
}
