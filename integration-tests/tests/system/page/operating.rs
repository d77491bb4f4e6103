//! What a manager does to a model that is served: its settings, and new workers.

use std::sync::Arc;

use anyhow::{Result, ensure};
use integration_tests::{Page, World};
use serde_json::Value;

use super::{deployed, visit_without_polling};

const MODEL: &str = "set and restarted";

pub(super) async fn settings_are_saved_or_refused_at_their_field_and_workers_replaced(
    world: Arc<World>,
) -> Result<()> {
    let client = deployed(&world, MODEL, world.models().await?.scripted("a")?).await?;
    visit_without_polling(&world, client, async |page| {
        page.goto_model(MODEL, "versions").await?;
        page.at("article", "Version 1").shows("Workers 1").await?;

        // What the server says of a value stands where the value does, and nothing was changed.
        settings(page, "max_queue", "many").await?;
        let dialog = page.at("dialog", "");
        let told = dialog.clone().at("alert", "max_queue").text().await?;
        ensure!(told.contains("allowed is a whole number"), "{told}");
        page.focus_is("max_queue").await?;
        let about = "const field = document.activeElement;
            const by = field.getAttribute('aria-describedby').split(' ');
            return field.getAttribute('aria-invalid') === 'true'
                && by.some((id) => document.getElementById(id).textContent.includes('allowed is a whole number'));";
        page.holds("it is read out with the field", about).await?;
        let before: Value = client.model(MODEL).await?["settings"]["max_queue"].clone();

        // In the same dialog it is put right.
        dialog.clone().at("textbox", "max_queue").fill("77").await?;
        dialog.clone().at("button", "Save").press().await?;
        dialog.gone().await?;
        let after = client.model(MODEL).await?;
        ensure!(before != 77 && after["settings"]["max_queue"] == 77, "{after}");

        // It is there for whoever opens it again, with where it comes from; an empty field is the default again.
        page.at("button", "Settings").press().await?;
        let field = dialog.clone().at("textbox", "max_queue");
        ensure!(field.value().await? == "77");
        dialog.shows("chosen here").await?;
        dialog.clone().at("button", "Cancel").press().await?;
        dialog.gone().await?;
        settings(page, "max_queue", "").await?;
        dialog.gone().await?;
        let after = client.model(MODEL).await?;
        ensure!(after["settings"]["max_queue"] == before, "{after}");

        // A new worker takes over, and who looks at the version sees it come.
        let worker = client.worker(MODEL, "1").await?;
        let shown = page.at("article", "Version 1");
        shown.clone().at("button", "Restart version 1").press().await?;
        shown.clone().live().shows("new workers come up").await?;
        shown.clone().patiently().at("status", "new workers").gone().await?;
        ensure!(client.worker(MODEL, "1").await? != worker, "the same worker");
        page.at("tab", "Events").press().await?;
        page.at("listitem", "tester").there().await
    })
    .await?;
    client.disable(MODEL).await
}

/// Opens the settings, changes one and saves.
async fn settings(page: &Page, key: &str, value: &str) -> Result<()> {
    page.at("button", "Settings").press().await?;
    let dialog = page.at("dialog", "");
    dialog.clone().at("textbox", key).fill(value).await?;
    dialog.at("button", "Save").press().await
}
