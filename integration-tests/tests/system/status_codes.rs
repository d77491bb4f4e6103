//! Each row of the contract's table of status codes. (413 is in `big_bodies`, 502 and the wait between workers in `crashes`.)

mod callers;

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use integration_tests::{Answer, Client, Stage, Test, World, kill, tests, until};
use serde_json::{Value, json};
use tokio::task::JoinSet;

pub(crate) fn tests() -> Vec<Test> {
    let mut tests = tests![
        unknown_and_inactive_references_are_404,
        a_version_that_never_was_ready_is_404_with_retry_after,
        a_version_that_failed_at_first_is_404_with_the_reason,
        an_unsupported_type_is_415_and_names_what_is_accepted,
        an_exception_of_the_model_is_400_and_its_trace_goes_to_the_log,
        a_full_queue_is_429_and_a_passed_deadline_is_504,
        a_version_that_was_ready_and_failed_is_503_with_the_reason,
    ];
    tests.extend(callers::tests());
    tests
}

async fn unknown_and_inactive_references_are_404(world: Arc<World>) -> Result<()> {
    let client = world.scripted().await?;
    let registry = world.registry().await?;
    for (model, reference) in [
        ("no such model", "1"),
        ("scripted", "99"),
        ("scripted", "Staging"),
        ("scripted", "nobody"),
        ("scripted", "@nobody"),
        // An alias only, although it is a stage as well.
        ("scripted", "@Production"),
    ] {
        let answer = client
            .script(model, reference, "which", Value::Null)
            .await?;
        let code = answer
            .refused(404)
            .with_context(|| format!("{model}/{reference}"))?;
        assert_eq!(code, "RESOURCE_DOES_NOT_EXIST", "{model}/{reference}");
    }
    // Archived before it was ever served.
    registry
        .create_version("scripted", world.models().await?.scripted("b")?)
        .await?;
    registry.transition("scripted", 2, Stage::Archived).await?;
    until("version 2 is not served", async || {
        let answer = client.script("scripted", "2", "which", Value::Null).await?;
        Ok(if answer.status == 404 {
            Ok(())
        } else {
            Err(answer.text())
        })
    })
    .await
}

async fn a_version_that_never_was_ready_is_404_with_retry_after(world: Arc<World>) -> Result<()> {
    const MODEL: &str = "starting";
    let (registry, models) = (world.registry().await?, world.models().await?);
    let client = world.client().await?;
    registry.register(MODEL, &[models.gated()?]).await?;
    client.enable(MODEL, json!({})).await?;
    client.until_state(MODEL, 1, "STARTING").await?;
    let answer = client.script(MODEL, "1", "which", Value::Null).await?;
    assert_eq!(answer.refused(404)?, "RESOURCE_DOES_NOT_EXIST");
    answer
        .header("retry-after")
        .parse::<u32>()
        .context("Retry-After")?;
    models.open_gate()?;
    client.until_answered_by(MODEL, "1", "gated").await?;
    client.disable(MODEL).await
}

async fn a_version_that_failed_at_first_is_404_with_the_reason(world: Arc<World>) -> Result<()> {
    const MODEL: &str = "failing";
    let (registry, models) = (world.registry().await?, world.models().await?);
    let client = world.client().await?;
    registry.register(MODEL, &[models.refusing()?]).await?;
    client.enable(MODEL, json!({})).await?;
    let failed = client.until_state(MODEL, 1, "FAILED").await?;
    let answer = client.script(MODEL, "1", "which", Value::Null).await?;
    assert_eq!(answer.refused(404)?, "RESOURCE_DOES_NOT_EXIST");
    let reason = failed["last_error"]["message"]
        .as_str()
        .context("a reason")?;
    let message = answer.json()?["message"].to_string();
    let shown: Value = serde_json::from_str(&message)?;
    ensure!(
        shown.as_str().is_some_and(|shown| shown.contains(reason)),
        "{message} without {reason}"
    );
    client.disable(MODEL).await
}

async fn an_unsupported_type_is_415_and_names_what_is_accepted(world: Arc<World>) -> Result<()> {
    let client = world.scripted().await?;
    for content_type in [
        "text/plain",
        "application/json; format=pandas-index",
        "application/json; charset=latin-1",
    ] {
        let answer = client.score("scripted", "1", content_type, "[]").await?;
        let code = answer
            .refused(415)
            .with_context(|| content_type.to_owned())?;
        assert_eq!(code, "UNSUPPORTED_MEDIA_TYPE", "{content_type}");
    }
    let answer = client.score("scripted", "1", "text/plain", "[]").await?;
    let message = answer.json()?["message"].to_string();
    ensure!(
        message.contains("text/csv") && message.contains("application/json"),
        "{message}"
    );
    Ok(())
}

async fn an_exception_of_the_model_is_400_and_its_trace_goes_to_the_log(
    world: Arc<World>,
) -> Result<()> {
    let client = world.scripted().await?;
    let answer = client
        .script("scripted", "1", "raise", "a tell-tale word")
        .await?;
    assert_eq!(answer.refused(400)?, "BAD_REQUEST");
    ensure!(!answer.text().contains("tell-tale"), "{}", answer.text());
    until("the trace is in the worker's log", async || {
        let log = client
            .get("/api/v1/models/scripted/versions/1/logs?kind=worker")
            .await?;
        let text = log.succeeded()?.text();
        let there = text.contains("ValueError: a tell-tale word");
        Ok(if there { Ok(()) } else { Err(text) })
    })
    .await
}

async fn a_full_queue_is_429_and_a_passed_deadline_is_504(world: Arc<World>) -> Result<()> {
    const MODEL: &str = "limited";
    let client = deployed(&world, MODEL).await?;
    client
        .set(MODEL, json!({ "max_concurrency": 1, "max_queue": 1 }))
        .await?;
    let begun = world.run().await?.fresh("limited");
    // One is worked on, one waits; whoever comes third is sent away.
    let mut requests = JoinSet::new();
    for _ in 0..3 {
        let (client, begun) = (client.clone(), begun.clone());
        requests.spawn(async move { client.script(MODEL, "1", "wait", begun.to_str()).await });
    }
    let refused = requests.join_next().await.context("three requests")???;
    assert_eq!(refused.refused(429)?, "RESOURCE_EXHAUSTED");
    retry_after(&refused)?;
    std::fs::write(begun.with_extension("go"), "")?;
    while let Some(answer) = requests.join_next().await {
        answer??.succeeded()?;
    }

    client.enable(MODEL, json!({ "timeout": "1s" })).await?;
    let never = world.run().await?.fresh("never");
    let answer = until("the new deadline holds", async || {
        let answer = client.script(MODEL, "1", "wait", never.to_str()).await?;
        Ok(if answer.status == 504 {
            Ok(answer)
        } else {
            Err(answer.text())
        })
    })
    .await?;
    assert_eq!(answer.refused(504)?, "DEADLINE_EXCEEDED");
    client.disable(MODEL).await
}

async fn a_version_that_was_ready_and_failed_is_503_with_the_reason(
    world: Arc<World>,
) -> Result<()> {
    const MODEL: &str = "spoiled";
    let (registry, models) = (world.registry().await?, world.models().await?);
    let client = world.client().await?;
    registry.register(MODEL, &[models.spoilable()?]).await?;
    client.enable(MODEL, json!({})).await?;
    client.until_answered_by(MODEL, "1", "spoilable").await?;
    models.spoil()?;
    kill(client.worker(MODEL, "1").await?);
    // It could be loaded before, so it is tried again, with growing pauses; nobody waits for that.
    let failed = client.until_state(MODEL, 1, "FAILED").await?;
    assert_eq!(failed["last_error"]["kind"], "transient");
    assert!(failed["last_error"]["next_try"].is_string(), "{failed}");
    let answer = client.script(MODEL, "1", "which", Value::Null).await?;
    assert_eq!(answer.refused(503)?, "TEMPORARILY_UNAVAILABLE");
    retry_after(&answer)?;
    client.disable(MODEL).await
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

fn retry_after(answer: &Answer) -> Result<u32> {
    answer
        .header("retry-after")
        .parse()
        .context("Retry-After in seconds")
}
