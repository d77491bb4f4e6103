//! Versions that sleep when nobody calls: their workers end, and the first request starts one.

use std::sync::Arc;

use anyhow::{Result, ensure};
use futures_util::future::join_all;
use integration_tests::{Client, Test, World, process_lives, tests, until};
use serde_json::{Value, json};

pub(crate) fn tests() -> Vec<Test> {
    tests![requests_that_come_together_wake_one_worker_and_are_all_answered]
}

const CALLERS: usize = 32;

async fn until_asleep(client: &Client) -> Result<()> {
    until("the version sleeps", async || {
        let version = client.version("scripted", 1).await?;
        Ok(if version["asleep"] == true && version["replicas"] == 0 {
            Ok(())
        } else {
            Err(version.to_string())
        })
    })
    .await
}

/// Events of this type, oldest first.
async fn events(client: &Client, kind: &str) -> Result<Vec<Value>> {
    let mut events = client.events("scripted", 1).await?;
    events.retain(|event| event["type"] == kind);
    Ok(events)
}

async fn requests_that_come_together_wake_one_worker_and_are_all_answered(
    world: Arc<World>,
) -> Result<()> {
    world.scripted().await?;
    let gateway = world.another_gateway().await?;
    let gateway = gateway
        .variable("SLUICEGATE_LAUNCHER", "template")
        .start()
        .await?;
    let client = gateway.client();
    let settings = json!({ "replicas": "0..1", "scale_down_after": "1s" });
    client.enable("scripted", settings).await?;
    until_asleep(client).await?;
    let first = events(client, "replica_started").await?;
    ensure!(first.len() == 1, "it is loaded once before: {first:?}");
    let version = client.version("scripted", 1).await?;
    ensure!(version["state"] == "READY", "{version}");
    let ping = client.get("/model/scripted/1/ping").await?;
    ensure!(ping.header("x-sluicegate-state") == "asleep");
    ensure!(client.version("scripted", 1).await?["replicas_wanted"] == 0);

    // From here on it stays awake, so that its worker can be looked at.
    let long = json!({ "scale_down_after": "1h" });
    client.set("scripted", long).await?;
    ensure!(client.version("scripted", 1).await?["asleep"] == true);
    let calls = (0..CALLERS).map(|_| client.worker("scripted", "1"));
    let workers: Vec<u32> = join_all(calls).await.into_iter().collect::<Result<_>>()?;
    ensure!(workers.len() == CALLERS);
    ensure!(
        workers.iter().all(|worker| *worker == workers[0]),
        "{workers:?}"
    );
    ensure!(process_lives(workers[0]));
    let started = events(client, "replica_started").await?;
    ensure!(started.len() == 2, "{started:?}");
    ensure!(events(client, "woken").await?.len() == 1);

    let short = json!({ "scale_down_after": "1s" });
    client.set("scripted", short).await?;
    until_asleep(client).await?;
    until("its worker has ended", async || {
        Ok(if process_lives(workers[0]) {
            Err("it lives".to_owned())
        } else {
            Ok(())
        })
    })
    .await?;
    gateway.stop().await
}
