//! What Prometheus sees of a real gateway with real workers, and what it makes of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use integration_tests::{Client, Promtool, Test, World, kill, monitoring, tests, until};
use serde_json::{Value, json};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        what_prometheus_scrapes_is_what_happened,
        promtool_accepts_the_rules_and_they_see_what_they_should,
        the_dashboard_can_be_imported,
    ]
}

async fn what_prometheus_scrapes_is_what_happened(world: Arc<World>) -> Result<()> {
    const MODEL: &str = "measured";
    let (registry, models) = (world.registry().await?, world.models().await?);
    registry.register(MODEL, &[models.scripted("a")?]).await?;
    let gateway = world.another_gateway().await?.start().await?;
    let client = gateway.client();
    client.enable(MODEL, json!({})).await?;
    client.until_ready(MODEL, 1).await?;
    for _ in 0..5 {
        client.which(MODEL, "1").await?;
    }
    client
        .script(MODEL, "1", "raise", "no")
        .await?
        .refused(400)?;
    let answer = client.score(MODEL, "1", "text/plain", "1").await?;
    answer.refused(415)?;
    client
        .score("nobody", "1", "text/csv", "1")
        .await?
        .refused(404)?;
    let stranger = client.with_token(Some("sgp_wrong"));
    stranger.get("/api/v1/models").await?.refused(401)?;

    let scrape = Scrape::of(client).await?;
    let requests = |code: &str| {
        format!(r#"sluicegate_requests_total{{model="{MODEL}",version="1",code="{code}"}}"#)
    };
    let own = |name: &str| format!(r#"sluicegate_{name}{{model="{MODEL}",version="1"}}"#);
    let worker =
        |name: &str| format!(r#"sluicegate_{name}{{model="{MODEL}",version="1",replica="0"}}"#);
    for (series, value) in [
        (requests("200"), 5.0),
        (requests("400"), 1.0),
        (requests("415"), 1.0),
        (
            r#"sluicegate_requests_total{model="",version="",code="404"}"#.to_owned(),
            1.0,
        ),
        (own("request_duration_seconds_count"), 7.0),
        (own("request_queue_duration_seconds_count"), 6.0),
        (own("request_worker_duration_seconds_count"), 6.0),
        (own("request_size_bytes_count"), 6.0),
        (own("response_size_bytes_count"), 6.0),
        (own("in_flight"), 0.0),
        (own("queue_length"), 0.0),
        (own("queue_limit"), 128.0),
        (own("version_replicas"), 1.0),
        (own("worker_starts_total"), 1.0),
        (own("worker_crashes_total"), 0.0),
        (
            format!(r#"sluicegate_version_state{{model="{MODEL}",version="1",state="READY"}}"#),
            1.0,
        ),
        (
            "sluicegate_worker_start_duration_seconds_count".to_owned(),
            1.0,
        ),
        ("sluicegate_authentication_failures_total".to_owned(), 1.0),
        (
            r#"sluicegate_events_lost_total{reason="queue_full"}"#.to_owned(),
            0.0,
        ),
    ] {
        let seen = scrape.value(&series)?;
        ensure!(
            (seen - value).abs() < f64::EPSILON,
            "{series} is {seen} instead of {value}"
        );
    }
    let name = "sluicegate_version_prepare_duration_seconds_count";
    let prepared = scrape.lines().filter(|line| line.starts_with(name));
    let ones = prepared.filter(|line| line.ends_with(" 1")).count();
    ensure!(
        ones == 1,
        "prepared once, with some environment: {}",
        scrape.0
    );
    let total = scrape.value(&own("request_duration_seconds_sum"))?;
    let parts = scrape.value(&own("request_queue_duration_seconds_sum"))?
        + scrape.value(&own("request_worker_duration_seconds_sum"))?;
    ensure!(
        parts > 0.0 && parts <= total,
        "the parts take {parts} s of {total} s"
    );
    // Python with MLflow, Pandas and NumPy, which a fork shares: more than a shell, less than a machine.
    scrape.within(&worker("worker_memory_bytes"), 1e7..4e9)?;
    // A fork has next to nothing to do by itself.
    scrape.within(&worker("worker_cpu_seconds_total"), 0.01..600.0)?;
    scrape.within("process_resident_memory_bytes", 1e7..4e9)?;
    scrape.within("process_cpu_seconds_total", 0.01..600.0)?;
    scrape.within("process_open_fds", 10.0..10_000.0)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
    let last = "sluicegate_registry_last_success_timestamp_seconds";
    scrape.within(last, now - 60.0..now + 1.0)?;
    scrape.within("process_start_time_seconds", now - 600.0..now)?;
    scrape.within("sluicegate_registry_polls_total", 1.0..10_000.0)?;
    // Rights are granted here, so that nothing is remembered of the registry's, and nothing has failed.
    let described: BTreeSet<String> = described()?
        .into_iter()
        .filter(|name| !name.starts_with("sluicegate_rights_"))
        .filter(|name| name != "sluicegate_version_failures_total")
        .collect();
    ensure!(
        scrape.names() == described,
        "{:?}\n{described:?}",
        scrape.names()
    );
    let file = world.run().await?.folder("metrics")?.join("scrape");
    std::fs::write(&file, &scrape.0)?;
    Promtool::find().await?.check_metrics(&file).await?;

    // The API and the command line say the same.
    let version = client.version(MODEL, 1).await?;
    let memory = version["memory_bytes"].as_f64().context("its memory")?;
    ensure!((1e7..4e9).contains(&memory), "{version}");
    let replicas = version["replicas_detail"]
        .as_array()
        .context("its workers")?;
    ensure!(
        replicas.len() == 1 && replicas[0]["replica"] == 0,
        "{version}"
    );
    ensure!(
        replicas[0]["cpu_seconds"].as_f64() > Some(0.01),
        "{version}"
    );
    let shown = gateway.command(&["models", "show", MODEL]).await?;
    ensure!(shown.contains("1 (") && shown.contains(" MB)"), "{shown}");

    kill(client.worker(MODEL, "1").await?);
    client.until_answered_by(MODEL, "1", "a").await?;
    until("the death and the new worker are counted", async || {
        let scrape = Scrape::of(client).await?;
        let (deaths, starts) = (
            scrape.value(&own("worker_crashes_total"))?,
            scrape.value(&own("worker_starts_total"))?,
        );
        let counted = (deaths - 1.0).abs() < 0.5 && (starts - 2.0).abs() < 0.5;
        let replaced = scrape.value(&worker("worker_memory_bytes")).is_err();
        Ok(if counted && replaced {
            Ok(())
        } else {
            Err(scrape.0)
        })
    })
    .await?;

    client.disable(MODEL).await?;
    until("no series is left of a disabled model", async || {
        let scrape = Scrape::of(client).await?;
        let left: Vec<String> = scrape
            .lines()
            .filter(|line| line.contains(MODEL))
            .map(str::to_owned)
            .collect();
        Ok(if left.is_empty() {
            Ok(())
        } else {
            Err(left.join("\n"))
        })
    })
    .await?;
    gateway.stop().await
}

async fn promtool_accepts_the_rules_and_they_see_what_they_should(_: Arc<World>) -> Result<()> {
    let promtool = Promtool::find().await?;
    promtool.judge(&["check", "rules", "rules.yaml"]).await?;
    promtool
        .judge(&["test", "rules", "rules.test.yaml"])
        .await?;
    // Of the sample, all but the file with the token, which is not there.
    promtool
        .judge(&["check", "config", "--syntax-only", "prometheus.yaml"])
        .await?;
    Ok(())
}

async fn the_dashboard_can_be_imported(_: Arc<World>) -> Result<()> {
    let text = std::fs::read_to_string(monitoring().join("dashboard.json"))?;
    let dashboard: Value = serde_json::from_str(&text)?;
    let panels = dashboard["panels"].as_array().context("panels")?;
    let ids: BTreeSet<u64> = panels
        .iter()
        .filter_map(|panel| panel["id"].as_u64())
        .collect();
    ensure!(ids.len() == panels.len(), "each panel has an id of its own");
    let mut taken = BTreeSet::new();
    for panel in panels {
        let place = &panel["gridPos"];
        let number = |name: &str| place[name].as_u64().context("a place");
        for y in number("y")?..number("y")? + number("h")? {
            for x in number("x")?..number("x")? + number("w")? {
                ensure!(
                    x < 24 && taken.insert((x, y)),
                    "{} overlaps",
                    panel["title"]
                );
            }
        }
    }
    Ok(())
}

/// What a scraper that asks for nothing special gets.
pub(crate) struct Scrape(String);

impl Scrape {
    pub(crate) async fn of(client: &Client) -> Result<Self> {
        Ok(Self(client.get("/metrics").await?.succeeded()?.text()))
    }

    fn lines(&self) -> impl Iterator<Item = &str> {
        self.0.lines().filter(|line| !line.starts_with('#'))
    }

    pub(crate) fn value(&self, series: &str) -> Result<f64> {
        let mut lines = self.lines();
        let value = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        let value = value.with_context(|| format!("{series} is not in\n{}", self.0))?;
        Ok(value.parse()?)
    }

    fn within(&self, series: &str, bounds: std::ops::Range<f64>) -> Result<()> {
        let value = self.value(series)?;
        ensure!(
            bounds.contains(&value),
            "{series} is {value}, not within {bounds:?}"
        );
        Ok(())
    }

    fn names(&self) -> BTreeSet<String> {
        let types = self
            .0
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE "));
        types
            .filter_map(|line| Some(line.split_once(' ')?.0.to_owned()))
            .collect()
    }
}

/// The names in the table of the documentation.
fn described() -> Result<BTreeSet<String>> {
    let table = std::fs::read_to_string(monitoring().with_extension("md"))?;
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    let names = rows.filter_map(|row| Some(row.split_once('`')?.0.to_owned()));
    Ok(names
        .filter(|name| name.starts_with("sluicegate_") || name.starts_with("process_"))
        .collect())
}
