//! What one, ten and fifty versions take of the memory, each of which answers.

use anyhow::{Context, Result};
use integration_tests::{Client, World};
use serde_json::json;

use super::Wish;
use super::processes::memory_of_tree;
use super::serve::Serve;

/// Versions are of so many models.
const MODELS: u64 = 5;

const ROW: &str = r#"{"dataframe_records": [{"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}]}"#;

/// What was found. All sizes are in megabytes.
pub(crate) struct Memories {
    /// One `mlflow models serve`.
    pub(crate) serve: f64,
    pub(crate) ours: Vec<Memory>,
}

/// What a gateway takes with so many versions.
pub(crate) struct Memory {
    pub(crate) launcher: &'static str,
    pub(crate) versions: u64,
    pub(crate) megabytes: f64,
    /// What each version has added since the row before.
    pub(crate) further: Option<f64>,
}

pub(crate) async fn run(world: &World, wish: &Wish) -> Result<Memories> {
    let mut ours = Vec::new();
    let wanted: &[(&'static str, &[u64])] = if wish.smoke {
        &[("template", &[1])]
    } else {
        &[
            ("mlflow-serve", &[1, 10]),
            ("direct", &[1, 10]),
            // The eleventh is the tenth further version.
            ("template", &[1, 10, 11, 50]),
        ]
    };
    for (launcher, counts) in wanted {
        ours.extend(of_launcher(world, launcher, counts).await?);
    }
    let serve = Serve::prepare(world).await?.start()?;
    let client = Client::new(serve.url(), None);
    super::contest::until_answered(&client, "/ping").await?;
    let request = client
        .request(http::Method::POST, "/invocations")
        .header("Content-Type", "application/json")
        .body(ROW);
    integration_tests::Answer::of(request).await?.succeeded()?;
    let serve = memory_of_tree(serve.id())?;
    Ok(Memories { serve, ours })
}

/// A gateway of its own, with more and more versions.
async fn of_launcher(world: &World, launcher: &'static str, counts: &[u64]) -> Result<Vec<Memory>> {
    let gateway = world
        .another_gateway()
        .await?
        .variable("SLUICEGATE_LAUNCHER", launcher)
        .start()
        .await?;
    let (registry, logged) = (world.registry().await?, world.models().await?.iris()?);
    let client = gateway.client();
    let model = |number: u64| format!("memory-{launcher}-{}", number % MODELS);
    let mut all: Vec<Memory> = Vec::new();
    let mut versions = Vec::new();
    for count in counts {
        let known = versions.len() as u64;
        for number in known..*count {
            let model = model(number);
            if number < MODELS {
                registry.create_model(&model).await?;
                client.enable(&model, json!({})).await?;
            }
            let version = registry.create_version(&model, logged).await?;
            versions.push((model, version));
        }
        for (model, version) in &versions {
            client.until_ready(model, *version).await?;
        }
        for (model, version) in &versions {
            let answer = client
                .score(model, &version.to_string(), "application/json", ROW)
                .await?;
            let told = answer.succeeded();
            told.with_context(|| format!("{model} {version}"))?;
        }
        let megabytes = memory_of_tree(gateway.id())?;
        let further = all.last().map(|before| {
            let added = u32::try_from(count - before.versions).unwrap_or(u32::MAX);
            (megabytes - before.megabytes) / f64::from(added)
        });
        all.push(Memory {
            launcher,
            versions: *count,
            megabytes,
            further,
        });
    }
    gateway.stop().await?;
    Ok(all)
}
