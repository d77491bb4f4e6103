//! What can be read of a model: events of one kind, logs as they are printed and as files, figures.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use integration_tests::{Client, Page, World, until};
use serde_json::Value;

use super::visit;

const MODEL: &str = "scripted";

pub(super) async fn events_are_filtered_logs_followed_and_taken_along_and_charts_hold_values(
    world: Arc<World>,
) -> Result<()> {
    let client = world.scripted().await?;
    visit(&world, client, async |page| {
        page.goto_model(MODEL, "events").await?;
        events(page).await?;
        logs(page, client).await?;
        charts(page, client).await
    })
    .await
}

/// One kind, then none of a kind, then all again.
async fn events(page: &Page) -> Result<()> {
    let ready = page.at("listitem", "callers can reach");
    let moved = page.at("listitem", "Production");
    ready.there().await?;
    moved.there().await?;
    let show = page.at("combobox", "Show");
    show.choose("Stages and aliases").await?;
    ready.gone().await?;
    moved.there().await?;
    show.choose("Trouble").await?;
    page.at("heading", "Nothing of this kind").there().await?;
    show.choose("Everything").await?;
    ready.there().await?;
    page.at("combobox", "Version").choose("1").await?;
    ready.there().await
}

/// A line that is printed while somebody looks, and the same in the file.
async fn logs(page: &Page, client: &Client) -> Result<()> {
    const NEWS: &str = "printed while the log of scripted was open";
    page.at("tab", "Logs").press().await?;
    let log = page.at("region", "Log");
    log.clone().there().await?;
    let failed = client.script(MODEL, "1", "raise", NEWS).await?;
    ensure!(failed.status >= 400, "{}", failed.text());
    log.live().shows(NEWS).await?;

    let link = page.at("button", "Download").attributes("href").await?;
    let link = link.first().context("a link")?.clone();
    let script = format!(
        "const done = arguments[arguments.length - 1];
         fetch({}).then(async (answer) => done([answer.headers.get('content-disposition'), await answer.text()]));",
        Value::from(link)
    );
    let (disposition, text): (String, String) = page.run_async(&script).await?;
    ensure!(disposition.starts_with("attachment"), "{disposition}");
    ensure!(text.contains(NEWS) && text.lines().count() > 1, "{text}");
    Ok(())
}

/// What was scored is drawn, and said in words.
async fn charts(page: &Page, client: &Client) -> Result<()> {
    page.at("tab", "Metrics").press().await?;
    page.shows("Requests/s").await?;
    until("a chart of answers that came", async || {
        ensure!(client.which(MODEL, "1").await? == "a");
        let charts = page.at("image", "Requests/s");
        let said = charts.attributes("aria-label").await?.concat();
        let (_, most) = said.split_once(" and ").unwrap_or_default();
        let most = most.split(|one: char| one != '.' && !one.is_ascii_digit());
        let most: f64 = most
            .map(|one| one.trim_end_matches('.'))
            .next()
            .unwrap_or("")
            .parse()
            .unwrap_or(0.0);
        Ok(if most > 0.0 { Ok(()) } else { Err(said) })
    })
    .await?;
    // A line of it, and its values one by one for those who do not see it.
    let drawn = "return [...document.querySelectorAll('svg.plot polyline')].some((line) => line.getAttribute('points') !== '');";
    page.holds("a line is drawn", drawn).await?;
    page.at("image", "Latency").shows("").await?;
    let memory = page.at("image", "Memory").attributes("aria-label").await?;
    ensure!(memory.concat().contains("MB"), "{memory:?}");
    page.at("image", "Rows a call").there().await?;
    Ok(())
}
