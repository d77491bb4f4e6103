//! A person's whole way, from enabling serving to stopping it, in one document that is never loaded anew.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use integration_tests::{Client, Page, Stage, World, kill, until};
use serde_json::json;

use super::{pictures, visit_without_polling};

const MODEL: &str = "iris of the page";

const ROW: &str = r#"{"dataframe_records": [{"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}]}"#;

/// Notes each state that is shown of version 1, in order.
const WATCH: &str = r#"
    window.states = [];
    const look = () => {
        const text = document.querySelector('article[aria-label="Version 1"]')?.innerText ?? "";
        const state = /\b(Pending|Building|Starting|Ready|Failed)\b/.exec(text)?.[0];
        if (state !== undefined && states.at(-1) !== state) { states.push(state); }
    };
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
    look();
    return null;"#;

pub(super) async fn a_person_goes_the_whole_way_from_enabling_to_stopping(
    world: Arc<World>,
) -> Result<()> {
    let (registry, models) = (world.registry().await?, world.models().await?);
    let client = world.client().await?;
    registry.register(MODEL, &[models.iris()?]).await?;
    registry.transition(MODEL, 1, Stage::Production).await?;

    // Of a model that is not served, the list learns when it is looked at.
    until("the gateway has heard of the model", async || {
        let list = client.get("/api/v1/models?max_results=1000").await?.text();
        Ok(if list.contains(MODEL) {
            Ok(())
        } else {
            Err(list)
        })
    })
    .await?;

    visit_without_polling(&world, client, async |page| {
        page.mark().await?;
        let () = page.run(WATCH, vec![]).await?;
        enable(page).await?;
        score(page).await?;

        // Version 2 is registered and promoted in MLflow: the label moves here by itself.
        page.at("tab", "Versions").press().await?;
        page.at("main", "").shows("version 1").await?;
        registry.create_version(MODEL, models.iris()?).await?;
        page.at("article", "Version 2")
            .patiently()
            .shows("Ready")
            .await?;
        registry.transition(MODEL, 2, Stage::Production).await?;
        until_production_is_second(client).await?;
        let second = page.at("article", "Version 2");
        second.clone().live().shows("Production").await?;
        page.at("article", "Version 1")
            .live()
            .shows("Ready")
            .await?;

        // The worker of version 2 is killed.
        page.at("tab", "Events").press().await?;
        let version = client.version(MODEL, 2).await?;
        let worker = version["replicas_detail"][0]["process_id"].as_u64();
        kill(u32::try_from(worker.context("the worker of version 2")?)?);
        page.at("listitem", "a new one starts in")
            .live()
            .there()
            .await?;
        page.picture(&pictures(), "events-of-a-crash").await?;
        page.at("tab", "Versions").press().await?;
        second.clone().live().shows("Crashes 1").await?;
        second.clone().patiently().shows("Workers 1").await?;
        ensure!(
            client
                .score(MODEL, "2", "application/json", ROW)
                .await?
                .status
                == 200
        );

        // What it printed.
        second.at("link", "Logs").press().await?;
        page.at("textbox", "Search")
            .fill("startup complete")
            .await?;
        page.at("region", "Log")
            .shows("Application startup complete")
            .await?;

        stop(page).await?;
        let gone = client.score(MODEL, "2", "application/json", ROW).await?;
        assert_eq!(gone.status, 404);
        ensure!(page.is_marked().await?, "the page was loaded anew");
        Ok(())
    })
    .await
}

/// Waits until the gateway itself has moved the label.
async fn until_production_is_second(client: &Client) -> Result<()> {
    until("Production means version 2", async || {
        let model = client.model(MODEL).await?;
        let labels = model["labels"].as_array().context("labels")?;
        let moved = labels
            .iter()
            .any(|label| label["label"] == "Production" && label["current"] == 2);
        Ok(if moved { Ok(()) } else { Err(model) })
    })
    .await
}

/// From the list to a version that is ready, seen step by step.
async fn enable(page: &Page) -> Result<()> {
    page.at("textbox", "Search models")
        .fill("of the page")
        .await?;
    let row = page.at("row", MODEL);
    row.shows("Not served").await?;
    row.at("button", "Enable").press().await?;
    page.at("heading", MODEL).there().await?;
    let first = page.at("article", "Version 1");
    first.clone().patiently().shows("Ready").await?;
    let states: Vec<String> = page.run("return window.states;", vec![]).await?;
    ensure!(
        states.len() > 1 && states.last().is_some_and(|state| state == "Ready"),
        "the steps were seen: {states:?}"
    );
    let path = "/model/iris%20of%20the%20page/1/invocations";
    first.shows(path).await?;
    page.shows("/model/iris%20of%20the%20page/Production/invocations")
        .await
}

/// The example, sent by hand.
async fn score(page: &Page) -> Result<()> {
    page.at("tab", "Call it").press().await?;
    page.at("button", "Load Example").press().await?;
    let body = page.at("textbox", "Request body").value().await?;
    ensure!(body.contains("sepal_length"), "{body}");
    page.at("button", "Send Request").press().await?;
    page.shows("200").await?;
    let answer = page.at("region", "Body of the answer").text().await?;
    let answer: serde_json::Value = serde_json::from_str(&answer)?;
    // Two flowers of the first kind.
    assert_eq!(answer, json!({ "predictions": [0, 0] }));
    page.shows("version 1").await
}

/// Stops serving, by name.
async fn stop(page: &Page) -> Result<()> {
    page.at("button", "Stop").press().await?;
    let dialog = page.at("dialog", "");
    dialog.shows(MODEL).await?;
    let is_disabled = "return [...document.querySelectorAll('dialog button')].some((one) => one.disabled && one.innerText.includes('Stop'));";
    page.holds("what stops it waits for the name", is_disabled)
        .await?;
    dialog.clone().at("textbox", "").fill(MODEL).await?;
    dialog.clone().at("button", "Stop serving").press().await?;
    dialog.gone().await?;
    page.at("button", "Enable Serving")
        .patiently()
        .there()
        .await?;
    page.shows("Not served").await
}
