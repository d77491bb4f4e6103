//! Why there is no environment: what the API says of each kind of trouble. The sentences are golden files beside this one.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use integration_tests::{Client, Test, World, conda_yaml, platform, tests, until};
use serde_json::{Value, json};

/// Nobody listens on this port of any machine.
const NOBODY: &str = "http://127.0.0.1:1/conda-forge";

/// More than any disk has.
const ABSURD: u64 = 1 << 56;

/// What stands between two texts and differs: free room, keys, indexes of this machine, staging folders.
const VARYING: [(&str, &str, &str); 4] = [
    ("[data]/packages/packages has ", " left", "[some]"),
    ("packages of environment ", " are", "[key]"),
    ("(asked: ", ")", "[indexes]"),
    ("[data]/environments/.staging-", "/whole", "[staging]"),
];

pub(crate) fn tests() -> Vec<Test> {
    tests![
        what_cannot_be_solved_says_why,
        what_cannot_be_fetched_says_why,
        what_cannot_be_installed_or_imported_says_why,
        a_network_that_fails_is_tried_again,
    ]
}

async fn what_cannot_be_solved_says_why(world: Arc<World>) -> Result<()> {
    let case = |dependency: &str, python: &str| {
        conda_yaml(python, &["mlflow"]).replace("- pip<=25.3", &format!("- pip\n{dependency}"))
    };
    let own = world.environment().await?.python_version().await?;
    fail(
        &world,
        [
            ("package_not_found", case("- setuptool>=60", &own)),
            (
                "unsatisfiable",
                case("- setuptools>=80\n- setuptools<70", &own),
            ),
            ("python_not_available", case("- wheel", "3.6.1")),
            ("invalid_declaration", "dependencies: 3\n".to_owned()),
        ],
    )
    .await
}

async fn what_cannot_be_fetched_says_why(world: Arc<World>) -> Result<()> {
    let (run, channels) = (world.run().await?, world.channels().await?);
    let absurd = channels.altered(&run.folder("absurd")?, |entry| {
        if entry["name"] == "python" {
            entry["size"] = json!(ABSURD);
            // Not the one that an earlier build has cached: nothing of that would be downloaded.
            entry["sha256"] = json!("f".repeat(64));
        }
    })?;
    let mut digest = String::new();
    let forged = channels.altered(&run.folder("forged")?, |entry| {
        if entry["name"] == "wheel" {
            digest.push_str(entry["sha256"].as_str().unwrap_or_default());
            entry["sha256"] = json!("0".repeat(64));
        }
    })?;
    let own = world.environment().await?.python_version().await?;
    let of = |channel: &str| conda_yaml(&own, &["mlflow"]).replace("conda-forge", channel);
    let cases = [
        ("disk_full", of(&absurd)),
        ("hash_mismatch", of(&forged)),
        ("network", of(NOBODY)),
    ];
    let folders = [&absurd, &forged].map(|address| (address.clone(), "[channel]"));
    fail_besides(
        &world,
        cases,
        [(digest, "[digest]")].into_iter().chain(folders),
    )
    .await
}

async fn what_cannot_be_installed_or_imported_says_why(world: Arc<World>) -> Result<()> {
    let own = world.environment().await?.python_version().await?;
    let mlflow = world.environment().await?.mlflow_version().await?;
    // Enough to serve, not enough to load a model.
    let skinny = format!("mlflow-skinny=={mlflow}");
    fail(
        &world,
        [
            (
                "not_on_the_index",
                conda_yaml(&own, &["sluicegate-no-such-package==99"]),
            ),
            (
                "pip_unsatisfiable",
                conda_yaml(&own, &["six==1.16.0", "six==1.15.0"]),
            ),
            ("pip_failed", conda_yaml(&own, &["./refusing"])),
            ("mlflow_missing", conda_yaml(&own, &["six==1.16.0"])),
            ("import_failed", conda_yaml(&own, &[&skinny])),
        ],
    )
    .await
}

async fn a_network_that_fails_is_tried_again(world: Arc<World>) -> Result<()> {
    const MODEL: &str = "tried again";
    let client = declared(
        &world,
        MODEL,
        &conda_yaml("3.11", &["mlflow"]).replace("conda-forge", NOBODY),
    )
    .await?;
    until("the build is tried again", async || {
        let failure = client.until_failed(MODEL, 1).await?;
        let again = failure["attempts"].as_u64() >= Some(2);
        Ok(if again { Ok(()) } else { Err(failure) })
    })
    .await?;
    client.disable(MODEL).await
}

/// Has each declaration fail and compares what is said with the golden file of that name.
async fn fail<const N: usize>(world: &World, cases: [(&str, String); N]) -> Result<()> {
    fail_besides(world, cases, []).await
}

/// With further texts that differ from run to run.
async fn fail_besides<const N: usize>(
    world: &World,
    cases: [(&str, String); N],
    texts: impl IntoIterator<Item = (String, &'static str)>,
) -> Result<()> {
    let failures = cases.iter().map(async |(name, declaration)| {
        let client = declared(world, name, declaration).await?;
        let failure = client.until_failed(name, 1).await?;
        client.disable(name).await?;
        anyhow::Ok(failure)
    });
    let failures = try_join_all(failures).await?;
    let mut replaced: Vec<_> = texts.into_iter().collect();
    replaced.extend(machine(world).await?);
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("environment_failures");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for ((name, _), failure) in cases.iter().zip(&failures) {
        let mut told = told(failure)?;
        for (text, placeholder) in &replaced {
            told = told.replace(text, placeholder);
        }
        for (before, after, placeholder) in VARYING {
            told = blanked(&told, before, after, placeholder);
        }
        settings.bind(|| insta::assert_snapshot!(*name, told));
    }
    Ok(())
}

/// The failure as people and programs meet it. Of what Python says only the last line: the others depend on its version.
fn told(failure: &Value) -> Result<String> {
    let text = |field: &str| failure[field].as_str().with_context(|| failure.to_string());
    let mut told = format!(
        "{} ({})\n{}\n",
        text("code")?,
        text("kind")?,
        text("message")?
    );
    let lines = failure["last_lines"].as_array().into_iter().flatten();
    let lines: Vec<&str> = lines.filter_map(Value::as_str).collect();
    let shown = match lines.first() {
        Some(&"Traceback (most recent call last):") => &lines[lines.len() - 1..],
        _ => &lines[..],
    };
    for line in shown {
        writeln!(told, "| {line}")?;
    }
    Ok(told)
}

/// Blanks what stands between two texts, wherever it does.
fn blanked(told: &str, before: &str, after: &str, placeholder: &str) -> String {
    let mut parts = told.split(before);
    let mut blanked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        blanked.push_str(before);
        match part.split_once(after) {
            Some((_, rest)) => blanked.extend([placeholder, after, rest]),
            None => blanked.push_str(part),
        }
    }
    blanked
}

/// What differs from machine to machine and from run to run.
async fn machine(world: &World) -> Result<Vec<(String, &'static str)>> {
    let channels = world.channels().await?;
    let mut pythons = channels.pythons()?;
    pythons.sort_by_key(|python| {
        python
            .split('.')
            .map(str::parse::<u32>)
            .collect::<Result<Vec<_>, _>>()
            .ok()
    });
    let newest = pythons.pop().unwrap_or_default();
    let all = match &pythons[..] {
        [] => newest,
        older => format!("{} and {newest}", older.join(", ")),
    };
    Ok(vec![
        (all, "[all Pythons]"),
        (
            world.environment().await?.python_version().await?,
            "[Python]",
        ),
        (channels.alias(), "[channels]"),
        (path(channels.folder())?, "[channels]"),
        (platform().to_owned(), "[platform]"),
        // Its place is not told: a failure that names it has [run] there.
        ("<data_dir>".to_owned(), "[data]"),
        (path(world.run().await?.path())?, "[run]"),
        (
            world.environment().await?.mlflow_version().await?,
            "[MLflow]",
        ),
    ])
}

fn path(path: &Path) -> Result<String> {
    Ok(path.to_str().context("UTF-8")?.to_owned())
}

/// A model with this declaration, enabled on the gateway that builds.
async fn declared<'a>(world: &'a World, name: &str, declaration: &str) -> Result<&'a Client> {
    let (registry, server) = (world.registry().await?, world.mlflow().await?);
    let scripted = world.models().await?.scripted("a")?;
    let client = world.building_gateway().await?.client();
    let place = name.replace(' ', "-");
    let logged = server.edited(scripted, &place, |folder| {
        std::fs::write(folder.join("conda.yaml"), declaration)?;
        // A package that raises when it is built.
        let package = folder.join("refusing");
        std::fs::create_dir(&package)?;
        std::fs::write(
            package.join("setup.py"),
            "raise SystemExit('this package refuses to be built')\n",
        )?;
        Ok(())
    });
    registry.register(name, &[&logged.await?]).await?;
    client.enable(name, json!({})).await?;
    ensure!(!client.model(name).await?.is_null(), "{name} is enabled");
    Ok(client)
}
