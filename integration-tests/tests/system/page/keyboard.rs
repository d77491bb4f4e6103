//! The keyboard alone.

use std::sync::Arc;

use anyhow::{Context, Result};
use integration_tests::{Key, World};

pub(super) async fn the_keyboard_alone_leads_from_signing_in_to_an_answer(
    world: Arc<World>,
) -> Result<()> {
    let client = world.iris().await?;
    let browser = world.browser().await?;
    browser
        .visit(client.base(), async |page| {
            page.goto("/").await?;
            // What is wanted first has the focus.
            page.at("heading", "Sign in").there().await?;
            page.keys(client.token().context("a token")?).await?;
            page.keys(Key::Enter).await?;
            page.at("row", "iris").there().await?;

            // The first stop leads over what is the same on each view.
            page.goto("/").await?;
            page.at("row", "iris").there().await?;
            page.tab_to("Skip to the content").await?;
            page.keys(Key::Enter).await?;

            page.tab_to("Search models").await?;
            page.keys("iris").await?;
            page.at("row", "iris").there().await?;
            page.tab_to("iris").await?;
            page.keys(Key::Enter).await?;
            page.at("article", "Version 1").there().await?;

            page.tab_to("Versions").await?;
            page.keys(Key::Right).await?;
            page.at("button", "Send Request").there().await?;
            page.tab_to("Load Example").await?;
            page.keys(Key::Enter).await?;
            page.shows("From your own program").await?;
            page.focus_is("Request body").await?;
            page.keys_with(Key::Control, Key::Enter).await?;
            page.at("region", "Body of the answer")
                .shows("predictions")
                .await?;

            // Dialogs keep the focus, and give it back.
            page.tab_back_to("Settings").await?;
            page.keys(Key::Enter).await?;
            page.at("dialog", "").there().await?;
            page.keys(Key::Escape).await?;
            page.at("dialog", "").gone().await?;
            page.focus_is("Settings").await
        })
        .await
}
