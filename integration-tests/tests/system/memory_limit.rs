//! Workers that take more memory than they may: replaced in order, ended at once, or not started at all.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use integration_tests::{Client, Test, World, tests, until};
use serde_json::{Value, json};
use tokio::sync::watch;

const MB: u64 = 1 << 20;

pub(crate) fn tests() -> Vec<Test> {
    tests![a_worker_over_its_limit_is_replaced_without_a_failed_request_and_one_far_over_it_ends]
}

async fn a_worker_over_its_limit_is_replaced_without_a_failed_request_and_one_far_over_it_ends(
    world: Arc<World>,
) -> Result<()> {
    const MODEL: &str = "greedy";
    let (registry, models) = (world.registry().await?, world.models().await?);
    let client = world.client().await?;
    registry.register(MODEL, &[models.scripted("a")?]).await?;
    client.enable(MODEL, json!({})).await?;
    let ready = client.until_ready(MODEL, 1).await?;
    let usual = ready["memory_bytes"].as_u64().context("its memory")? / MB;
    // So that the first bite is over it, and not by half.
    let limit = usual + 200;
    let settings = json!({ "memory_limit": format!("{limit}MB") });
    client.enable(MODEL, settings).await?;
    until_told(client, MODEL, "replica_replaced", "newly prepared").await?;

    let greedy = client.worker(MODEL, "1").await?;
    let (asking, end) = watch::channel(());
    let (asked, replaced) = tokio::join!(ask_on(client, MODEL, end), async {
        let _asking = asking;
        client.script(MODEL, "1", "take", 250).await?.succeeded()?;
        let reason = format!("its memory_limit is {}", shown(limit));
        until_told(client, MODEL, "replica_replaced", &reason).await
    });
    replaced?;
    ensure!(asked? > 3, "others asked meanwhile");
    let successor = client.worker(MODEL, "1").await?;
    ensure!(successor != greedy, "another worker answers");
    ensure!(
        client.version(MODEL, 1).await?["crashes"] == 0,
        "nothing has died"
    );

    // Whether it is still answered is a matter of a second.
    let far = limit + 200;
    client.script(MODEL, "1", "take", far).await?;
    until_told(client, MODEL, "replica_crashed", "killed: it used").await?;
    client.until_answered_by(MODEL, "1", "a").await?;
    ensure!(
        client.worker(MODEL, "1").await? != successor,
        "another worker answers"
    );

    // Less than any worker takes: the new ones cannot be, so the old one stays.
    client
        .enable(MODEL, json!({ "memory_limit": "20MB" }))
        .await?;
    until_told(client, MODEL, "failed", "its memory_limit is 20MB").await?;
    client.until_answered_by(MODEL, "1", "a").await?;
    registry
        .create_version(MODEL, models.scripted("b")?)
        .await?;
    let failure = client.until_failed(MODEL, 2).await?;
    ensure!(failure["code"] == "MEMORY_LIMIT", "{failure}");
    ensure!(failure["kind"] == "permanent", "{failure}");
    client.disable(MODEL).await
}

/// Asks the model until the other end is gone; an error is a request that failed. Returns how often.
async fn ask_on(client: &Client, model: &str, end: watch::Receiver<()>) -> Result<u32> {
    let mut asked = 0;
    while end.has_changed().is_ok() {
        let answer = client.script(model, "1", "which", Value::Null).await?;
        answer.succeeded()?;
        asked += 1;
    }
    Ok(asked)
}

/// Waits until the event log of version 1 has such a fact, whose message says this.
async fn until_told(client: &Client, model: &str, kind: &str, part: &str) -> Result<()> {
    until(&format!("{model}: {kind}, {part}"), async || {
        let events = client.events(model, 1).await?;
        let is_it = |event: &Value| {
            let message = event["message"].as_str().unwrap_or_default();
            event["type"] == kind && message.contains(part)
        };
        let found = events.iter().any(is_it);
        Ok(if found { Ok(()) } else { Err(json!(events)) })
    })
    .await
}

/// As messages write so many megabytes, as far as it does not depend on the worker.
fn shown(megabytes: u64) -> String {
    if megabytes < 1024 {
        format!("{megabytes}MB")
    } else {
        "1".to_owned()
    }
}
