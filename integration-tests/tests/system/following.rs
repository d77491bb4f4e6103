//! The registry is followed by itself: versions, stages, aliases, deletions.

use std::sync::Arc;

use anyhow::{Result, ensure};
use integration_tests::{Client, Stage, Test, World, process_lives, tests, until};
use serde_json::{Value, json};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        stages_and_aliases_follow_and_an_archived_version_goes,
        requests_in_flight_of_an_archived_version_finish,
        a_model_that_is_created_again_gives_no_stale_answer,
    ]
}

async fn stages_and_aliases_follow_and_an_archived_version_goes(world: Arc<World>) -> Result<()> {
    const MODEL: &str = "following";
    let (registry, models) = (world.registry().await?, world.models().await?);
    let client = world.client().await?;

    // Enabled before it has a version: each one that is registered later is deployed by itself.
    registry.create_model(MODEL).await?;
    client.enable(MODEL, json!({})).await?;
    registry
        .create_version(MODEL, models.scripted("a")?)
        .await?;
    client.until_answered_by(MODEL, "1", "a").await?;
    registry
        .create_version(MODEL, models.scripted("b")?)
        .await?;
    client.until_answered_by(MODEL, "2", "b").await?;
    assert_eq!(client.which(MODEL, "latest").await?, "b");

    refused_with_404(client, MODEL, "Production").await?;
    registry.transition(MODEL, 1, Stage::Production).await?;
    client.until_answered_by(MODEL, "Production", "a").await?;
    assert_eq!(client.which(MODEL, "production").await?, "a");
    registry.transition(MODEL, 2, Stage::Staging).await?;
    client.until_answered_by(MODEL, "Staging", "b").await?;
    // Two versions in one stage: the larger number.
    registry.transition(MODEL, 2, Stage::Production).await?;
    client.until_answered_by(MODEL, "Production", "b").await?;

    registry.set_alias(MODEL, "champion", 1).await?;
    client.until_answered_by(MODEL, "champion", "a").await?;
    registry.set_alias(MODEL, "champion", 2).await?;
    client.until_answered_by(MODEL, "@champion", "b").await?;
    registry.delete_alias(MODEL, "champion").await?;
    until_gone(client, MODEL, "champion").await?;

    let worker = client.worker(MODEL, "2").await?;
    let socket = socket(client, MODEL, "2").await?;
    ensure!(process_lives(worker), "the worker that has just answered");
    registry.transition(MODEL, 2, Stage::Archived).await?;
    until_gone(client, MODEL, "2").await?;
    client.until_answered_by(MODEL, "Production", "a").await?;
    assert_eq!(client.which(MODEL, "latest").await?, "a");
    until(
        "the archived version's process and socket are gone",
        async || {
            let left = (
                process_lives(worker),
                std::path::Path::new(&socket).exists(),
            );
            Ok(if left == (false, false) {
                Ok(())
            } else {
                Err(format!("{left:?}"))
            })
        },
    )
    .await?;

    client.disable(MODEL).await
}

async fn requests_in_flight_of_an_archived_version_finish(world: Arc<World>) -> Result<()> {
    const MODEL: &str = "in flight";
    let (registry, models) = (world.registry().await?, world.models().await?);
    let client = world.client().await?;
    registry.register(MODEL, &[models.scripted("a")?]).await?;
    client.enable(MODEL, json!({})).await?;
    client.until_ready(MODEL, 1).await?;

    let begun = world.run().await?.fresh("in-flight");
    let in_flight = client.script(MODEL, "1", "wait", begun.to_str());
    let archive = async {
        until("the request is being worked on", async || {
            Ok(if begun.exists() {
                Ok(())
            } else {
                Err("not yet")
            })
        })
        .await?;
        registry.transition(MODEL, 1, Stage::Archived).await?;
        until_gone(client, MODEL, "1").await?;
        std::fs::write(begun.with_extension("go"), "")?;
        anyhow::Ok(())
    };
    let (answer, archived) = tokio::join!(in_flight, archive);
    archived?;
    assert_eq!(answer?.succeeded()?.predictions()?, json!(["a"]));
    // MLflow's server finishes what it has when it is told to stop; nobody may have told it before.
    let retired = until("the version is retired", async || {
        let mut events = client.events(MODEL, 1).await?.into_iter();
        Ok(events
            .find(|event| event["type"] == "retired")
            .ok_or("not yet"))
    })
    .await?;
    assert_eq!(retired["details"]["abandoned"], 0, "{retired}");
    client.disable(MODEL).await
}

async fn a_model_that_is_created_again_gives_no_stale_answer(world: Arc<World>) -> Result<()> {
    const MODEL: &str = "again";
    let (registry, models) = (world.registry().await?, world.models().await?);
    let client = world.client().await?;
    registry.register(MODEL, &[models.scripted("a")?]).await?;
    client.enable(MODEL, json!({})).await?;
    client.until_answered_by(MODEL, "1", "a").await?;

    // Seen to be gone, then there again under the same name and number.
    registry.delete_model(MODEL).await?;
    until_gone(client, MODEL, "1").await?;
    registry.register(MODEL, &[models.scripted("b")?]).await?;
    until("version 1 is the new one", async || {
        let answer = client.script(MODEL, "1", "which", Value::Null).await?;
        ensure!(!answer.text().contains("\"a\""), "a stale answer");
        Ok(if answer.status == 200 {
            Ok(())
        } else {
            Err(answer.text())
        })
    })
    .await?;

    // Between two polls: only the time of creation tells them apart.
    registry.delete_model(MODEL).await?;
    registry.register(MODEL, &[models.scripted("c")?]).await?;
    client.until_answered_by(MODEL, "1", "c").await?;
    for _ in 0..10 {
        assert_eq!(client.which(MODEL, "1").await?, "c");
    }
    client.disable(MODEL).await
}

async fn until_gone(client: &Client, model: &str, reference: &str) -> Result<()> {
    until(&format!("{model}/{reference} is gone"), async || {
        let answer = client
            .script(model, reference, "which", Value::Null)
            .await?;
        Ok(if answer.status == 404 {
            Ok(())
        } else {
            Err(answer.text())
        })
    })
    .await
}

async fn refused_with_404(client: &Client, model: &str, reference: &str) -> Result<()> {
    let answer = client
        .script(model, reference, "which", Value::Null)
        .await?;
    assert_eq!(answer.refused(404)?, "RESOURCE_DOES_NOT_EXIST");
    Ok(())
}

/// The Unix socket that a scripted model's worker listens on.
async fn socket(client: &Client, model: &str, reference: &str) -> Result<String> {
    let answer = client
        .script(model, reference, "environment", Value::Null)
        .await?;
    let variables = answer.succeeded()?.predictions()?;
    let socket = variables["UVICORN_UDS"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    ensure!(
        std::path::Path::new(&socket).exists(),
        "{socket:?} is no socket"
    );
    Ok(socket)
}
