//! What one, ten and fifty versions take of the memory, each of which answers.

use anyhow::{Context, Result};
use benches::meter::Scope;
use benches::report::{Subject, What};
use benches::rounds::megabytes;
use integration_tests::{Answer, Client, World};
use serde_json::json;

use super::contest::until_answered;
use super::serve::Serve;
use super::{SERVE, Wish, subject};

/// Versions are of so many models.
const MODELS: u64 = 5;

const ROW: &str = r#"{"dataframe_records": [{"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}]}"#;

/// `mlflow models serve` first, then gateways with ever more versions.
pub(crate) async fn run(world: &World, wish: &Wish) -> Result<Vec<Subject>> {
    let wanted: &[(&str, &[u64])] = if wish.smoke {
        &[("template", &[1])]
    } else {
        &[
            ("mlflow-serve", &[1, 10]),
            ("direct", &[1, 10]),
            // The eleventh is the tenth further version.
            ("template", &[1, 10, 11, 50]),
        ]
    };
    let serve = serve(world).await?;
    let mut all = vec![row(SERVE.to_owned(), serve, Some(serve))];
    for (launcher, counts) in wanted {
        all.extend(of_launcher(world, launcher, counts).await?);
    }
    Ok(all)
}

/// Megabytes of one `mlflow models serve`.
async fn serve(world: &World) -> Result<f64> {
    let server = Serve::prepare(world).await?.start()?;
    let client = Client::new(server.url(), None);
    until_answered(&client, "/ping").await?;
    let request = client
        .request(http::Method::POST, "/invocations")
        .header("Content-Type", "application/json")
        .body(ROW);
    Answer::of(request).await?.succeeded()?;
    memory_of(server.id())
}

fn memory_of(process: u32) -> Result<f64> {
    Ok(megabytes(Scope::Tree(process).usage()?.proportional))
}

fn row(name: String, all: f64, further: Option<f64>) -> Subject {
    let figures = vec![
        (What::plain("MB", 0), vec![all]),
        (
            What::compared("MB a further version", 1),
            further.into_iter().collect(),
        ),
    ];
    subject(name, figures)
}

/// A gateway of its own, with more and more versions.
async fn of_launcher(world: &World, launcher: &str, counts: &[u64]) -> Result<Vec<Subject>> {
    let gateway = world
        .another_gateway()
        .await?
        .variable("SLUICEGATE_LAUNCHER", launcher)
        .start()
        .await?;
    let (registry, logged) = (world.registry().await?, world.models().await?.iris()?);
    let client = gateway.client();
    let model = |number: u64| format!("memory-{launcher}-{}", number % MODELS);
    let mut all = Vec::new();
    let mut before: Option<(u64, f64)> = None;
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
        let now = memory_of(gateway.id())?;
        let further = before.replace((*count, now)).map(|(fewer, then)| {
            let added = u32::try_from(count - fewer).unwrap_or(u32::MAX);
            (now - then) / f64::from(added)
        });
        all.push(row(format!("{count} × `{launcher}`"), now, further));
    }
    gateway.stop().await?;
    Ok(all)
}
