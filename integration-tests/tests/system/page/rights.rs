//! What callers without all rights see, and that the API refuses what they do not see.

use std::sync::Arc;

use anyhow::{Result, ensure};
use integration_tests::World;
use reqwest::Method;
use serde_json::json;

use super::{pictures, visit, with_rights};

pub(super) async fn a_reader_sees_nothing_that_would_be_refused(world: Arc<World>) -> Result<()> {
    const IDLE: &str = "read but not served";
    let client = world.iris().await?;
    world.registry().await?.create_model(IDLE).await?;
    let wish = json!({ "principal": "page-reader", "read": ["iris", IDLE] });
    let reader = with_rights(client, wish).await?;

    visit(&world, &reader, async |page| {
        page.at("row", "iris").shows("Ready").await?;
        page.at("row", IDLE).shows("Not served").await?;
        ensure!(page.at("button", "Enable").count().await? == 0);
        // Others' models are not there.
        let rows = page.at("row", "").count().await?;
        ensure!(rows == 3, "{rows} rows with the head");

        page.at("row", IDLE).at("link", IDLE).press().await?;
        page.shows("Who manages this model can enable serving").await?;
        ensure!(page.at("button", "Enable Serving").count().await? == 0);

        page.goto_model("iris", "versions").await?;
        page.at("article", "Version 1").shows("Ready").await?;
        for name in ["Stop", "Restart", "Enable Serving"] {
            ensure!(page.at("button", name).count().await? == 0, "{name}");
        }
        page.at("button", "Settings").press().await?;
        let dialog = page.at("dialog", "");
        dialog.shows("not change them").await?;
        ensure!(dialog.clone().at("button", "Save").count().await? == 0);
        page.look(&pictures(), "settings-of-a-reader").await?;
        dialog.clone().at("button", "Close").press().await?;
        dialog.gone().await?;

        // Reading is enough to score and to read logs.
        page.at("tab", "Call it").press().await?;
        page.at("button", "Load Example").press().await?;
        page.at("button", "Send Request").press().await?;
        page.at("region", "Body of the answer").shows("predictions").await?;
        page.at("tab", "Logs").press().await?;
        page.at("region", "Log").shows("POST /invocations").await?;

        // What is not shown is refused, also to a session with the page's own header.
        let refused: u16 = page
            .run_async(
                "const done = arguments[arguments.length - 1];
                 fetch('/api/v1/models/iris/serving', { method: 'DELETE', headers: { 'X-Sluicegate-Page': '1' } })
                     .then((answer) => done(answer.status));",
            )
            .await?;
        assert_eq!(refused, 403);
        Ok(())
    })
    .await?;
    let path = "/api/v1/models/iris/serving";
    let refused = reader.send(Method::PUT, path, json!({})).await?;
    assert_eq!(refused.refused(403)?, "PERMISSION_DENIED");
    Ok(())
}

pub(super) async fn who_has_no_rights_is_told_what_to_do(world: Arc<World>) -> Result<()> {
    let client = world.iris().await?;
    let nobody = with_rights(client, json!({ "principal": "page-nobody" })).await?;
    visit(&world, &nobody, async |page| {
        page.shows("ask who manages them").await?;
        ensure!(page.at("row", "iris").count().await? == 0);
        page.look(&pictures(), "no-models").await?;

        page.goto_model("iris", "versions").await?;
        page.shows("or you may not see it").await?;
        page.look(&pictures(), "no-such-model").await
    })
    .await
}
