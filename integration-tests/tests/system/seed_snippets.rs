//! The snippets of the documentation that people copied from in 2020 work word for word, apart from host and token.

use std::sync::Arc;

use anyhow::{Context, Result};
use integration_tests::{Client, Test, World, command, output, score_path, tests};
use serde_json::{Value, json};

const BASH: &str = include_str!("seed_snippets/score.sh");
const PYTHON: &str = include_str!("seed_snippets/score.py");

/// Rows that the Power BI query posts at a time.
const CHUNK: usize = 256;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        the_bash_snippet_answers_a_bare_list,
        the_python_snippet_answers_a_bare_list,
        the_power_bi_query_gets_a_thousand_predictions_in_order,
    ]
}

async fn the_bash_snippet_answers_a_bare_list(world: Arc<World>) -> Result<()> {
    let client = world.iris().await?;
    for reference in ["1", "Production"] {
        let answer = the_bash_snippet(client, "iris", reference).await?;
        assert_eq!(answer, "[0]", "{reference}");
    }
    Ok(())
}

/// What it prints.
pub(crate) async fn the_bash_snippet(
    client: &Client,
    model: &str,
    reference: &str,
) -> Result<String> {
    let mut bash = command("bash");
    bash.args(["-c", BASH])
        .env("MODEL_VERSION_URI", uri(client, model, reference))
        .env("DATABRICKS_API_TOKEN", client.token().context("a token")?);
    output(bash).await
}

async fn the_python_snippet_answers_a_bare_list(world: Arc<World>) -> Result<()> {
    let client = world.iris().await?;
    let (definition, call) = PYTHON
        .trim_end()
        .rsplit_once('\n')
        .context("the last line is the call")?;
    let script = format!(
        "MODEL_VERSION_URI = {:?}\nDATABRICKS_API_TOKEN = {:?}\n{definition}\nprint({call})",
        uri(client, "iris", "Production"),
        client.token().context("a token")?,
    );
    let mut python = command(world.environment().await?.python());
    python.args(["-c", &script]);
    assert_eq!(output(python).await?, "[0]\n");
    Ok(())
}

/// `Table.Split(dataset, 256)`, each chunk posted by `Json.FromValue`, `List.Combine` of the answers.
async fn the_power_bi_query_gets_a_thousand_predictions_in_order(world: Arc<World>) -> Result<()> {
    let client = world.scripted().await?;
    let rows: Vec<Value> = (0..1000)
        .map(|number| json!({ "do": "echo", "value": number }))
        .collect();
    let mut combined = Vec::new();
    for chunk in rows.chunks(CHUNK) {
        let body = serde_json::to_vec(chunk)?;
        let answer = client
            .score(
                "scripted",
                "Production",
                "application/json; format=pandas-records",
                body,
            )
            .await?
            .succeeded()?;
        combined.extend(serde_json::from_slice::<Vec<u64>>(&answer.body)?);
    }
    assert_eq!(combined, (0..1000).collect::<Vec<u64>>());
    Ok(())
}

fn uri(client: &Client, model: &str, reference: &str) -> String {
    format!("{}{}", client.base(), score_path(model, reference))
}
