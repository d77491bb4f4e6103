//! A version whose environment cannot be built: a newcomer finds the reason.

use std::sync::Arc;

use anyhow::{Result, ensure};
use integration_tests::World;
use serde_json::json;

use super::{pictures, visit};

const MODEL: &str = "cannot be built";

/// What its requirements name, and no index has.
const REASON: &str = "sluicegate-no-such-package";

pub(super) async fn a_newcomer_finds_out_why_a_build_failed_in_two_clicks(
    world: Arc<World>,
) -> Result<()> {
    let (registry, models) = (world.registry().await?, world.models().await?);
    let client = world.client().await?;
    registry.register(MODEL, &[models.impossible()?]).await?;
    client.enable(MODEL, json!({ "env_manager": "uv" })).await?;
    client.until_failed(MODEL, 1).await?;

    visit(&world, client, async |page| {
        // The list says that something is wrong.
        page.at("row", MODEL).shows("1 failed").await?;
        // One click: what, in plain words.
        page.at("row", MODEL).at("link", MODEL).press().await?;
        let version = page.at("article", "Version 1");
        version.shows("Failed").await?;
        version.shows(REASON).await?;
        // Two: what the tool printed.
        version.clone().at("button", "last lines").press().await?;
        let lines = version.clone().at("code", REASON).text().await?;
        ensure!(lines.contains(REASON), "{lines}");
        page.look(&pictures(), "failed-version").await?;

        // All of it is in the log, which opens at the build of that version.
        version.at("link", "Logs").press().await?;
        page.at("region", "Log").shows(REASON).await
    })
    .await?;
    client.disable(MODEL).await
}
