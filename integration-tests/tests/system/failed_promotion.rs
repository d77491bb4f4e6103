//! A promoted version that cannot start takes nothing away: the stage URI keeps answering from the old one.

use std::sync::Arc;

use anyhow::{Context, Result};
use integration_tests::{Stage, Test, World, tests};
use serde_json::{Value, json};

pub(crate) fn tests() -> Vec<Test> {
    tests![a_version_that_refuses_to_load_is_failed_and_the_old_one_answers]
}

async fn a_version_that_refuses_to_load_is_failed_and_the_old_one_answers(
    world: Arc<World>,
) -> Result<()> {
    const MODEL: &str = "refused";
    let (registry, models) = (world.registry().await?, world.models().await?);
    let client = world.client().await?;
    registry.register(MODEL, &[models.scripted("a")?]).await?;
    registry.transition(MODEL, 1, Stage::Production).await?;
    client.enable(MODEL, json!({})).await?;
    client.until_answered_by(MODEL, "Production", "a").await?;

    registry.create_version(MODEL, models.refusing()?).await?;
    registry.replace(MODEL, 2, Stage::Production).await?;
    let failed = client.until_state(MODEL, 2, "FAILED").await?;
    let reason = failed["last_error"].to_string();
    assert!(reason.contains("this model refuses to load"), "{reason}");

    // Version 1 is archived by now, and protected because the stage still points at it.
    for reference in ["Production", "1"] {
        assert_eq!(client.which(MODEL, reference).await?, "a", "{reference}");
    }
    let refused = client.script(MODEL, "2", "which", Value::Null).await?;
    assert_eq!(refused.refused(404)?, "RESOURCE_DOES_NOT_EXIST");

    let detail = client.model(MODEL).await?;
    let labels = detail["labels"].as_array().context("labels")?;
    let stage = labels.iter().find(|label| label["label"] == "Production");
    assert_eq!(stage.context("Production")?["current"], 1);
    assert_eq!(stage.context("Production")?["aspired"], 2);

    // The way out: another version.
    registry
        .create_version(MODEL, models.scripted("c")?)
        .await?;
    registry.replace(MODEL, 3, Stage::Production).await?;
    client.until_answered_by(MODEL, "Production", "c").await?;
    client.disable(MODEL).await
}
