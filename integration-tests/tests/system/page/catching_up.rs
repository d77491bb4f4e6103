//! Connections that break and gateways that start anew: the page follows again by itself, in the same document.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use integration_tests::{Gateway, Stage, Wire, World};
use serde_json::json;

const MODEL: &str = "caught up with";

pub(super) async fn the_page_catches_up_after_a_cut_connection_and_a_restart_of_the_gateway(
    world: Arc<World>,
) -> Result<()> {
    let (registry, models) = (world.registry().await?, world.models().await?);
    registry
        .register(MODEL, &[models.scripted("a")?, models.scripted("b")?])
        .await?;
    registry.transition(MODEL, 1, Stage::Production).await?;
    let mut gateway = world.another_gateway().await?.start().await?;
    let mut wire = Wire::to(address(&gateway)?).await?;
    gateway.client().enable(MODEL, json!({})).await?;
    gateway.client().until_ready(MODEL, 1).await?;
    gateway.client().until_ready(MODEL, 2).await?;
    let token = gateway.client().token().context("a token")?.to_owned();

    let browser = world.browser().await?;
    let url = wire.url();
    browser
        .visit(&url, async |page| {
            page.without_polling().await?;
            page.sign_in(&token).await?;
            page.at("row", MODEL).at("link", MODEL).press().await?;
            page.at("article", "Version 1").shows("Production").await?;
            page.at("banner", "").shows("Live").await?;
            page.mark().await?;

            // What changes while the line is cut, is there when it is mended.
            wire.cut().await;
            page.at("banner", "").shows("Reconnecting").await?;
            registry.replace(MODEL, 2, Stage::Production).await?;
            gateway
                .client()
                .until_answered_by(MODEL, "Production", "b")
                .await?;
            wire.mend()?;
            page.at("banner", "").shows("Live").await?;
            let second = page.at("article", "Version 2");
            second.live().shows("Production").await?;

            // The gateway is killed, and another takes its place: the session holds, and so does the page.
            gateway.kill().await?;
            page.at("banner", "").shows("Reconnecting").await?;
            wire.cut().await;
            gateway.start_again().await?;
            wire.mend_to(address(&gateway)?)?;
            page.at("banner", "").shows("Live").await?;
            page.at("article", "Version 2")
                .patiently()
                .shows("Ready")
                .await?;

            // And it is followed as before.
            registry.set_alias(MODEL, "champion", 2).await?;
            gateway
                .client()
                .until_answered_by(MODEL, "champion", "b")
                .await?;
            let second = page.at("article", "Version 2");
            second.live().shows("@champion").await?;
            ensure!(page.is_marked().await?, "the page was loaded anew");
            Ok(())
        })
        .await?;
    gateway.stop().await
}

fn address(gateway: &Gateway) -> Result<SocketAddr> {
    let base = gateway.client().base();
    let address = base.strip_prefix("http://").context("a URL")?;
    Ok(address.parse()?)
}
