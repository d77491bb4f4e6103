//! While the registry cannot be reached, what was served goes on, also over a restart of the gateway.

use std::sync::Arc;

use anyhow::Result;
use integration_tests::{Client, Test, Wire, World, tests, until};
use serde_json::json;

pub(crate) fn tests() -> Vec<Test> {
    tests![what_was_served_goes_on_while_the_registry_is_down]
}

async fn what_was_served_goes_on_while_the_registry_is_down(world: Arc<World>) -> Result<()> {
    world.scripted().await?;
    let registry = world.registry().await?;
    let mut wire = Wire::to(world.mlflow().await?.address()).await?;
    let mut gateway = world.gateway_on(&wire.url()).await?.start().await?;
    gateway.client().enable("scripted", json!({})).await?;
    gateway
        .client()
        .until_answered_by("scripted", "Production", "a")
        .await?;

    wire.cut().await;
    until_registry(gateway.client(), false).await?;
    for reference in ["1", "Production"] {
        assert_eq!(gateway.client().which("scripted", reference).await?, "a");
    }

    // A cold start knows only what was stored.
    gateway.terminate().await?;
    gateway.start_again().await?;
    gateway
        .client()
        .until_answered_by("scripted", "Production", "a")
        .await?;
    until_registry(gateway.client(), false).await?;

    // What happened in the meantime is followed when it is back.
    registry
        .set_alias("scripted", "since_the_outage", 1)
        .await?;
    wire.mend()?;
    until_registry(gateway.client(), true).await?;
    gateway
        .client()
        .until_answered_by("scripted", "since_the_outage", "a")
        .await?;
    gateway.stop().await
}

async fn until_registry(client: &Client, reachable: bool) -> Result<()> {
    until(
        &format!("the registry's state is reachable={reachable}"),
        async || {
            let status = client.get("/api/v1/status").await?.succeeded()?.json()?;
            let seen = &status["registry"];
            Ok(if seen["reachable"] == reachable {
                Ok(())
            } else {
                Err(seen.clone())
            })
        },
    )
    .await
}
