//! Promotions and restarts while 50 requests a second go through the stage URI: none fails, none is answered by the wrong version.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use integration_tests::{Client, Stage, Test, World, tests, until};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

const REQUESTS_A_SECOND: u32 = 50;
const PROMOTIONS: u32 = 20;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        no_request_fails_while_versions_are_promoted_back_and_forth_and_restarted,
        no_request_fails_while_each_promotion_archives_the_last_version,
    ]
}

async fn no_request_fails_while_versions_are_promoted_back_and_forth_and_restarted(
    world: Arc<World>,
) -> Result<()> {
    const MODEL: &str = "promoted";
    let (registry, models) = (world.registry().await?, world.models().await?);
    let client = world.client().await?;
    let versions = [models.scripted("a")?, models.scripted("b")?];
    registry.register(MODEL, &versions).await?;
    registry.transition(MODEL, 1, Stage::Production).await?;
    client.enable(MODEL, json!({})).await?;
    client.until_answered_by(MODEL, "Production", "a").await?;
    client.until_ready(MODEL, 2).await?;

    let load = Load::start(client, MODEL);
    for round in 0..PROMOTIONS {
        let (up, down, tag) = if round % 2 == 0 {
            (2, 1, "b")
        } else {
            (1, 2, "a")
        };
        registry.transition(MODEL, up, Stage::Production).await?;
        registry.transition(MODEL, down, Stage::Staging).await?;
        client.until_answered_by(MODEL, "Production", tag).await?;
    }
    // New workers in place of those that answer.
    let worker = client.worker(MODEL, "1").await?;
    let restart = format!("/api/v1/models/{MODEL}/versions/1/restart");
    client
        .send(Method::POST, &restart, json!({}))
        .await?
        .succeeded()?;
    until("another worker answers", async || {
        let now = client.worker(MODEL, "Production").await?;
        Ok(if now == worker { Err(now) } else { Ok(()) })
    })
    .await?;
    let answers = load.stop().await?;
    ensure!(answers.len() == 2, "both versions answered: {answers:?}");
    client.disable(MODEL).await
}

async fn no_request_fails_while_each_promotion_archives_the_last_version(
    world: Arc<World>,
) -> Result<()> {
    const MODEL: &str = "replaced";
    let (registry, models) = (world.registry().await?, world.models().await?);
    let client = world.client().await?;
    registry.register(MODEL, &[models.scripted("a")?]).await?;
    registry.transition(MODEL, 1, Stage::Production).await?;
    client.enable(MODEL, json!({})).await?;
    client.until_answered_by(MODEL, "Production", "a").await?;

    let load = Load::start(client, MODEL);
    // Promoted before it could be started: the archived one answers until then.
    for (version, tag) in [(2, "b"), (3, "c")] {
        registry
            .create_version(MODEL, models.scripted(tag)?)
            .await?;
        registry.replace(MODEL, version, Stage::Production).await?;
        client.until_answered_by(MODEL, "Production", tag).await?;
    }
    let answers = load.stop().await?;
    ensure!(answers.len() == 3, "all versions answered: {answers:?}");
    client.disable(MODEL).await
}

/// Requests through the stage URI at a steady rate, each in its own time.
pub(crate) struct Load {
    stop: watch::Sender<bool>,
    work: JoinSet<Result<BTreeMap<String, u32>>>,
}

impl Load {
    pub(crate) fn start(client: &Client, model: &'static str) -> Self {
        let (stop, mut stopped) = watch::channel(false);
        let client = client.clone();
        let mut work = JoinSet::new();
        work.spawn(async move {
            let mut requests = JoinSet::new();
            let mut ticks = interval(Duration::from_secs(1) / REQUESTS_A_SECOND);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = ticks.tick() => {
                        let client = client.clone();
                        requests.spawn(async move { one(&client, model).await });
                    }
                    _ = stopped.changed() => break,
                }
            }
            let mut answers = BTreeMap::new();
            while let Some(version) = requests.join_next().await {
                *answers.entry(version??).or_default() += 1;
            }
            Ok(answers)
        });
        Self { stop, work }
    }

    /// How often each version answered; an error if one request failed or was misrouted.
    pub(crate) async fn stop(mut self) -> Result<BTreeMap<String, u32>> {
        self.stop.send_replace(true);
        self.work.join_next().await.context("the load")??
    }
}

/// The version that answered.
async fn one(client: &Client, model: &str) -> Result<String> {
    let answer = client
        .script(model, "Production", "which", Value::Null)
        .await?;
    if answer.status != 200 {
        bail!("{} {}", answer.status, answer.text());
    }
    let version = answer.header("x-sluicegate-version").to_owned();
    // Versions 1, 2, 3 have the tags a, b, c.
    let tag = match version.as_str() {
        "1" => "a",
        "2" => "b",
        "3" => "c",
        other => bail!("version {other:?} answered"),
    };
    ensure!(
        answer.predictions()? == json!([tag]),
        "{} was answered for version {version}",
        answer.text()
    );
    Ok(version)
}
