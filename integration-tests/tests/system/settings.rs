//! Settings of one model, changed while it is used: by a person, by the registry's tags, by the command line.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use integration_tests::{Client, Stage, Test, World, process_lives, tests, until};
use reqwest::Method;
use serde_json::{Value, json};

use super::zero_downtime::Load;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        no_request_fails_while_each_setting_is_changed,
        the_newest_versions_and_those_with_a_label_are_served,
        where_memory_is_short_the_old_worker_is_gone_before_the_new_one_starts,
        settings_in_the_registrys_tags_hold_until_a_person_chooses,
        the_command_line_waits_for_new_workers_and_tells_where_settings_come_from,
    ]
}

async fn no_request_fails_while_each_setting_is_changed(world: Arc<World>) -> Result<()> {
    const MODEL: &str = "tuned";
    let (registry, models) = (world.registry().await?, world.models().await?);
    let client = world.client().await?;
    registry.register(MODEL, &[models.scripted("a")?]).await?;
    registry.transition(MODEL, 1, Stage::Production).await?;
    set(client, MODEL, json!({})).await?;
    client.until_answered_by(MODEL, "Production", "a").await?;

    let load = Load::start(client, MODEL);
    let live = [
        json!({"max_concurrency": 4}),
        json!({"max_queue": 500}),
        json!({"timeout": "30s"}),
        json!({"batching": "off"}),
        json!({"batching": "on", "max_batch_rows": 16, "max_batch_delay": "1ms"}),
        json!({"batching": null, "max_batch_rows": null, "max_batch_delay": null}),
        json!({"versions": "latest:1"}),
        json!({"versions": [1]}),
        json!({"takeover": "availability_preserving"}),
    ];
    let first = client.worker(MODEL, "1").await?;
    for settings in live {
        set(client, MODEL, settings.clone()).await?;
        let worker = client.worker(MODEL, "1").await?;
        ensure!(worker == first, "{settings} takes no new worker");
    }
    let rolling = [
        json!({"environment": {"A_SETTING": "42"}}),
        json!({"memory_limit": "4GB"}),
        json!({"warm_up": false}),
        json!({"environment": null, "memory_limit": null, "warm_up": null}),
    ];
    let mut last = first;
    for settings in rolling {
        let model = set(client, MODEL, settings.clone()).await?;
        let version = &model["versions"][0];
        ensure!(version["renewing"].is_null(), "{settings}: {version}");
        let worker = client.worker(MODEL, "1").await?;
        ensure!(worker != last, "{settings} takes a new worker");
        if settings["environment"].is_object() {
            assert_eq!(variable(client, MODEL, "A_SETTING").await?, "42");
        }
        last = worker;
    }
    for replicas in [3, 1] {
        let model = set(client, MODEL, json!({ "replicas": replicas })).await?;
        assert_eq!(model["versions"][0]["replicas"], replicas);
    }
    let answers = load.stop().await?;
    ensure!(answers.len() == 1, "one version answered: {answers:?}");
    client.disable(MODEL).await
}

async fn the_newest_versions_and_those_with_a_label_are_served(world: Arc<World>) -> Result<()> {
    const MODEL: &str = "newest";
    let (registry, models) = (world.registry().await?, world.models().await?);
    let client = world.client().await?;
    let versions = [models.scripted("a")?, models.scripted("b")?];
    registry.register(MODEL, &versions).await?;
    registry.transition(MODEL, 1, Stage::Production).await?;
    let model = set(client, MODEL, json!({"versions": {"latest": 1}})).await?;
    assert_eq!(numbers(&model), [2, 1]);
    registry
        .create_version(MODEL, models.scripted("c")?)
        .await?;
    client.until_answered_by(MODEL, "latest", "c").await?;
    until_served(client, MODEL, &[3, 1]).await?;
    // Without the label it is one of the old ones.
    registry.transition(MODEL, 1, Stage::None).await?;
    until_served(client, MODEL, &[3]).await?;
    let answer = client.script(MODEL, "2", "which", Value::Null).await?;
    assert_eq!(answer.refused(404)?, "RESOURCE_DOES_NOT_EXIST");
    // A list may name what is not there yet, and what is not listed is out of reach of a label too.
    registry.transition(MODEL, 3, Stage::Staging).await?;
    let model = set(client, MODEL, json!({"versions": [2, 9]})).await?;
    ensure!(numbers(&model).contains(&2), "{model}");
    until_served(client, MODEL, &[2]).await?;
    let labels = client.model(MODEL).await?["labels"].take();
    assert_eq!(labels[0]["aspired"], 3, "{labels}");
    assert_eq!(labels[0]["current"], Value::Null, "{labels}");
    ensure!(labels[0]["reason"].is_string(), "{labels}");
    client.disable(MODEL).await
}

async fn where_memory_is_short_the_old_worker_is_gone_before_the_new_one_starts(
    world: Arc<World>,
) -> Result<()> {
    const MODEL: &str = "large";
    let (registry, models) = (world.registry().await?, world.models().await?);
    let client = world.client().await?;
    registry.register(MODEL, &[models.scripted("a")?]).await?;
    let settings = json!({
        "versions": {"latest": 1}, "takeover": "resource_preserving",
        // As long as a worker may take to start where many others do.
        "timeout": "5m",
    });
    set(client, MODEL, settings).await?;
    let worker = client.worker(MODEL, "1").await?;

    // New workers of the same version: who asks in between waits for them.
    let renewing = set(client, MODEL, json!({"environment": {"A_SETTING": "42"}}));
    let asking = async {
        until("the old worker is gone", async || {
            Ok(if process_lives(worker) {
                Err("it lives")
            } else {
                Ok(())
            })
        })
        .await?;
        variable(client, MODEL, "A_SETTING").await
    };
    let (renewed, variable) = tokio::try_join!(renewing, asking)?;
    assert_eq!(variable, "42");
    assert_eq!(renewed["versions"][0]["replicas"], 1);
    let story = story(client, MODEL).await?;
    let place = |kind: &str| story.iter().rposition(|(_, one)| one == kind);
    let replaced = place("replica_replaced").context("the old worker was replaced")?;
    let started = place("replica_started").context("the new worker was started")?;
    ensure!(replaced < started, "{story:?}");

    registry
        .create_version(MODEL, models.scripted("b")?)
        .await?;
    client.until_answered_by(MODEL, "latest", "b").await?;
    let story = self::story(client, MODEL).await?;
    let place = |version: u64, kind: &str| {
        let wanted = (version, kind.to_owned());
        story.iter().position(|one| *one == wanted)
    };
    let retired = place(1, "retired").context("version 1 is retired")?;
    let discovered = place(2, "discovered").context("version 2 was started")?;
    ensure!(retired < discovered, "{story:?}");
    client.disable(MODEL).await
}

async fn settings_in_the_registrys_tags_hold_until_a_person_chooses(
    world: Arc<World>,
) -> Result<()> {
    const MODEL: &str = "tagged";
    let (registry, models) = (world.registry().await?, world.models().await?);
    let client = world.client().await?;
    registry.register(MODEL, &[models.scripted("a")?]).await?;
    registry
        .set_tag(MODEL, "sluicegate.environment", r#"{"A_SETTING": "1"}"#)
        .await?;
    let model = set(client, MODEL, json!({})).await?;
    assert_eq!(model["settings_from"]["environment"], "tag");
    assert_eq!(variable(client, MODEL, "A_SETTING").await?, "1");
    // The first worker was started with it already.
    let story = story(client, MODEL).await?;
    ensure!(
        !story.iter().any(|(_, kind)| kind == "restarting"),
        "{story:?}"
    );

    registry
        .set_tag(MODEL, "sluicegate.env_manager", "local")
        .await?;
    registry
        .set_tag(MODEL, "sluicegate.environment", r#"{"A_SETTING": "2"}"#)
        .await?;
    until("the tag's new value is there", async || {
        let value = variable(client, MODEL, "A_SETTING").await?;
        Ok(if value == "2" { Ok(()) } else { Err(value) })
    })
    .await?;
    let model = client.model(MODEL).await?;
    assert_eq!(model["tag_problems"][0]["key"], "env_manager", "{model}");
    let model = set(client, MODEL, json!({"environment": {"A_SETTING": "3"}})).await?;
    assert_eq!(model["settings_from"]["environment"], "person");
    assert_eq!(variable(client, MODEL, "A_SETTING").await?, "3");
    let page = client.get("/api/v1/models/tagged/events").await?;
    let page = page.succeeded()?.text();
    ensure!(
        page.contains("by the registry's tags: environment"),
        "{page}"
    );
    ensure!(page.contains("tag_refused"), "{page}");
    client.disable(MODEL).await
}

async fn the_command_line_waits_for_new_workers_and_tells_where_settings_come_from(
    world: Arc<World>,
) -> Result<()> {
    const MODEL: &str = "typed";
    let (registry, models) = (world.registry().await?, world.models().await?);
    let gateway = world.gateway().await?;
    let client = gateway.client();
    registry.register(MODEL, &[models.scripted("a")?]).await?;
    gateway
        .command(&["models", "enable", MODEL, "--wait", "--timeout", "2m"])
        .await?;
    let first = client.worker(MODEL, "1").await?;
    let change = r#"environment={"A_SETTING": "42"}"#;
    let table = gateway
        .command(&["models", "settings", MODEL, change, "max_queue=7", "--wait"])
        .await?;
    let row = |key: &str| {
        let line = table.lines().find(|line| line.starts_with(key));
        line.unwrap_or_default()
            .split_whitespace()
            .collect::<Vec<_>>()
    };
    assert_eq!(row("max_queue"), ["max_queue", "7", "person"]);
    assert_eq!(row("versions"), ["versions", "all", "default"]);
    let second = client.worker(MODEL, "1").await?;
    ensure!(
        second != first,
        "the new worker answers when the command ends"
    );
    gateway
        .command(&["models", "restart", MODEL, "1", "--wait"])
        .await?;
    let third = client.worker(MODEL, "1").await?;
    ensure!(
        third != second,
        "the newest worker answers when the command ends"
    );
    client.disable(MODEL).await
}

/// Changes settings and waits until they hold; gives the model.
async fn set(client: &Client, model: &str, settings: Value) -> Result<Value> {
    let path = format!("/api/v1/models/{model}/serving?wait=ready&timeout=10m");
    let answer = client.send(Method::PUT, &path, settings).await?;
    answer.succeeded()?.json()
}

/// A variable of the process that answers.
async fn variable(client: &Client, model: &str, name: &str) -> Result<String> {
    let answer = client
        .script(model, "1", "environment", Value::Null)
        .await?;
    let variables = answer.succeeded()?.predictions()?;
    Ok(variables[name].as_str().unwrap_or_default().to_owned())
}

/// The versions that are shown.
fn numbers(model: &Value) -> Vec<u64> {
    let versions = model["versions"].as_array().into_iter().flatten();
    versions.filter_map(|one| one["version"].as_u64()).collect()
}

async fn until_served(client: &Client, model: &str, versions: &[u64]) -> Result<()> {
    until(&format!("{versions:?} of {model} are served"), async || {
        let seen = client.model(model).await?;
        Ok(if numbers(&seen) == versions {
            Ok(())
        } else {
            Err(seen)
        })
    })
    .await
}

/// Versions and types of all events of a model, oldest first.
async fn story(client: &Client, model: &str) -> Result<Vec<(u64, String)>> {
    let page = client
        .get(&format!("/api/v1/models/{model}/events"))
        .await?;
    let page = page.succeeded()?.json()?;
    let events = page["events"].as_array().into_iter().flatten().rev();
    let line = |event: &Value| {
        let kind = event["type"].as_str().unwrap_or_default().to_owned();
        (event["version"].as_u64().unwrap_or_default(), kind)
    };
    Ok(events.map(line).collect())
}
