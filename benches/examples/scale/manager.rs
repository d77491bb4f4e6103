//! The manager with ever more versions: from nothing to all of them ready, and passes when little or nothing has changed.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use async_trait::async_trait;
use benches::clock::now;
use serving_core::{
    Aspired, AspiredModel, AspiredVersion, Handle, Incarnation, Inputs, Instance, Intents, Label,
    LoadError, LoadJob, Loader, Manager, ManagerConfig, ModelName, Phase, Prepared, ReplicaId,
    Settings, Source, Stop, SystemClock, Version,
};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::fake_registry::VERSIONS;
use super::thread_time::{microseconds, thread_time};

/// Passes of a kind that are measured together.
const PASSES: u32 = 20;

/// What one thing took; passes are means.
pub(crate) struct Step {
    pub(crate) what: &'static str,
    /// Microseconds.
    pub(crate) wall_us: f64,
    /// Microseconds of CPU time.
    pub(crate) cpu_us: f64,
}

/// Has everything ready at once.
struct Immediate;

pub(crate) fn measure(versions: u64) -> Result<Vec<Step>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(steps(versions))
}

async fn steps(versions: u64) -> Result<Vec<Step>> {
    let (aspired, aspired_seen) = watch::channel(None);
    let intents = Intents {
        otherwise: Some(Arc::new(Settings::default())),
        ..Intents::default()
    };
    let (_intents, intents) = watch::channel(Arc::new(intents));
    let (events, mut log) = mpsc::channel(1024);
    // Each version's stack is built when it is ready: cheaper to count than to look through all of them.
    let stacks = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&stacks);
    let (mut tasks, shutdown) = (JoinSet::new(), CancellationToken::new());
    let config = ManagerConfig {
        // Passes are those that are asked for.
        tick: Duration::from_secs(3600),
        ..ManagerConfig::default()
    };
    let (manager, handle) = Manager::new(
        config,
        Arc::new(Immediate),
        Box::new(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
        }),
        Inputs {
            aspired: aspired_seen,
            intents,
        },
        events,
        Arc::new(SystemClock),
    );
    tasks.spawn(async move { while log.recv().await.is_some() {} });
    tasks.spawn(manager.run(shutdown.clone()));

    let mut steps = Vec::new();
    let meter = Meter::start();
    aspired.send_replace(Some(Arc::new(registered(versions, 1))));
    until_ready(&handle, &stacks, versions).await?;
    steps.push(meter.step("from nothing to all ready", 1));

    let meter = Meter::start();
    for _ in 0..PASSES {
        handle.caught_up().await;
    }
    steps.push(meter.step("a pass, nothing was heard", PASSES));

    let same = (0..PASSES).map(|_| Arc::new(registered(versions, 1)));
    let same: Vec<_> = same.collect();
    let meter = Meter::start();
    for value in same {
        aspired.send_replace(Some(value));
        handle.caught_up().await;
    }
    steps.push(meter.step("a pass over an equal value", PASSES));

    let moved = (0..PASSES).map(|number| Arc::new(registered(versions, 2 - u64::from(number % 2))));
    let moved: Vec<_> = moved.collect();
    let meter = Meter::start();
    for value in moved {
        aspired.send_replace(Some(value));
        // The second follows the first at once, to look at what was held back.
        handle.caught_up().await;
        handle.caught_up().await;
    }
    steps.push(meter.step("one label moves", PASSES));

    let one_more = Arc::new(registered(versions + 1, 1));
    let meter = Meter::start();
    aspired.send_replace(Some(one_more));
    until_ready(&handle, &stacks, versions + 1).await?;
    steps.push(meter.step("one version comes", 1));

    let meter = Meter::start();
    shutdown.cancel();
    drop(handle);
    tasks.join_all().await;
    steps.push(meter.step("all are stopped", 1));
    Ok(steps)
}

/// Of the first model's label, which version it points at is said.
fn registered(versions: u64, champion: u64) -> Aspired {
    let mut aspired = Aspired::default();
    for number in 0..versions {
        let model = number / VERSIONS;
        let name = ModelName::from(format!("some-model-{model}"));
        let target = if model == 0 { champion } else { 1 };
        let model = aspired.models.entry(name).or_insert_with(|| AspiredModel {
            tags: BTreeMap::new(),
            incarnation: Incarnation::from("1795339220192"),
            versions: BTreeMap::new(),
            labels: [(Label::from("@champion"), Version(target))].into(),
        });
        let version = AspiredVersion {
            incarnation: format!("1795339220300/4012455d201d4c11ab53da7b52c38720/{number}").into(),
            source: Source::Readable(format!("models:/m-{number}").into()),
        };
        model
            .versions
            .insert(Version(number % VERSIONS + 1), version);
    }
    aspired
}

/// Waits until that many versions are ready.
async fn until_ready(handle: &Handle<()>, stacks: &AtomicU64, versions: u64) -> Result<()> {
    let mut snapshot = handle.snapshot();
    while stacks.load(Ordering::Relaxed) < versions {
        snapshot.changed().await?;
    }
    handle.caught_up().await;
    let snapshot = handle.snapshot().borrow().clone();
    let all = snapshot
        .models
        .values()
        .flat_map(|model| model.versions.values());
    let ready = all.filter(|version| version.phase == Phase::Ready).count() as u64;
    ensure!(ready == versions, "{ready} of {versions} are ready");
    Ok(())
}

/// Time and processor since its start.
struct Meter {
    wall: std::time::Instant,
    cpu: Duration,
}

impl Meter {
    fn start() -> Self {
        Self {
            wall: now(),
            cpu: thread_time(),
        }
    }

    fn step(&self, what: &'static str, passes: u32) -> Step {
        let (wall, cpu) = (self.wall.elapsed(), thread_time().saturating_sub(self.cpu));
        Step {
            what,
            wall_us: microseconds(wall / passes),
            cpu_us: microseconds(cpu / passes),
        }
    }
}

#[async_trait]
impl Loader<()> for Immediate {
    async fn prepare(&self, _: LoadJob) -> Result<Arc<dyn Prepared<()>>, LoadError> {
        Ok(Arc::new(Self))
    }
}

#[async_trait]
impl Prepared<()> for Immediate {
    async fn load(&self, _: ReplicaId) -> Result<Instance<()>, LoadError> {
        Ok(Instance {
            servable: (),
            exit: Box::pin(pending()),
            give_up: Box::pin(pending()),
            stop: Box::new(Self),
        })
    }
}

#[async_trait]
impl Stop for Immediate {
    async fn stop(self: Box<Self>) {}
}
