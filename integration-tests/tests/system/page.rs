//! The web page in a real browser, used as a person uses it: by what can be seen and what is read out.

mod signing_in;

use std::path::PathBuf;

use anyhow::{Context, Result};
use integration_tests::{Client, Page, Test, World, tests};

use signing_in::a_person_signs_in_finds_a_model_and_signs_out;

pub(crate) fn tests() -> Vec<Test> {
    tests![a_person_signs_in_finds_a_model_and_signs_out]
}

/// Where the pictures of all views are kept: build output.
fn pictures() -> PathBuf {
}

/// A person visits the gateway of `client` and is signed in with its token.
async fn visit(
    world: &World,
    client: &Client,
    visit: impl AsyncFnOnce(&Page) -> Result<()>,
) -> Result<()> {
    let browser = world.browser().await?;
    browser
        .visit(client.base(), async |page| {
            page.sign_in(client.token().context("a token")?).await?;
            visit(page).await
        })
        .await
}
