//! Names, descriptions, tags, log lines and answers that are markup to whoever takes text for markup.

use std::sync::Arc;

use anyhow::{Result, ensure};
use integration_tests::{Client, Page, World};
use serde_json::json;

use super::{deployed, visit};

/// As a name: MLflow allows neither slash nor colon.
const NAME: &str = r#""><img src=x onerror=alert(1)>'`${alert(2)}"#;

/// As text.
const TEXT: &str =
    r#""><img src=x onerror=alert(3)><script>alert(4)</script><a href="javascript:alert(5)">x</a>"#;

/// Everything in the page that text could have become.
const MADE: &str = "
    return [
        ...[...document.images].filter((one) => !one.src.endsWith('/ui/icon.svg')),
        ...[...document.scripts].filter((one) => !one.src.endsWith('/ui/app.js')),
        ...document.querySelectorAll('[onerror], [onload], iframe, object, embed, [href^=\"javascript:\" i]'),
    ].map((one) => one.outerHTML);";

pub(super) async fn nothing_runs_of_what_names_tags_logs_and_answers_hold(
    world: Arc<World>,
) -> Result<()> {
    let (registry, models) = (world.registry().await?, world.models().await?);
    let client = deployed(&world, NAME, models.scripted("a")?).await?;
    registry.describe(NAME, TEXT).await?;
    registry.set_tag(NAME, "sluicegate.replicas", TEXT).await?;
    registry.set_alias(NAME, "champion", 1).await?;
    // Into the worker's log, as an error.
    let failed = client.script(NAME, "1", "raise", TEXT).await?;
    ensure!(failed.status >= 400, "{}", failed.text());

    visit(&world, client, async |page| {
        page.at("textbox", "Search models").fill("onerror").await?;
        page.at("row", NAME).shows("Ready").await?;
        page.at("row", NAME)
            .shows(r"<script>alert(4)</script>")
            .await?;
        nothing_made(page).await?;
        page.at("row", NAME).at("link", NAME).press().await?;
        page.at("heading", NAME).there().await?;
        let title = page.run::<String>("return document.title;", vec![]).await?;
        ensure!(title.contains(NAME), "{title}");
        page.shows(r"<script>alert(4)</script>").await?;
        // The tag is refused, and said to be, in its own words.
        page.shows("sluicegate.replicas").await?;
        page.at("article", "Version 1").shows("/model/").await?;
        nothing_made(page).await?;

        call(page, client).await?;

        page.at("tab", "Events").press().await?;
        page.at("listitem", "Ready: callers can reach it")
            .there()
            .await?;
        nothing_made(page).await?;

        page.at("tab", "Logs").press().await?;
        page.at("textbox", "Search").fill("<img src=x").await?;
        page.at("region", "Log").shows("onerror=alert(3)").await?;
        nothing_made(page).await?;

        page.at("tab", "Metrics").press().await?;
        page.shows("Requests/s").await?;
        nothing_made(page).await?;

        page.at("button", "Settings").press().await?;
        page.at("dialog", "").shows(NAME).await?;
        nothing_made(page).await?;
        page.at("dialog", "").at("button", "Cancel").press().await?;
        page.at("button", "Stop").press().await?;
        page.at("dialog", "").shows(NAME).await?;
        nothing_made(page).await?;
        page.at("dialog", "").at("textbox", "").fill(NAME).await?;
        page.at("dialog", "")
            .at("button", "Stop serving")
            .press()
            .await?;
        page.at("button", "Enable Serving")
            .patiently()
            .there()
            .await?;

        // Every one of these addresses can be gone to.
        for view in ["versions", "call", "events", "logs", "metrics"] {
            page.goto_model(NAME, view).await?;
            page.at("heading", NAME).there().await?;
            nothing_made(page).await?;
        }
        Ok(())
    })
    .await
}

/// Answers, and errors, that are markup.
async fn call(page: &Page, client: &Client) -> Result<()> {
    page.at("tab", "Call it").press().await?;
    // MLflow keeps what a model raised to itself, and to the log.
    for (action, shown) in [
        ("raise", "BAD_REQUEST"),
        ("echo", "<img src=x onerror=alert(3)>"),
    ] {
        let row = json!({ "dataframe_records": [{ "do": action, "value": TEXT }] });
        page.at("textbox", "Request body")
            .fill(&row.to_string())
            .await?;
        page.at("button", "Send Request").press().await?;
        page.at("region", "Body of the answer").shows(shown).await?;
        nothing_made(page).await?;
    }
    // The programs hold the name and the body, too.
    for program in [
        "curl",
        "Python (requests)",
        "Python (pandas)",
        "PowerShell",
        "Power BI",
    ] {
        page.at("button", program).press().await?;
        page.at("code", client.base()).there().await?;
        nothing_made(page).await?;
    }
    Ok(())
}

async fn nothing_made(page: &Page) -> Result<()> {
    let made: Vec<String> = page.run(MADE, vec![]).await?;
    ensure!(made.is_empty(), "text became markup: {made:?}");
    page.guarded().await
}
