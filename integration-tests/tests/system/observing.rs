//! What a gateway tells of a request: one record in the access log and one trace; and what its admin listener answers.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use integration_tests::{
    Answer, Client, Collector, Gateway, Test, World, score_path, tests, until,
};
use serde_json::{Value, json};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

pub(crate) fn tests() -> Vec<Test> {
    tests![a_score_is_one_record_and_one_trace_and_the_admin_listener_asks_for_no_token]
}

async fn a_score_is_one_record_and_one_trace_and_the_admin_listener_asks_for_no_token(
    world: Arc<World>,
) -> Result<()> {
    const MODEL: &str = "observed";
    let (registry, models) = (world.registry().await?, world.models().await?);
    registry.register(MODEL, &[models.scripted("a")?]).await?;
    let collector = Collector::start().await?;
    let gateway = world
        .another_gateway()
        .await?
        .variable("SLUICEGATE_ADMIN_LISTEN", "127.0.0.1:0")
        .variable("SLUICEGATE_LOG_FORMAT", "json")
        .variable("SLUICEGATE_LOG_LEVEL", "warn")
        .variable("SLUICEGATE_ACCESS_LOG_ENABLED", "true")
        // The name of OpenTelemetry's own.
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())
        .start()
        .await?;
    let client = gateway.client();
    client.enable(MODEL, json!({})).await?;
    client.until_ready(MODEL, 1).await?;

    admin_answers(&gateway, MODEL).await?;

    let rows = json!({ "dataframe_records": [{ "do": "which", "value": "a secret row" }] });
    let request = client
        .request(reqwest::Method::POST, &score_path(MODEL, "1"))
        .header("Content-Type", "application/json")
        .header("X-Request-Id", "observed-1")
        .header("traceparent", format!("00-{TRACE}-{PARENT}-01"))
        .body(rows.to_string());
    Answer::of(request).await?.succeeded()?;

    let record = until("the record is written", async || {
        let log = gateway.log()?;
        let record = records(&log).find(|record| record["request_id"] == "observed-1");
        Ok(record.ok_or(log))
    })
    .await?;
    assert_eq!(record["route"], "/model/{name}/{reference}/invocations");
    assert_eq!(record["model"], MODEL);
    assert_eq!(record["version"], 1);
    assert_eq!(record["status"], 200);
    assert_eq!(record["outcome"], "answered");
    assert_eq!(record["principal"], "tester");
    assert_eq!(record["trace_id"], TRACE);
    assert_eq!(record["bytes_in"], rows.to_string().len());
    ensure!(
        record["worker_ms"].as_f64() <= record["total_ms"].as_f64(),
        "{record}"
    );
    // Nothing is told twice, and nothing of what was asked, or by whom with which token.
    let log = gateway.log()?;
    let told = records(&log).filter(|record| record["request_id"] == "observed-1");
    assert_eq!(told.count(), 1);
    let token = client.token().context("a token")?;
    ensure!(
        !log.contains("a secret row") && !log.contains(token),
        "{log}"
    );

    // What is still to be sent is sent at the end.
    gateway.stop().await?;
    let spans = collector.spans();
    let trace: Vec<_> = spans
        .iter()
        .filter(|span| hex(&span.trace_id) == TRACE)
        .collect();
    let named = |name: &str| {
        let span = trace.iter().find(|span| span.name == name);
        span.with_context(|| format!("{name} among {trace:?}"))
    };
    let request = named("POST /model/{name}/{reference}/invocations")?;
    assert_eq!(hex(&request.parent_span_id), PARENT);
    assert_eq!(named("queue")?.parent_span_id, request.span_id);
    assert_eq!(named("worker")?.parent_span_id, request.span_id);
    assert_eq!(trace.len(), 3, "{trace:?}");
    // The call that enabled the model was traced by itself.
    let enabled = "PUT /api/v1/models/{name}/serving";
    ensure!(spans.iter().any(|span| span.name == enabled), "{spans:?}");
    Ok(())
}

/// Without a token: health and figures, and nothing else.
async fn admin_answers(gateway: &Gateway, model: &str) -> Result<()> {
    let log = gateway.log()?;
    let line = log
        .lines()
        .find(|line| line.starts_with("health and metrics"));
    let (_, address) = line
        .and_then(|line| line.split_once("http://"))
        .context(log.clone())?;
    let admin = Client::new(format!("http://{address}"), None);
    for path in ["/healthz", "/readyz"] {
        admin.get(path).await?.succeeded()?;
    }
    let figures = admin.get("/metrics").await?;
    let figures = figures.succeeded()?.text();
    ensure!(figures.contains(model), "{figures}");
    for path in ["/api/v1/models", "/", &format!("/model/{model}/1/ping")] {
        assert_eq!(
            admin.get(path).await?.refused(404)?,
            "RESOURCE_DOES_NOT_EXIST"
        );
    }
    Ok(())
}

fn records(log: &str) -> impl Iterator<Item = Value> {
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .filter(|line| line["target"] == "access")
        .map(|mut line| line["fields"].take())
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}
