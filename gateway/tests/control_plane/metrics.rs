//! What Prometheus scrapes: true at the scrape, gone with what it is about, and never much.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gateway::data_plane::{Upstream, VersionStack};
use gateway::ports::WorkerProcess;
use gateway::store::EventObserver;
use serving_core::testing::HandMadeReplicas;
use serving_core::{
    Event, Fact, Failure, FailureKind, Note, Phase, ReplicaId, ServableId, Settings, Snapshot,
    Version,
};

use super::harness::{Caller, Plane, now};

async fn scrape(plane: &Plane) -> String {
    plane.get(Caller::Admin, "/metrics").await.text().to_owned()
}

#[track_caller]
fn has(text: &str, line: &str) {
    assert!(
        text.lines().any(|one| one == line),
        "{line} is not in\n{text}"
    );
}

fn worker(version: u64, replica: u64) -> WorkerProcess {
    WorkerProcess {
        id: ServableId::new("iris", Version(version)),
        replica: ReplicaId(replica),
        process: 4711,
        since: now(),
        memory_bytes: Some(300 << 20),
        cpu: Some(Duration::from_millis(2500)),
        memory_limit: (replica == 0).then_some(1 << 30),
    }
}

fn event(version: u64, fact: Fact) -> Event {
    Event {
        at: now(),
        model: "iris".into(),
        version: Some(Version(version)),
        fact,
    }
}

fn started(replica: u64) -> Fact {
    Fact::ReplicaStarted {
        replica: ReplicaId(replica),
        took: Duration::from_secs(4),
    }
}

fn failed(kind: FailureKind, code: Option<&str>) -> Fact {
    Fact::Failed {
        failure: Failure {
            kind,
            code: code.map(Into::into),
            message: "it failed".into(),
            last_lines: Vec::new(),
            next_try: None,
            attempts: 1,
        },
    }
}

#[tokio::test]
async fn figures_are_true_at_the_scrape() {
    let plane = Plane::new().await;
    let building = Phase::Building;
    plane.serve("iris", &[(1, Phase::Ready), (2, building)], &[]);
    *plane.processes.0.lock().unwrap() = vec![worker(1, 0), worker(1, 1)];
    let crashed = Fact::ReplicaCrashed {
        replica: ReplicaId(0),
        reason: "exit code 1".into(),
        last_lines: Vec::new(),
        restart_in: Duration::ZERO,
    };
    let replaced = Fact::ReplicaReplaced {
        replica: ReplicaId(1),
        reason: "it used 1.3GB".into(),
    };
    let took = Duration::from_secs(20);
    let reused = Fact::Noted(Note::new(
        "environment_reused",
        "Environment 0123 was there",
    ));
    let built = Fact::Noted(Note::new("environment_built", "Environment 4567 was built"));
    for fact in [
        built,
        Fact::Prepared { took },
        reused,
        Fact::Prepared {
            took: Duration::from_secs(2),
        },
        started(0),
        started(1),
        crashed,
        replaced,
        failed(FailureKind::CrashLoop, None),
        failed(FailureKind::Permanent, Some("MEMORY_LIMIT")),
    ] {
        plane.lives.saw(&event(1, fact));
    }
    plane.lives.lost(3);
    plane.get_with("sgp_wrong", "/metrics").await;
    let text = scrape(&plane).await;
    for line in [
        r#"sluicegate_build_info{version="1.2.3"} 1"#,
        r#"sluicegate_version_state{model="iris",version="1",state="READY"} 1"#,
        r#"sluicegate_version_state{model="iris",version="2",state="BUILDING"} 1"#,
        r#"sluicegate_version_replicas{model="iris",version="1"} 1"#,
        r#"sluicegate_version_replicas{model="iris",version="2"} 0"#,
        r#"sluicegate_version_replicas_wanted{model="iris",version="1"} 1"#,
        r#"sluicegate_version_wakes_total{model="iris",version="1"} 0"#,
        r#"sluicegate_worker_memory_bytes{model="iris",version="1",replica="1"} 314572800"#,
        r#"sluicegate_worker_memory_limit_bytes{model="iris",version="1",replica="0"} 1073741824"#,
        r#"sluicegate_worker_cpu_seconds_total{model="iris",version="1",replica="0"} 2.5"#,
        r#"sluicegate_template_workers{template="0a1b",environment="local"} 3"#,
        r#"sluicegate_template_memory_bytes{template="0a1b",environment="local"} 209715200"#,
        r#"sluicegate_template_cpu_seconds_total{template="0a1b",environment="local"} 4.5"#,
        r#"sluicegate_worker_starts_total{model="iris",version="1"} 2"#,
        r#"sluicegate_worker_crashes_total{model="iris",version="1"} 1"#,
        r#"sluicegate_worker_crashes_total{model="iris",version="2"} 0"#,
        r#"sluicegate_worker_replacements_total{model="iris",version="1"} 1"#,
        r#"sluicegate_version_failures_total{kind="crash_loop",code=""} 1"#,
        r#"sluicegate_version_failures_total{kind="permanent",code="MEMORY_LIMIT"} 1"#,
        r#"sluicegate_version_prepare_duration_seconds_bucket{le="15.0",environment="built"} 0"#,
        r#"sluicegate_version_prepare_duration_seconds_bucket{le="60.0",environment="built"} 1"#,
        r#"sluicegate_version_prepare_duration_seconds_sum{environment="reused"} 2.0"#,
        "sluicegate_worker_start_duration_seconds_count 2",
        "sluicegate_worker_start_duration_seconds_sum 8.0",
        "sluicegate_registry_last_success_timestamp_seconds 1767225600.0",
        "sluicegate_registry_polls_total 5",
        "sluicegate_registry_poll_failures_total 0",
        "sluicegate_authentication_failures_total 1",
        "sluicegate_rights_cache_entries 6",
        r#"sluicegate_rights_questions_total{outcome="miss"} 7"#,
        r#"sluicegate_events_lost_total{reason="queue_full"} 4"#,
        r#"sluicegate_events_lost_total{reason="not_written"} 3"#,
        "process_start_time_seconds 1767225600.0",
        "process_cpu_seconds_total 1.5",
        "process_resident_memory_bytes 52428800",
        "process_virtual_memory_bytes 1073741824",
        "process_threads 9",
        "process_open_fds 30",
        "process_max_fds 1024",
    ] {
        has(&text, line);
    }
    let limits = text
        .lines()
        .filter(|line| line.contains("memory_limit_bytes{"));
    assert_eq!(limits.count(), 1, "only who has a limit shows one");
}

#[tokio::test]
async fn a_version_has_one_state_and_when_it_is_gone_no_series() {
    let plane = Plane::new().await;
    plane.serve("iris", &[(1, Phase::Ready), (2, Phase::Ready)], &[]);
    plane.lives.saw(&event(2, started(0)));
    for phase in [Phase::Starting, Phase::Ready, Phase::Draining] {
        plane.serve("iris", &[(1, Phase::Ready), (2, phase.clone())], &[]);
        let text = scrape(&plane).await;
        let is_state = |line: &&str| {
            line.starts_with("sluicegate_version_state{") && line.contains("version=\"2\"")
        };
        let states: Vec<&str> = text.lines().filter(is_state).collect();
        assert_eq!(states.len(), 1, "{states:?}");
        assert!(states[0].contains(phase.name()), "{states:?}");
    }
    for gone in [
        vec![(1, Phase::Ready)],
        vec![(1, Phase::Ready), (2, Phase::Retired)],
    ] {
        plane.serve("iris", &gone, &[]);
        let text = scrape(&plane).await;
        assert!(!text.contains("version=\"2\""), "{text}");
        assert!(text.contains("version=\"1\""), "{text}");
    }
    plane.serve("iris", &[(1, Phase::Ready)], &[]);
    scrape(&plane).await;
    // Its next life begins with nothing.
    plane.serve("iris", &[(2, Phase::Ready)], &[]);
    let text = scrape(&plane).await;
    has(
        &text,
        r#"sluicegate_worker_starts_total{model="iris",version="2"} 0"#,
    );
}

#[tokio::test]
async fn the_registry_being_down_is_counted_and_no_success_is_made_up() {
    let plane = Plane::new().await;
    *plane.registry.down.lock().unwrap() = Some("connection refused".to_owned());
    let text = scrape(&plane).await;
    has(&text, "sluicegate_registry_poll_failures_total 1");
    assert!(!text.contains("last_success_timestamp_seconds 1"), "{text}");
}

#[tokio::test]
async fn a_scraper_gets_the_format_that_it_asks_for() {
    let plane = Plane::new().await;
    for (accept, content_type) in [
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        (
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
    ] {
        let request = plane
            .request(Caller::Admin, "GET", "/metrics")
            .header("accept", accept)
            .body(axum::body::Body::empty());
        let answer = plane.send(request.unwrap()).await;
        assert_eq!(answer.headers["content-type"], content_type);
        let is_open = content_type.starts_with("application/openmetrics");
        assert_eq!(answer.text().ends_with("# EOF\n"), is_open);
        assert_eq!(answer.text().contains("# UNIT"), is_open);
    }
}

#[tokio::test]
async fn a_thousand_versions_make_a_bounded_scrape_and_leave_nothing() {
    const VERSIONS: u64 = 1000;
    /// Series of one version with one worker, all of whose requests succeeded; each other status is one more.
    const SERIES: usize = 80;
    let plane = Plane::new().await;
    let before = series(&scrape(&plane).await);
    let states: Vec<_> = (1..=VERSIONS)
        .map(|number| (number, Phase::Ready))
        .collect();
    plane.serve("iris", &states, &[]);
    *plane.processes.0.lock().unwrap() = (1..=VERSIONS).map(|number| worker(number, 0)).collect();
    let stacks: Vec<_> = (1..=VERSIONS).map(|number| stack(&plane, number)).collect();
    let text = scrape(&plane).await;
    let each = (series(&text) - before) / 1000;
    assert!(
        (50..=SERIES).contains(&each),
        "{each} series of each version"
    );
    assert!(text.len() < 8 << 20, "{} bytes", text.len());
    println!("{each} series of each version, {} bytes in all", text.len());
    let lines: BTreeSet<&str> = text
        .lines()
        .map(|line| line.rsplit_once(' ').map_or(line, |(series, _)| series))
        .collect();
    assert_eq!(
        lines.len(),
        text.lines().count(),
        "no series is there twice"
    );

    drop(stacks);
    plane.processes.0.lock().unwrap().clear();
    plane
        .engine
        .snapshot
        .send_replace(Arc::new(Snapshot::default()));
    assert_eq!(series(&scrape(&plane).await), before);
}

fn stack(plane: &Plane, version: u64) -> (Arc<VersionStack>, HandMadeReplicas<Upstream>) {
    let id = ServableId::new("iris", Version(version));
    let (replicas, seed) = HandMadeReplicas::new(id, Settings::default());
    (Arc::new(VersionStack::new(seed, &plane.scoring)), replicas)
}

fn series(text: &str) -> usize {
    text.lines().filter(|line| !line.starts_with('#')).count()
}

#[tokio::test]
async fn every_metric_is_in_the_table_and_what_dashboard_and_rules_name_exists() {
    let plane = Plane::new().await;
    // What has not one series is not told of.
    let (_stack, _replicas) = stack(&plane, 1);
    let failure = failed(FailureKind::Transient, None);
    plane.lives.saw(&event(1, failure));
    let text = scrape(&plane).await;
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let types: Vec<(&str, &str)> = types.filter_map(|line| line.split_once(' ')).collect();
    let scraped: BTreeSet<String> = types.iter().map(|(name, _)| (*name).to_owned()).collect();
    let table = read("monitoring.md");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows = rows.filter_map(|row| row.split_once('`'));
    let described: BTreeSet<String> = rows
        .map(|(name, _)| name.to_owned())
        .filter(|name| is_metric(name))
        .collect();
    assert_eq!(described, scraped);

    let mut known = scraped;
    for (name, kind) in types {
        if kind == "histogram" {
            known.extend(["_bucket", "_sum", "_count"].map(|part| format!("{name}{part}")));
        }
    }
    for file in ["dashboard.json", "rules.yaml", "rules.test.yaml"] {
        let text = read(&format!("monitoring/{file}"));
        let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        let named: BTreeSet<&str> = words.filter(|word| is_metric(word)).collect();
        assert!(!named.is_empty(), "{file} names no metric");
        for name in named {
            assert!(
                known.contains(name),
                "{file} names {name}, which is not scraped"
            );
        }
    }
}

fn is_metric(word: &str) -> bool {
    word.starts_with("sluicegate_") || word.starts_with("process_")
}

fn read(name: &str) -> String {
    let docs: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    std::fs::read_to_string(docs.join(name)).unwrap()
}
