//! The OpenAPI documents before those who read them: a validator, a generator of clients, and a tester.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use integration_tests::{Client, Environment, Test, World, command, output, tests};
use serde_json::{Value, json};
use tokio::process::Command;

const GENERAL: &str = "/api/openapi.json";
const OF_IRIS: &str = "/model/iris/Production/openapi.json";

/// What a tester looks for: faults, and answers that the document does not know.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,unsupported_method,ignored_auth";

pub(crate) fn tests() -> Vec<Test> {
    tests![
        both_documents_are_valid,
        a_generated_client_scores,
        no_call_has_a_fault_or_an_undocumented_answer,
        no_score_has_a_fault_or_an_undocumented_answer,
    ]
}

async fn both_documents_are_valid(world: Arc<World>) -> Result<()> {
    let client = world.iris().await?;
    let folder = world.run().await?.folder("openapi")?;
    let mut validator = tool("openapi-spec-validator").await?;
    for path in [GENERAL, OF_IRIS] {
        validator.arg(saved(client, path, &folder).await?);
    }
    let printed = output(validator).await?;
    ensure!(printed.matches(": OK").count() == 2, "{printed}");
    Ok(())
}

async fn a_generated_client_scores(world: Arc<World>) -> Result<()> {
    let client = world.iris().await?;
    let folder = world.run().await?.folder("openapi")?;
    let configuration = folder.join("configuration.yaml");
    std::fs::write(&configuration, "post_hooks: []\n")?;
    let mut generate = tool("openapi-python-client").await?;
    generate
        .args(["generate", "--meta", "none", "--path"])
        .arg(saved(client, OF_IRIS, &folder).await?)
        .arg("--output-path")
        .arg(folder.join("iris_client"))
        .arg("--config")
        .arg(configuration);
    output(generate).await?;

    let mut score = command(Environment::openapi().await?.python());
    score
        .env("PYTHONPATH", &folder)
        .arg(python("generated_client.py"))
        .args([client.base(), client.token().context("a token")?]);
    let printed: Value = serde_json::from_str(&output(score).await?)?;
    assert_eq!(printed, json!([[0, 2], [0, 2], [0, 2], "UNAUTHENTICATED"]),);
    Ok(())
}

async fn no_call_has_a_fault_or_an_undocumented_answer(world: Arc<World>) -> Result<()> {
    world.iris().await?;
    let registry = world.registry().await?;
    // Whatever is done to it starts no worker.
    registry.create_model("bare").await?;
    let gateway = world.another_gateway().await?.start().await?;
    let client = gateway.client();
    client.enable("iris", json!({})).await?;
    client.until_ready("iris", 1).await?;
    let folder = world.run().await?.folder("openapi")?;
    // Scores are another test's.
    tested(
        client,
        GENERAL,
        &folder,
        &["--exclude-path-regex", "^/model/"],
    )
    .await?;
    gateway.stop().await
}

async fn no_score_has_a_fault_or_an_undocumented_answer(world: Arc<World>) -> Result<()> {
    let client = world.iris().await?;
    let folder = world.run().await?.folder("openapi")?;
    tested(client, OF_IRIS, &folder, &[]).await
}

/// Calls what the document describes, with bounded, always the same examples.
async fn tested(client: &Client, document: &str, folder: &Path, more: &[&str]) -> Result<()> {
    let schemathesis = Environment::openapi().await?.program("schemathesis");
    let token = client.token().context("a token")?;
    // It prints what it found to stdout; an error of the test shows stderr.
    let mut test = command("bash");
    test.args(["-c", "exec \"$0\" \"$@\" >&2"])
        .arg(schemathesis)
        .arg("run")
        .arg(saved(client, document, folder).await?)
        .args(["--url", client.base()])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--checks", CHECKS, "--phases", "examples,coverage,fuzzing"])
        .args([
            "--max-examples",
            "12",
            "--seed",
            "4",
            "--request-timeout",
            "60",
        ])
        .args(["--no-color", "--generation-database", "none"])
        .args(more)
        .env("SCHEMATHESIS_HOOKS", "schemathesis_hooks")
        .env("PYTHONPATH", python(""))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(folder);
    output(test).await?;
    Ok(())
}

/// A document as a file.
async fn saved(client: &Client, path: &str, folder: &Path) -> Result<PathBuf> {
    let document = client.get(path).await?.succeeded()?;
    let file = folder.join(path.replace('/', "_"));
    std::fs::write(&file, document.text())?;
    Ok(file)
}

async fn tool(name: &str) -> Result<Command> {
    Ok(command(Environment::openapi().await?.program(name)))
}

fn python(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("python")
        .join(name)
}
