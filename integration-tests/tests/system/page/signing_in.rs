//! Signing in and out, and the list of models.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use integration_tests::World;

use super::pictures;

/// The list of models has to be there for as little.
const FIRST_VIEW: u64 = 100_000;

pub(super) async fn a_person_signs_in_finds_a_model_and_signs_out(world: Arc<World>) -> Result<()> {
    let client = world.iris().await?;
    let browser = world.browser().await?;
    browser
        .visit(client.base(), async |page| {
            page.goto("/").await?;
            page.at("heading", "Sign in").there().await?;
            page.look(&pictures(), "sign-in").await?;

            page.at("textbox", "Token").fill("sgp_wrong").await?;
            page.at("button", "Sign in").press().await?;
            page.at("alert", "").shows("token").await?;
            ensure!(page.at("heading", "Sign in").count().await? == 1);

            let token = client.token().context("a token")?;
            page.at("textbox", "Token").fill(token).await?;
            page.at("button", "Sign in").press().await?;
            page.at("heading", "Models").there().await?;
            page.at("banner", "").shows("tester").await?;
            page.at("row", "iris").shows("Ready").await?;
            page.at("row", "iris").shows("Production").await?;
            let traffic = page.traffic().await?;
            ensure!(traffic.bytes > 10_000, "it is counted: {traffic:?}");
            ensure!(traffic.bytes < FIRST_VIEW, "{} bytes", traffic.bytes);

            // The session is kept by the browser, and by nothing that a script could read.
            page.goto("/").await?;
            page.at("row", "iris").there().await?;
            let cookies: String = page.run("return document.cookie;", vec![]).await?;
            assert_eq!(cookies, "");
            let kept: String = page
                .run(
                    "return JSON.stringify([{ ...localStorage }, { ...sessionStorage }]);",
                    vec![],
                )
                .await?;
            ensure!(!kept.contains(token), "{kept}");

            page.at("textbox", "Search models")
                .fill("no such model")
                .await?;
            page.at("heading", "No model matches").there().await?;
            page.at("textbox", "Search models").fill("iri").await?;
            page.at("row", "iris").at("link", "iris").press().await?;
            page.at("heading", "iris").there().await?;
            assert_eq!(page.path().await?, "/ui/models/iris");

            page.at("button", "Sign out").press().await?;
            page.at("heading", "Sign in").there().await?;
            page.goto("/").await?;
            page.at("heading", "Sign in").there().await
        })
        .await
}
