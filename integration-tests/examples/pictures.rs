//! Takes the pictures of the README: a gateway, a registry of believable models and their traffic, all real, in a real browser.
//!
//! Usage: `scripts/pictures FOLDER [MINUTES]`

use std::f64::consts::TAU;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::{join_all, try_join_all};
use integration_tests::{Client, Gateway, Logged, Page, Scheme, Size, Stage, World, score_path};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// What a README shows without being scrolled through.
const FRAME: Size = (1280, 560);

/// Dots for each pixel of CSS.
const SCALE: f64 = 1.5;

/// A model of the shop that everybody knows.
struct Model {
    name: &'static str,
    description: &'static str,
    /// Versions; in Production, and in Staging.
    versions: u64,
    production: Option<u64>,
    staging: Option<u64>,
    champion: Option<u64>,
    /// Scores a second, on average, and how many of a hundred fail.
    rate: f64,
    bad: u64,
}

const MODELS: [Model; 6] = [
    Model {
        name: "churn",
        description: "Which customers are about to leave, from ninety days of behaviour",
        versions: 2,
        production: Some(1),
        staging: Some(2),
        champion: None,
        rate: 6.0,
        bad: 0,
    },
    Model {
        name: "credit-risk",
        description: "Probability of default within a year",
        versions: 1,
        production: Some(1),
        staging: None,
        champion: Some(1),
        rate: 2.0,
        bad: 0,
    },
    Model {
        name: "delivery-times",
        description: "Minutes from the warehouse to the door",
        versions: 2,
        production: Some(1),
        staging: None,
        champion: None,
        rate: 4.0,
        bad: 3,
    },
    Model {
        name: "iris",
        description: "Three kinds of iris, told apart by their petals and sepals",
        versions: 2,
        production: Some(2),
        staging: None,
        champion: Some(2),
        rate: 5.0,
        bad: 0,
    },
    Model {
        name: "price-elasticity",
        description: "How demand answers to price, by category",
        versions: 1,
        production: None,
        staging: Some(1),
        champion: None,
        rate: 0.5,
        bad: 0,
    },
    Model {
        name: "product-search",
        description: "Orders search results by what people will buy",
        versions: 0,
        production: None,
        staging: None,
        champion: None,
        rate: 0.0,
        bad: 0,
    },
];

/// The model whose newest version cannot be loaded.
const FAILING: &str = "delivery-times";

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(
        arguments
            .next()
            .context("usage: pictures FOLDER [MINUTES]")?,
    );
    let minutes = arguments.next().map_or(Ok(10.0), |text| text.parse())?;
    let world = World::default();
    let taken = take(&world, &folder, Duration::from_secs_f64(60.0 * minutes)).await;
    world.finish().await?;
    taken
}

/// Fills the registry, makes traffic for so long, and takes the pictures while it goes on.
async fn take(world: &World, folder: &Path, time: Duration) -> Result<()> {
    let gateway = world.another_gateway().await?.start().await?;
    fill(world, &gateway).await?;
    let client = gateway.client();
    let traffic = join_all(MODELS.iter().map(|model| call(client, model)));
    let pictures = async {
        sleep(time).await;
        picture(world, client, folder).await
    };
    tokio::select! {
        taken = pictures => taken?,
        _ = traffic => (),
    }
    gateway.stop().await
}

/// Registers the models and waits for what can be ready.
async fn fill(world: &World, gateway: &Gateway) -> Result<()> {
    let (registry, models) = (world.registry().await?, world.models().await?);
    let client = gateway.client();
    for model in &MODELS {
        let logged: &Logged = match model.name {
            "iris" => models.iris()?,
            _ => models.scripted("a")?,
        };
        registry.create_model(model.name).await?;
        for version in 1..=model.versions {
            let is_bad = model.name == FAILING && version == model.versions;
            let logged = if is_bad { models.refusing()? } else { logged };
            registry.create_version(model.name, logged).await?;
        }
        registry.describe(model.name, model.description).await?;
        for (stage, version) in [
            (Stage::Production, model.production),
            (Stage::Staging, model.staging),
        ] {
            if let Some(version) = version {
                registry.transition(model.name, version, stage).await?;
            }
        }
        if let Some(version) = model.champion {
            registry.set_alias(model.name, "champion", version).await?;
        }
        if model.versions > 0 {
            client.enable(model.name, json!({})).await?;
        }
    }
    let versions = MODELS
        .iter()
        .flat_map(|model| (1..=model.versions).map(move |version| (model.name, version)));
    try_join_all(versions.map(async |(name, version)| {
        let is_bad = name == FAILING && version == 2;
        if is_bad {
            client.until_failed(name, version).await
        } else {
            client.until_ready(name, version).await
        }
    }))
    .await?;
    Ok(())
}

/// Scores a model for ever, in waves, as people do.
async fn call(client: &Client, model: &Model) {
    if model.rate == 0.0 {
        return std::future::pending().await;
    }
    let label = model.production.map_or("latest", |_| "Production");
    let path = score_path(model.name, label);
    let start = Instant::now();
    for number in 0_u64.. {
        let is_bad = number * 37 % 100 < model.bad;
        let body = match model.name {
            "iris" => json!({ "dataframe_split": {
                "columns": ["sepal_length", "sepal_width", "petal_length", "petal_width"],
                "data": [[5.1, 3.5, 1.4, 0.2]],
            } }),
            _ => json!({ "dataframe_records": [{
                "do": if is_bad { "raise" } else { "which" }, "value": "an address that nobody knows",
            }] }),
        };
        // Failures are part of the picture.
        let _: Result<Value> = async {
            let answer = client.send(Method::POST, &path, body).await?;
            answer.json()
        }
        .await;
        let wave = 1.0 + 0.6 * (start.elapsed().as_secs_f64() / 75.0 * TAU + model.rate).sin();
        let noise = 0.75 + f64::from(u8::try_from(number * 37 % 50).unwrap_or(0)) / 100.0;
        sleep(Duration::from_secs_f64(noise / (model.rate * wave))).await;
    }
}

/// The list of models, and the one that has a version that failed; each light and dark.
async fn picture(world: &World, client: &Client, folder: &Path) -> Result<()> {
    let browser = world.browser().await?;
    browser
        .visit(client.base(), async |page| {
            page.sign_in(client.token().context("a token")?).await?;
            page.at("row", FAILING).shows("1 failed").await?;
            page.at("banner", "").shows("Live").await?;
            let drawn = "return [...document.querySelectorAll('svg.spark polyline')]
                .some((line) => line.getAttribute('points')?.length > 0);";
            page.holds("figures are drawn", drawn).await?;
            both(page, folder, "page").await?;

            page.goto_model(FAILING, "versions").await?;
            page.at("article", "Version 2").shows("refuses").await?;
            both(page, folder, "versions").await
        })
        .await
}

async fn both(page: &Page, folder: &Path, name: &str) -> Result<()> {
    for scheme in [Scheme::Light, Scheme::Dark] {
        let name = format!("{name}-{scheme}");
        page.portrait(folder, &name, (FRAME, SCALE), scheme).await?;
    }
    Ok(())
}
