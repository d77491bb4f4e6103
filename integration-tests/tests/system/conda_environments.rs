//! Environments of conda packages, which is what every model gets that says nothing else.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use integration_tests::{Client, Test, World, conda_yaml, lacking, tests};
use serde_json::{Value, json};

use crate::seed_snippets::the_bash_snippet;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_declaration_is_built_served_and_shared_by_the_versions_that_make_it,
        models_of_different_pythons_live_side_by_side_and_each_speaks_as_what_is_installed,
    ]
}

async fn a_declaration_is_built_served_and_shared_by_the_versions_that_make_it(
    world: Arc<World>,
) -> Result<()> {
    const MODEL: &str = "declared iris";
    let (registry, server) = (world.registry().await?, world.mlflow().await?);
    let iris = world.declared_iris().await?;
    let gateway = world.building_gateway().await?;
    let client = gateway.client();
    registry.register(MODEL, &[iris]).await?;
    client.enable(MODEL, json!({})).await?;
    client.until_ready(MODEL, 1).await?;
    assert_eq!(the_bash_snippet(client, MODEL, "1").await?, "[0]");

    // Other files, the same declaration in another spelling.
    let again = server.edited(iris, "declared-again", |folder| {
        let path = folder.join("conda.yaml");
        let text = std::fs::read_to_string(&path)?;
        let text = text.replace("name: mlflow-env", "name: another");
        Ok(std::fs::write(path, format!("# Edited.\n{text}"))?)
    });
    registry.create_version(MODEL, &again.await?).await?;
    client.until_ready(MODEL, 2).await?;
    let log = client.build_log(MODEL, 2).await?;
    ensure!(log.contains("reusing environment"), "{log}");
    ensure!(!log.contains("solving"), "{log}");
    assert_eq!(the_bash_snippet(client, MODEL, "2").await?, "[0]");

    let shared = environment_of(client, MODEL, 1).await?;
    let users = json!([{ "model": MODEL, "version": 1 }, { "model": MODEL, "version": 2 }]);
    assert_eq!(
        (&shared["env_manager"], &shared["used_by"]),
        (&json!("conda"), &users)
    );
    let python = world.environment().await?.python_version().await?;
    assert_eq!(shared["python"], json!(python));
    let key = shared["key"].as_str().context("a key")?;
    // Both workers run the interpreter of that environment, wherever else one is found on the way.
    let interpreter = gateway.data().join("environments").join(key).join("bin");
    let running = world.run().await?.processes_of(&interpreter);
    let workers = running
        .iter()
        .filter(|(_, line)| line.starts_with(&interpreter.display().to_string()));
    ensure!(workers.count() >= 2, "{running:?}");
    client.disable(MODEL).await
}

async fn models_of_different_pythons_live_side_by_side_and_each_speaks_as_what_is_installed(
    world: Arc<World>,
) -> Result<()> {
    let own = world.environment().await?.python_version().await?;
    let pythons = world.channels().await?.pythons()?;
    let others: Vec<_> = pythons
        .into_iter()
        .filter(|python| *python != own)
        .collect();
    let [first, second] = match &others[..] {
        [] => {
            return Err(lacking(
                "this machine has only one Python from 3.10 to 3.12",
            ));
        }
        [other] => [&own, other],
        [first, second, ..] => [first, second],
    };
    let (registry, server) = (world.registry().await?, world.mlflow().await?);
    let scripted = world.models().await?.scripted("a")?;
    let client = world.building_gateway().await?.client();

    let mlflow = world.environment().await?.mlflow_version().await?;
    let pinned = conda_yaml(first, &[&format!("mlflow=={mlflow}")]);
    let pinned = server.redeclared(scripted, "first-python", &pinned).await?;
    // As MLflow 1 declared itself: whichever version is the newest when the environment is built.
    let unpinned = server.edited(scripted, "second-python", |folder| {
        std::fs::write(folder.join("conda.yaml"), conda_yaml(second, &["mlflow"]))?;
        logged_by(folder, "1.30.1")
    });
    for (model, logged) in [("first python", pinned), ("second python", unpinned.await?)] {
        registry.register(model, &[&logged]).await?;
        client.enable(model, json!({})).await?;
    }
    for (model, python) in [("first python", first), ("second python", second)] {
        client.until_ready(model, 1).await?;
        let answer = client.script(model, "1", "python", Value::Null).await?;
        let answer = answer.succeeded()?.predictions()?;
        let version = answer.as_array().context("a version")?[..3].iter();
        let version: Vec<_> = version.map(Value::to_string).collect();
        assert_eq!(version.join("."), **python, "{model}");
    }

    // MLflow 1 took rows in this way, and no later one does: it is translated for the one that is there.
    let rows = r#"[{"do": "which", "value": null}]"#;
    let records = "application/json; format=pandas-records";
    let answer = client.score("second python", "1", records, rows).await?;
    assert_eq!(answer.succeeded()?.text(), r#"["a"]"#);
    let installed = environment_of(client, "second python", 1).await?;
    let mlflow = installed["mlflow"]
        .as_str()
        .context("a version of MLflow")?;
    ensure!(!mlflow.starts_with("1."), "{mlflow}");
    for model in ["first python", "second python"] {
        client.disable(model).await?;
    }
    Ok(())
}

/// The environment that a version uses.
async fn environment_of(client: &Client, model: &str, version: u64) -> Result<Value> {
    let user = json!({ "model": model, "version": version });
    let environments = client.environments().await?;
    let found: Vec<_> = environments
        .into_iter()
        .filter(|environment| {
            let users = environment["used_by"].as_array();
            users.is_some_and(|users| users.contains(&user))
        })
        .collect();
    ensure!(found.len() == 1, "{user} uses {found:?}");
    Ok(found.into_iter().next().unwrap_or_default())
}

/// Lets `MLmodel` say that it was another version of MLflow that logged the model.
fn logged_by(folder: &Path, mlflow: &str) -> Result<()> {
    let path = folder.join("MLmodel");
    let text = std::fs::read_to_string(&path)?;
    let lines = text.lines().map(|line| match line.split_once(": ") {
        Some(("mlflow_version", _)) => format!("mlflow_version: {mlflow}\n"),
        _ => format!("{line}\n"),
    });
    Ok(std::fs::write(&path, lines.collect::<String>())?)
}
