//! Under the engine's manager, with one place to build: what is cached is served while others build.

#[expect(dead_code, reason = "another test file uses the rest")]
mod support;

use std::sync::Arc;

use conda_runner::EnvManager;
use serving_core::{
    Aspired, AspiredModel, AspiredVersion, Incarnation, Inputs, Intents, Loader, Manager,
    ManagerConfig, ModelName, Phase, Snapshot, Source, SystemClock, Version, VersionSnapshot,
};
use support::{Machine, Models, PATIENCE, job, write};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const CACHED: Version = Version(3);

#[tokio::test]
async fn a_cached_version_is_served_while_others_build_and_wait() {
    let mut machine = Machine::new();
    machine.config.env_manager = EnvManager::Uv;
    let runner = Arc::new(machine.runner_of(Models {
        requirements: Box::new(|source| format!("mlflow==3.17.2\nown-{source}==1\n")),
        ..Models::default()
    }));
    runner.prepare(job(CACHED.0, &[])).await.unwrap();
    write(&machine.path("hang"), "");

    let (_aspired, aspired) = watch::channel(Some(Arc::new(versions(1..=CACHED.0))));
    let (_intents, intents) = watch::channel(Arc::new(Intents {
        otherwise: Some(Arc::default()),
        ..Intents::default()
    }));
    let (events, _seen) = mpsc::channel(1);
    let (manager, handle) = Manager::new(
        ManagerConfig {
            prepare_permits: 1,
            ..ManagerConfig::default()
        },
        Arc::clone(&runner) as Arc<dyn Loader<_>>,
        Box::new(|_| ()),
        Inputs { aspired, intents },
        events,
        Arc::new(SystemClock),
    );
    let shutdown = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(manager.run(shutdown.clone()));

    let mut snapshot = handle.snapshot();
    let is_so = |seen: &Arc<Snapshot>| {
        let of = |number| version(seen, Version(number));
        let is_ready = of(CACHED.0).is_some_and(|version| version.phase == Phase::Ready);
        let waits = |version: &VersionSnapshot| {
            version.phase == Phase::Building
                && version.step.as_deref() == Some("waiting for a free place to build")
        };
        is_ready && (1..CACHED.0).filter_map(of).filter(|it| waits(it)).count() == 1
    };
    let seen = timeout(PATIENCE, snapshot.wait_for(is_so)).await;
    assert!(seen.is_ok(), "a cached version waited for a build");
    drop(seen);
    shutdown.cancel();
    tasks.join_all().await;
    runner.idle().await;
}

fn versions(numbers: impl IntoIterator<Item = u64>) -> Aspired {
    let first = || Incarnation::from("first");
    let version = |number: u64| AspiredVersion {
        incarnation: first(),
        source: Source::Readable(number.to_string().into()),
    };
    let model = AspiredModel {
        incarnation: first(),
        versions: numbers
            .into_iter()
            .map(|number| (Version(number), version(number)))
            .collect(),
        labels: std::collections::BTreeMap::new(),
        tags: std::collections::BTreeMap::new(),
    };
    Aspired {
        models: [(ModelName::from("iris"), model)].into(),
    }
}

fn version(seen: &Snapshot, number: Version) -> Option<&VersionSnapshot> {
    seen.models
        .get(&ModelName::from("iris"))?
        .versions
        .get(&number)
}
