//! Every view, wide and narrow, light and dark: judged by axe-core, not wider than the window, and pictured.

use std::sync::Arc;

use anyhow::Result;
use integration_tests::{Page, Stage, World};
use serde_json::json;

use super::{deployed, pictures, visit};

const MODEL: &str = "seen from all sides, with a name that is a good deal longer than most";

pub(super) async fn each_view_is_usable_by_all_wide_and_narrow_light_and_dark(
    world: Arc<World>,
) -> Result<()> {
    let (registry, models) = (world.registry().await?, world.models().await?);
    world.iris().await?;
    registry.create_model("nothing registered yet").await?;
    let client = deployed(&world, MODEL, models.iris()?).await?;
    registry.transition(MODEL, 1, Stage::Production).await?;
    registry.set_alias(MODEL, "champion", 1).await?;
    registry.create_version(MODEL, models.refusing()?).await?;
    registry.transition(MODEL, 2, Stage::Staging).await?;
    client.until_failed(MODEL, 2).await?;

    visit(&world, client, async |page| {
        let pictures = pictures();
        page.at("row", MODEL).shows("1 failed").await?;
        page.look(&pictures, "models").await?;
        page.at("textbox", "Search models")
            .fill("no such model")
            .await?;
        page.at("heading", "No model matches").there().await?;
        page.look(&pictures, "models-none").await?;

        page.goto_model(MODEL, "versions").await?;
        page.at("article", "Version 1").shows("Ready").await?;
        page.at("article", "Version 2")
            .shows("refuses to load")
            .await?;
        page.look(&pictures, "versions").await?;
        dialogs(page).await?;
        call(page).await?;

        page.at("tab", "Events").press().await?;
        page.at("listitem", "Ready: callers can reach it")
            .there()
            .await?;
        page.look(&pictures, "events").await?;
        page.at("tab", "Logs").press().await?;
        page.at("region", "Log").shows("refuses to load").await?;
        page.look(&pictures, "logs").await?;
        page.at("tab", "Metrics").press().await?;
        page.shows("Requests/s").await?;
        page.look(&pictures, "metrics").await?;

        page.goto_model("nothing registered yet", "versions")
            .await?;
        page.at("button", "Enable Serving").there().await?;
        page.look(&pictures, "not-served").await
    })
    .await?;
    client.disable(MODEL).await
}

/// What opens above a view.
async fn dialogs(page: &Page) -> Result<()> {
    for (button, picture) in [("Settings", "settings"), ("Stop", "stop")] {
        page.at("button", button).press().await?;
        page.at("dialog", "").there().await?;
        page.look(&pictures(), picture).await?;
        page.at("dialog", "").at("button", "Cancel").press().await?;
        page.at("dialog", "").gone().await?;
    }
    Ok(())
}

/// Before anything was sent, an answer, and an error.
async fn call(page: &Page) -> Result<()> {
    page.at("tab", "Call it").press().await?;
    page.at("button", "Load Example").press().await?;
    page.look(&pictures(), "call").await?;
    page.at("button", "Send Request").press().await?;
    page.at("region", "Body of the answer")
        .shows("predictions")
        .await?;
    page.look(&pictures(), "call-answer").await?;
    let wrong = json!({ "dataframe_records": [{ "sepal_length": "long" }] });
    page.at("textbox", "Request body")
        .fill(&wrong.to_string())
        .await?;
    page.at("button", "Send Request").press().await?;
    page.at("region", "Body of the answer")
        .shows("message")
        .await?;
    page.look(&pictures(), "call-error").await
}
