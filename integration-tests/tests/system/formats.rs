//! Every format of the contract, compared byte by byte with what a worker answers that is asked directly.

use std::sync::Arc;

use anyhow::{Context, Result};
use integration_tests::{Answer, Test, World, score_path, tests};
use reqwest::Method;
use serde_json::Value;

const COLUMNS: &str =
    r#""columns": ["sepal_length", "sepal_width", "petal_length", "petal_width"]"#;
const DATA: &str = r#""data": [[5.1, 3.5, 1.4, 0.2], [6.70, 3.0e0, 5.2, 2.3]]"#;
const ROWS: &str = r#"[
    {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2},
    {"sepal_length": 6.70, "sepal_width": 3.0e0, "petal_length": 5.2, "petal_width": 2.3}
]"#;
const CSV: &str =
    "sepal_length,sepal_width,petal_length,petal_width\n5.1,3.5,1.4,0.2\n6.7,3.0,5.2,2.3\n";

pub(crate) fn tests() -> Vec<Test> {
    tests![
        todays_formats_are_answered_as_the_worker_answers,
        formats_of_2020_are_answered_with_the_bare_value,
        shapes_of_language_models_pass_through,
        the_workers_own_errors_are_passed_on,
        translation_changes_no_byte_of_a_value,
        content_types_are_read_leniently,
        answers_say_who_answered,
    ]
}

async fn todays_formats_are_answered_as_the_worker_answers(world: Arc<World>) -> Result<()> {
    let bodies = [
        format!(r#"{{"dataframe_records": {ROWS}}}"#),
        format!(r#"{{"dataframe_records": {ROWS}, "params": {{"unknown": 1}}}}"#),
        format!(r#"{{"dataframe_split": {{{COLUMNS}, {DATA}}}}}"#),
        format!(r#"{{"instances": {ROWS}}}"#),
        format!(r#"{{"inputs": {ROWS}}}"#),
        r#"{"inputs": {"sepal_length": [5.1], "sepal_width": [3.5], "petal_length": [1.4], "petal_width": [0.2]}}"#
            .to_owned(),
    ];
    for body in bodies {
        let [ours, workers] = both(&world, "application/json", &body).await?;
        assert_eq!(workers.status, 200, "{body}: {}", workers.text());
        assert_same(&ours, &workers, &body);
    }
    for content_type in ["text/csv", "text/csv; charset=utf-8"] {
        let [ours, workers] = both(&world, content_type, CSV).await?;
        assert_eq!(workers.text(), r#"{"predictions": [0, 2]}"#);
        assert_same(&ours, &workers, content_type);
    }
    Ok(())
}

async fn formats_of_2020_are_answered_with_the_bare_value(world: Arc<World>) -> Result<()> {
    let client = world.iris().await?;
    let split = format!("{{{COLUMNS}, {DATA}}}");
    let requests = [
        ("application/json; format=pandas-records", ROWS),
        ("application/json", ROWS),
        ("application/json; format=pandas-split", &split),
        ("application/json", &split),
        ("application/json-numpy-split", &split),
    ];
    for (content_type, body) in requests {
        let answer = client
            .score("iris", "1", content_type, body.to_owned())
            .await?;
        assert_eq!(answer.text(), "[0, 2]", "{content_type} {body}");
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), "application/json");
    }
    Ok(())
}

async fn shapes_of_language_models_pass_through(world: Arc<World>) -> Result<()> {
    let client = world.scripted().await?;
    for body in [
        r#"{"messages": [{"role": "user", "content": "columns, data"}], "max_tokens": 8}"#,
        r#"{"prompt": "[1, 2]"}"#,
        r#"{"input": ["a", "b"]}"#,
    ] {
        let answer = client
            .score("scripted", "1", "application/json", body)
            .await?;
        assert_eq!(answer.text(), format!(r#"{{"heard": {body}}}"#));
    }
    Ok(())
}

async fn the_workers_own_errors_are_passed_on(world: Arc<World>) -> Result<()> {
    let bodies = [
        r#"{"dataframe_records": [{"sepal_length": 5.1}]}"#,
        r#"{"dataframe_records": [{"sepal_length": "x", "sepal_width": 1, "petal_length": 1, "petal_width": 1}]}"#,
        r#"{"instances": [[5.1, 3.5, 1.4, 0.2]]}"#,
        r#"{"dataframe_records": ["#,
        "",
    ];
    for body in bodies {
        let [ours, workers] = both(&world, "application/json", body).await?;
        assert_eq!(workers.status, 400, "{body}");
        ours.refused(400)?;
        let (ours, workers) = (ours.json()?, workers.json()?);
        assert_eq!(ours["error_code"], workers["error_code"], "{body}");
        assert_eq!(ours["message"], workers["message"], "{body}");
        assert_eq!(ours["stack_trace"], Value::Null, "{body}");
    }
    Ok(())
}

async fn translation_changes_no_byte_of_a_value(world: Arc<World>) -> Result<()> {
    let client = world.scripted().await?;
    let values = [
        "12345678901234567890",
        "0.1000000000000000055511151231257827",
        "1E5",
        r#""\u00e9 é \" \\ {\"predictions\": [1]}""#,
        r#"{"z": 1, "a": [2.50, null, true], "z ": "}]"}"#,
    ];
    for value in values {
        let row = format!(r#"[{{"do": "echo", "value": {value}}}]"#);
        let today = format!(r#"{{"dataframe_records": {row}}}"#);
        let today = client
            .score("scripted", "1", "application/json", today)
            .await?;
        let old = client
            .score(
                "scripted",
                "1",
                "application/json; format=pandas-records",
                row,
            )
            .await?;
        assert_eq!(predictions(&today)?, old.text(), "{value}");
    }
    // No JSON, but what MLflow answers: passed on as it is.
    let row = r#"[{"do": "not_a_number"}]"#;
    let answer = client
        .score("scripted", "1", "application/json", row)
        .await?;
    assert_eq!(answer.text(), "[NaN, Infinity, 1.0]");
    Ok(())
}

async fn content_types_are_read_leniently(world: Arc<World>) -> Result<()> {
    let client = world.iris().await?;
    for content_type in [
        "Application/JSON; Format=pandas-records",
        "application/json;format=pandas-records",
        "application/json; format=\"pandas-records\"",
        "application/json; charset=UTF-8; format=pandas-records",
    ] {
        let answer = client.score("iris", "1", content_type, ROWS).await?;
        assert_eq!(answer.text(), "[0, 2]", "{content_type}");
    }
    let untyped = client
        .request(Method::POST, &score_path("iris", "1"))
        .body(ROWS);
    assert_eq!(Answer::of(untyped).await?.text(), "[0, 2]");
    Ok(())
}

async fn answers_say_who_answered(world: Arc<World>) -> Result<()> {
    let client = world.iris().await?;
    let request = client
        .request(Method::POST, &score_path("iris", "Production"))
        .header("X-Request-Id", "my-own-id");
    let answer = Answer::of(request.body(ROWS)).await?.succeeded()?;
    assert_eq!(answer.header("x-request-id"), "my-own-id");
    assert_eq!(answer.header("served-model-name"), "iris-1");
    assert_eq!(answer.header("x-sluicegate-version"), "1");
    let answer = client.score("iris", "1", "application/json", ROWS).await?;
    assert!(!answer.header("x-request-id").is_empty());
    Ok(())
}

/// The answers of the gateway and of a worker asked directly.
async fn both(world: &World, content_type: &str, body: &str) -> Result<[Answer; 2]> {
    let body = body.to_owned();
    let ours = world
        .iris()
        .await?
        .score("iris", "1", content_type, body.clone())
        .await?;
    let workers = world
        .scoring_server()
        .await?
        .score(content_type, body)
        .await?;
    Ok([ours, workers])
}

fn assert_same(ours: &Answer, workers: &Answer, of: &str) {
    assert_eq!(ours.text(), workers.text(), "{of}");
    assert_eq!(ours.status, workers.status, "{of}");
    assert_eq!(
        ours.header("content-type"),
        workers.header("content-type"),
        "{of}"
    );
}

/// The bytes that stand under `predictions`.
fn predictions(answer: &Answer) -> Result<String> {
    let text = answer.text();
    let value = text
        .strip_prefix(r#"{"predictions": "#)
        .and_then(|rest| rest.strip_suffix('}'));
    Ok(value.with_context(|| text.clone())?.to_owned())
}
