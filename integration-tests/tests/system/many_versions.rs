//! A large registry of which little is enabled costs little to follow.

use std::sync::Arc;

use anyhow::{Context, Result};
use integration_tests::{Test, Wire, World, command, output, tests, until};
use serde_json::json;

/// Copies one registered version into 100 models of 10 versions each, or takes these away again: over REST, each would
/// cost the server 25 ms.
const FILL: &str = include_str!("../../python/fill_registry.py");

pub(crate) fn tests() -> Vec<Test> {
    tests![a_poll_of_one_enabled_model_among_a_thousand_versions_is_small]
}

async fn a_poll_of_one_enabled_model_among_a_thousand_versions_is_small(
    world: Arc<World>,
) -> Result<()> {
    world.scripted().await?;
    fill(&world, "fill").await?;
    let wire = Wire::to(world.mlflow().await?.address()).await?;
    let gateway = world.gateway_on(&wire.url()).await?.start().await?;
    gateway.client().enable("scripted", json!({})).await?;
    gateway
        .client()
        .until_answered_by("scripted", "1", "a")
        .await?;

    wire.take_requests();
    let mut seen = Vec::new();
    until("ten polls have passed", async || {
        seen.extend(wire.take_requests());
        let polls = searches(&seen).count();
        Ok(if polls > 10 { Ok(()) } else { Err(polls) })
    })
    .await?;
    gateway.stop().await?;
    fill(&world, "empty").await?;

    for search in searches(&seen) {
        assert!(
            search.contains("scripted"),
            "not only the enabled model: {search}"
        );
    }
    // Versions, and aliases, which stand in another answer. Other calls (the catalog's) are rarer than polls.
    let calls = seen.len();
    let polls = searches(&seen).count();
    assert!(
        calls <= polls * 2 + polls / 2,
        "{calls} calls in {polls} polls: {seen:#?}"
    );
    Ok(())
}

fn searches(requests: &[String]) -> impl Iterator<Item = &String> {
    requests
        .iter()
        .filter(|request| request.contains("/model-versions/search"))
}

async fn fill(world: &World, what: &str) -> Result<()> {
    let database = world.mlflow().await?.database();
    let mut python = command(world.environment().await?.python());
    python
        .args(["-c", FILL, what])
        .arg(database.to_str().context("UTF-8")?);
    output(python).await.map(drop)
}
