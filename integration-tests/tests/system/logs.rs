//! Logs of real workers: of attempts that failed, across a restart of the gateway, and by the ids of requests.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use integration_tests::{Answer, Client, Test, World, score_path, tests, until};
use reqwest::{Method, Response};
use serde_json::{Value, json};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        the_log_of_a_failed_attempt_is_there_after_the_success,
        a_log_is_followed_across_a_restart_without_losing_or_repeating_a_line,
        the_id_of_a_request_is_in_the_log_of_its_worker,
    ]
}

async fn the_log_of_a_failed_attempt_is_there_after_the_success(world: Arc<World>) -> Result<()> {
    const MODEL: &str = "failed-first";
    let (registry, models) = (world.registry().await?, world.models().await?);
    let gateway = world.gateway().await?;
    let client = gateway.client();
    registry.register(MODEL, &[models.scripted("a")?]).await?;
    // No interpreter starts with it.
    let broken = json!({"environment": {"PYTHONMALLOC": "nonsense"}});
    client.enable(MODEL, broken).await?;
    client.until_failed(MODEL, 1).await?;
    let shown = gateway.command(&["models", "logs", MODEL, "1"]).await?;
    ensure!(shown.contains("PYTHONMALLOC"), "{shown}");

    client.enable(MODEL, json!({"environment": {}})).await?;
    client.until_answered_by(MODEL, "1", "a").await?;
    let attempts = attempts(client, MODEL, "worker").await?;
    let outcomes: Vec<_> = attempts
        .iter()
        .map(|seen| seen["outcome"].as_str())
        .collect();
    assert_eq!(outcomes.first(), Some(&Some("failed")), "{attempts:?}");
    assert_eq!(outcomes.last(), Some(&Some("running")), "{attempts:?}");
    let failed = log(client, MODEL, "attempt=last-failed").await?;
    ensure!(
        failed.contains("PYTHONMALLOC") && !failed.contains("--- ready ---"),
        "{failed}"
    );
    let last = log(client, MODEL, "attempt=last").await?;
    ensure!(
        last.contains("--- ready ---") && !last.contains("PYTHONMALLOC"),
        "{last}"
    );
    let error = gateway
        .command(&[
            "models",
            "logs",
            MODEL,
            "1",
            "--attempt",
            "last-failed",
            "--contains",
            "pythonmalloc",
        ])
        .await?;
    ensure!(error.contains("PYTHONMALLOC"), "{error}");
    let listed = gateway
        .command(&["models", "logs", MODEL, "1", "--attempts"])
        .await?;
    ensure!(
        listed.contains("failed") && listed.contains("running"),
        "{listed}"
    );
    client.disable(MODEL).await
}

async fn a_log_is_followed_across_a_restart_without_losing_or_repeating_a_line(
    world: Arc<World>,
) -> Result<()> {
    const MODEL: &str = "scripted";
    world.scripted().await?;
    let mut gateway = world.another_gateway().await?.start().await?;
    gateway.client().enable(MODEL, json!({})).await?;
    gateway.client().until_answered_by(MODEL, "1", "a").await?;
    let mut seen = Vec::new();
    let mut stream = follow(gateway.client(), MODEL, None).await?;
    // Broken off in its middle: much more was sent than was taken.
    let last = taken(&mut stream, &mut seen, |seen| seen.len() == 2).await?;
    drop(stream);
    gateway.terminate().await?;
    gateway.start_again().await?;
    gateway.client().until_answered_by(MODEL, "1", "a").await?;

    let is_ready = |line: &String| line == "--- ready ---";
    let mut stream = follow(gateway.client(), MODEL, Some(&last)).await?;
    let both_are_ready = |seen: &[String]| seen.iter().filter(|line| is_ready(line)).count() == 2;
    taken(&mut stream, &mut seen, both_are_ready).await?;
    drop(stream);
    let whole = log(gateway.client(), MODEL, "tail=100000").await?;
    // Events leave out the colours of MLflow's warnings.
    let whole = whole.replace("\u{1b}[33m", "").replace("\u{1b}[0m", "");
    let whole: Vec<&str> = whole.lines().take(seen.len()).collect();
    assert_eq!(seen, whole);
    let attempts = attempts(gateway.client(), MODEL, "worker").await?;
    let outcomes: Vec<_> = attempts.iter().map(|seen| &seen["outcome"]).collect();
    assert_eq!(outcomes, ["stopped", "running"]);

    // A gateway that is killed says nothing, and the next one knows it.
    gateway.kill().await?;
    gateway.start_again().await?;
    let attempts = self::attempts(gateway.client(), MODEL, "worker").await?;
    assert_eq!(attempts[1]["outcome"], "interrupted");
    gateway.stop().await
}

async fn the_id_of_a_request_is_in_the_log_of_its_worker(world: Arc<World>) -> Result<()> {
    const MODEL: &str = "scripted";
    world.scripted().await?;
    let client = world.client().await?;
    let scored = async |action: &str, id: &str| {
        let rows = json!({"dataframe_records": [{"do": action, "value": "no such thing"}]});
        let request = client
            .request(Method::POST, &score_path(MODEL, "1"))
            .header("x-request-id", id)
            .json(&rows);
        Answer::of(request).await
    };
    let logged = async |text: &str| {
        until(&format!("the log has {text}"), async || {
            let found = log(client, MODEL, &format!("contains={text}")).await?;
            Ok(if found.is_empty() {
                Err(found)
            } else {
                Ok(found)
            })
        })
        .await
    };
    scored("which", "wanted-4711").await?.succeeded()?;
    let line = logged("wanted-4711").await?;
    ensure!(
        line.contains("request_id=wanted-4711") && line.contains("200"),
        "{line}"
    );
    let answer = scored("raise", "a\"b&c").await?;
    ensure!(answer.status >= 400, "{}", answer.text());
    logged("request_id=a%2522b%2526c").await?;
    // Beside it, the trace that the caller was not told.
    let note = logged("request%20a%22b%26c:").await?;
    ensure!(note.contains("Traceback"), "{note}");
    Ok(())
}

async fn log(client: &Client, model: &str, query: &str) -> Result<String> {
    let path = format!("/api/v1/models/{model}/versions/1/logs?{query}");
    Ok(client.get(&path).await?.succeeded()?.text())
}

async fn attempts(client: &Client, model: &str, kind: &str) -> Result<Vec<Value>> {
    let path = format!("/api/v1/models/{model}/versions/1/logs/attempts?kind={kind}");
    let answer = client.get(&path).await?.succeeded()?.json()?;
    answer["attempts"].as_array().cloned().context("a list")
}

async fn follow(client: &Client, model: &str, last: Option<&str>) -> Result<Response> {
    let path = format!("/api/v1/models/{model}/versions/1/logs?tail=100000&follow=true");
    let mut request = client
        .request(Method::GET, &path)
        .header("accept", "text/event-stream");
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    Ok(request.send().await?.error_for_status()?)
}

/// Takes lines off a stream of events until there are enough; gives the id of the last one.
async fn taken(
    stream: &mut Response,
    seen: &mut Vec<String>,
    enough: impl Fn(&[String]) -> bool,
) -> Result<String> {
    let mut text = String::new();
    loop {
        let piece = stream.chunk().await?.context("the stream goes on")?;
        text.push_str(std::str::from_utf8(&piece)?);
        while let Some((event, rest)) = text.split_once("\n\n") {
            let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
            if let (Some(id), Some(data)) = (field("id: "), field("data: ")) {
                seen.push(data.to_owned());
                if enough(seen) {
                    return Ok(id.to_owned());
                }
            }
            let taken = text.len() - rest.len();
            text.drain(..taken);
        }
    }
}
