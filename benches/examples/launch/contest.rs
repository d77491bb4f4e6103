//! Who answers sooner: each contender in turn, round by round.

use std::time::Duration;

use anyhow::{Context, Result};
use benches::clock::now;
use benches::report::{Subject, What};
use integration_tests::{Client, Gateway, World, until_within};
use serde_json::json;
use tokio::time::sleep;

use super::serve::Serve;
use super::{SERVE, Wish, subject};

/// How often it is asked whether there is an answer: what a figure is wrong by at most.
const LOOKS: Duration = Duration::from_millis(10);

const PATIENCE: Duration = Duration::from_secs(300);

/// A gateway with one way to start workers, and a model of its own.
struct Contender {
    gateway: Gateway,
    model: String,
}

/// `mlflow models serve` first, then ours by each launcher.
pub(crate) async fn run(world: &World, wish: &Wish) -> Result<Vec<Subject>> {
    let serve = Serve::prepare(world).await?;
    let launchers: &[&str] = if wish.smoke {
        &["template"]
    } else {
        &["mlflow-serve", "direct", "template"]
    };
    let mut contenders = Vec::new();
    let mut times = vec![(SERVE.to_owned(), Vec::new())];
    for launcher in launchers {
        contenders.push(Contender::enter(world, launcher).await?);
        times.push((format!("gateway, `{launcher}`"), Vec::new()));
    }
    for _ in 0..wish.rounds {
        let began = now();
        let server = serve.start()?;
        until_answered(&Client::new(server.url(), None), "/ping").await?;
        times[0].1.push(began.elapsed().as_secs_f64());
        drop(server);
        for (contender, (_, times)) in contenders.iter().zip(&mut times[1..]) {
            times.push(contender.further_version(world).await?);
        }
    }
    for contender in contenders {
        contender.gateway.stop().await?;
    }
    let rows = times.into_iter().map(|(name, seconds)| {
        let rates = seconds.iter().map(|seconds| 1.0 / seconds).collect();
        // Their ratio says how many times sooner.
        let figures = [
            (What::plain("seconds", 2), seconds),
            (What::compared("starts a second", 2), rates),
        ];
        subject(name, figures.into())
    });
    Ok(rows.collect())
}

impl Contender {
    async fn enter(world: &World, launcher: &str) -> Result<Self> {
        let gateway = world
            .another_gateway()
            .await?
            .poll_interval("10s")
            .variable("SLUICEGATE_LAUNCHER", launcher)
            .start()
            .await?;
        let (client, model) = (gateway.client(), format!("launch-{launcher}"));
        let name = format!("bench-{launcher}");
        let install = [
            "webhooks",
            "install",
            "--url",
            client.base(),
            "--name",
            &name,
        ];
        gateway.command(&install).await?;
        let (registry, logged) = (world.registry().await?, world.models().await?.iris()?);
        registry.register(&model, &[logged]).await?;
        client.enable(&model, json!({})).await?;
        client.until_ready(&model, 1).await?;
        Ok(Self { gateway, model })
    }

    /// Registers a further version, waits for its answer, and takes it away again; gives the seconds in between.
    async fn further_version(&self, world: &World) -> Result<f64> {
        let (registry, logged) = (world.registry().await?, world.models().await?.iris()?);
        let (client, model) = (self.gateway.client(), &self.model);
        let began = now();
        let version = registry.create_version(model, logged).await?;
        until_answered(client, &format!("/model/{model}/{version}/ping")).await?;
        let took = began.elapsed().as_secs_f64();
        registry.delete_version(model, version).await?;
        until_within(PATIENCE, "the version is gone", async || {
            let seen = client.version(model, version).await?;
            Ok(if seen.is_null() { Ok(()) } else { Err(seen) })
        })
        .await?;
        Ok(took)
    }
}

/// Asks until the answer is 200.
pub(crate) async fn until_answered(client: &Client, path: &str) -> Result<()> {
    let asking = async {
        loop {
            // Nobody listens yet, or not about this.
            if client
                .get(path)
                .await
                .is_ok_and(|answer| answer.status == 200)
            {
                return;
            }
            sleep(LOOKS).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking)
        .await
        .with_context(|| format!("{path} was not answered within {PATIENCE:?}"))
}
