//! Signing in and out, and the list of models.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use integration_tests::{World, until};
use serde_json::json;

use super::{pictures, with_rights};

/// Bytes: the list of models has to be there for as little.
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

/// From an empty cache to the list with its figures, followed live.
pub(super) async fn the_first_view_of_twenty_models_is_small(world: Arc<World>) -> Result<()> {
    let client = world.iris().await?;
    let registry = world.registry().await?;
    world.scripted().await?;
    // Two of them are served, and have figures.
    let mut names = vec!["iris".to_owned(), "scripted".to_owned()];
    for number in names.len()..20 {
        let name = format!("a small model {number:02}");
        registry.create_model(&name).await?;
        registry
            .describe(&name, "One of twenty, none of which is the largest")
            .await?;
        names.push(name);
    }
    let last = names.last().context("twenty")?.clone();
    let wish = json!({ "principal": "page-manager", "read": names, "manage": names });
    let manager = with_rights(client, wish).await?;
    let browser = world.browser().await?;
    browser
        .visit(client.base(), async |page| {
            page.sign_in(manager.token().context("a token")?).await?;
            page.at("row", "iris").shows("Ready").await?;
            page.at("row", &last).shows("Not served").await?;
            ensure!(page.at("row", "").count().await? == 21, "and the head");
            page.at("banner", "").shows("Live").await?;
            let traffic = until("the figures have come", async || {
                let traffic = page.traffic().await?;
                let came = |part: &str| traffic.answered.iter().any(|url| url.contains(part));
                let all = came("/api/v1/figures") && came("/api/v1/status");
                Ok(if all { Ok(traffic) } else { Err("not yet") })
            })
            .await?;
            ensure!(
                traffic.requests.iter().any(|url| url.contains("/events?")),
                "the stream is open: {:?}",
                traffic.requests
            );
            let bytes = traffic.bytes();
            let largest = traffic.largest();
            ensure!(bytes > 10_000, "it is counted: {largest:?}");
            ensure!(bytes < FIRST_VIEW, "{bytes} bytes: {largest:#?}");
            Ok(())
        })
        .await
}
