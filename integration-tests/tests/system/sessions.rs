//! A person's session at the real gateway: it outlives a restart, scores, is told nowhere, and is over when it was ended.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use integration_tests::{Answer, Client, Test, World, score_path, tests};
use reqwest::Method;
use serde_json::json;

const SESSION: &str = "/api/v1/session";

pub(crate) fn tests() -> Vec<Test> {
    tests![a_session_outlives_a_restart_and_its_end_does_too]
}

async fn a_session_outlives_a_restart_and_its_end_does_too(world: Arc<World>) -> Result<()> {
    const MODEL: &str = "signed-in";
    let (registry, models) = (world.registry().await?, world.models().await?);
    registry.register(MODEL, &[models.scripted("a")?]).await?;
    let mut gateway = world
        .another_gateway()
        .await?
        .variable("SLUICEGATE_LOG_LEVEL", "trace")
        .variable("SLUICEGATE_ACCESS_LOG_ENABLED", "true")
        .variable("SLUICEGATE_ACCESS_LOG_CONTROL_PLANE", "true")
        .start()
        .await?;
    gateway.client().enable(MODEL, json!({})).await?;
    gateway.client().until_ready(MODEL, 1).await?;

    let token = gateway.client().token().context("a token")?.to_owned();
    let page = gateway.client().with_token(None);
    let request = page
        .request(Method::POST, SESSION)
        .header("X-Sluicegate-Page", "1")
        .json(&json!({ "token": token }));
    let answer = Answer::of(request).await?.succeeded()?;
    let cookie = answer.headers["set-cookie"].to_str()?;
    let (cookie, _) = cookie.split_once(';').context("attributes")?;
    let cookie = cookie.to_owned();

    let score = async |page: &Client, is_from_page: bool| {
        let mut request = page
            .request(Method::POST, &score_path(MODEL, "1"))
            .header("Cookie", &cookie)
            .json(&json!({ "dataframe_records": [{ "do": "which", "value": 1 }] }));
        if is_from_page {
            request = request.header("X-Sluicegate-Page", "1");
        }
        Answer::of(request).await
    };
    score(&page, true).await?.succeeded()?;
    assert_eq!(score(&page, false).await?.refused(401)?, "UNAUTHENTICATED");

    gateway.terminate().await?;
    let first_log = gateway.log()?;
    gateway.start_again().await?;
    let page = gateway.client().with_token(None);
    gateway.client().until_ready(MODEL, 1).await?;
    score(&page, true).await?.succeeded()?;
    let request = page
        .request(Method::DELETE, SESSION)
        .header("Cookie", &cookie)
        .header("X-Sluicegate-Page", "1");
    Answer::of(request).await?.succeeded()?;
    assert_eq!(score(&page, true).await?.refused(401)?, "UNAUTHENTICATED");

    gateway.terminate().await?;
    let second_log = gateway.log()?;
    gateway.start_again().await?;
    let page = gateway.client().with_token(None);
    assert_eq!(score(&page, true).await?.refused(401)?, "UNAUTHENTICATED");

    let (_, value) = cookie.split_once('=').context("a value")?;
    for log in [first_log, second_log, gateway.log()?] {
        ensure!(!log.contains(value) && !log.contains(&token), "{log}");
    }
    gateway.stop().await
}
