//! Who follows the events of a model sees each once and in order, whatever happens to worker and gateway.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use integration_tests::{Client, Gateway, Process, Stage, Test, Wire, World, kill, tests, until};
use serde_json::{Value, json};

pub(crate) fn tests() -> Vec<Test> {
    tests![each_event_comes_once_and_in_order_and_a_start_of_the_gateway_moves_no_label]
}

async fn each_event_comes_once_and_in_order_and_a_start_of_the_gateway_moves_no_label(
    world: Arc<World>,
) -> Result<()> {
    const MODEL: &str = "followed events";
    let (registry, models) = (world.registry().await?, world.models().await?);
    let mut gateway = world.another_gateway().await?.start().await?;
    registry.register(MODEL, &[models.scripted("a")?]).await?;
    gateway.client().enable(MODEL, json!({})).await?;
    // The command line asks over a line that leads to whichever process is the gateway.
    let mut line = Wire::to(address(&gateway)?).await?;
    let mut follower = Follower::start(&world, &gateway, &line, MODEL).await?;

    let client = gateway.client();
    client.until_ready(MODEL, 1).await?;
    registry.transition(MODEL, 1, Stage::Production).await?;
    client.until_answered_by(MODEL, "Production", "a").await?;
    registry
        .create_version(MODEL, models.scripted("b")?)
        .await?;
    registry.replace(MODEL, 2, Stage::Production).await?;
    client.until_answered_by(MODEL, "Production", "b").await?;
    registry.set_alias(MODEL, "champion", 2).await?;
    client.until_answered_by(MODEL, "champion", "b").await?;
    kill(client.worker(MODEL, "2").await?);
    client.until_answered_by(MODEL, "2", "b").await?;
    follower
        .until("the crash", |event| event["type"] == "replica_crashed")
        .await?;

    gateway.kill().await?;
    line.cut().await;
    registry.delete_alias(MODEL, "champion").await?;
    gateway.start_again().await?;
    line.mend_to(address(&gateway)?)?;
    let client = gateway.client();
    client.until_answered_by(MODEL, "Production", "b").await?;
    registry.set_alias(MODEL, "last", 2).await?;
    follower
        .until("the last alias", |event| {
            event["details"]["label"] == "@last"
        })
        .await?;
    follower
        .until("the alias that was taken away", |event| {
            event["details"]["label"] == "@champion" && event["details"]["to"].is_null()
        })
        .await?;

    let logged = log(client, MODEL).await?;
    assert_eq!(follower.events()?, logged);
    let types: Vec<_> = logged
        .iter()
        .filter_map(|event| event["type"].as_str())
        .collect();
    for wanted in [
        "enabled",
        "discovered",
        "prepared",
        "not_warmed",
        "replica_started",
        "ready",
        "replica_crashed",
        "retired",
    ] {
        ensure!(types.contains(&wanted), "{wanted} is not among {types:?}");
    }
    let moves = |label: &str| {
        let moved = logged.iter().map(|event| &event["details"]);
        let moved = moved.filter(|details| details["label"] == label);
        moved
            .map(|details| (details["from"].as_u64(), details["to"].as_u64()))
            .collect::<Vec<_>>()
    };
    assert_eq!(moves("Production"), [(None, Some(1)), (Some(1), Some(2))]);
    assert_eq!(moves("@champion"), [(None, Some(2)), (Some(2), None)]);

    history_tells_who_was_in_production(&gateway, MODEL).await?;
    follower.process.kill().await?;
    gateway.stop().await
}

async fn history_tells_who_was_in_production(gateway: &Gateway, model: &str) -> Result<()> {
    let path = format!(
        "/api/v1/models/{}/labels/production/history",
        model.replace(' ', "%20")
    );
    let get = async |query: String| {
        let answer = gateway.client().get(&format!("{path}{query}")).await?;
        answer.succeeded()?.json()
    };
    let history = get(String::new()).await?;
    let intervals = history["intervals"].as_array().context("intervals")?;
    let told: Vec<_> = intervals
        .iter()
        .map(|held| (held["version"].as_u64(), held["ended"].clone()))
        .collect();
    assert_eq!(
        told,
        [
            (Some(2), Value::Null),
            (Some(1), json!({ "how": "moved", "to": 2 }))
        ]
    );
    assert_eq!(intervals[0]["from"], intervals[1]["until"]);
    let first = intervals[1]["from"].as_str().context("from")?;
    let then = get(format!("?at={first}")).await?;
    assert_eq!(then["intervals"].as_array().map(Vec::len), Some(1));
    assert_eq!(then["intervals"][0]["version"], 1);

    let table = gateway
        .command(&["models", "events", model, "--label", "Production"])
        .await?;
    let ends: Vec<_> = table
        .lines()
        .skip(1)
        .map(|line| line.ends_with("moved to 2"))
        .collect();
    assert_eq!(ends, [false, true], "{table}");
    let at = gateway
        .command(&[
            "models",
            "events",
            model,
            "--label",
            "production",
            "--at",
            first,
        ])
        .await?;
    ensure!(
        at.lines().nth(1).is_some_and(|line| line.starts_with("1 ")),
        "{at}"
    );
    Ok(())
}

/// `models events -f`.
struct Follower {
    process: Process,
}

impl Follower {
    async fn start(world: &World, gateway: &Gateway, line: &Wire, model: &str) -> Result<Self> {
        let mut command =
            gateway.client_command(&["models", "events", model, "-f", "--output", "json"]);
        command.env("SLUICEGATE_URL", line.url());
        let log = world.run().await?.fresh("followed.log");
        let process = Process::spawn(command, log)?;
        Ok(Self { process })
    }

    /// What it has printed.
    fn events(&self) -> Result<Vec<Value>> {
        let text = std::fs::read_to_string(self.process.log())?;
        // The last line may be half written.
        let lines = text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        let events = lines.filter(|line| line.starts_with('{'));
        Ok(events.map(serde_json::from_str).collect::<Result<_, _>>()?)
    }

    async fn until(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Result<()> {
        until(&format!("the follower sees {what}"), async || {
            let events = self.events()?;
            Ok(if events.iter().any(&is_it) {
                Ok(())
            } else {
                Err(std::fs::read_to_string(self.process.log())?)
            })
        })
        .await
    }
}

/// The whole log of a model, oldest first.
async fn log(client: &Client, model: &str) -> Result<Vec<Value>> {
    let path = format!(
        "/api/v1/events?model={}&max_results=1000",
        model.replace(' ', "%20")
    );
    let mut page = client.get(&path).await?.succeeded()?.json()?;
    ensure!(page["next_page_token"].is_null(), "one page holds all");
    let mut events: Vec<Value> = serde_json::from_value(page["events"].take())?;
    events.reverse();
    Ok(events)
}

fn address(gateway: &Gateway) -> Result<std::net::SocketAddr> {
    let base = gateway.client().base();
    Ok(base.strip_prefix("http://").context("http")?.parse()?)
}
