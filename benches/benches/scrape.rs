//! What a scrape costs with a thousand versions: time, bytes and series, in both formats.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use auth::{Authenticator, RightsFigures};
use benches::time_of;
use gateway::data_plane::{DataPlaneMetrics, VersionStack};
use gateway::metrics::{self, Exposition, LifeMetrics, PREFIX, RightsCache, Sources};
use gateway::ports::{
    Catalog, GatewayProcess, Processes, RegisteredVersion, Registry as Followed, RegistryStatus,
    RegistryUnavailable, WorkerProcess,
};
use prometheus_client::registry::Registry;
use serving_core::testing::HandMadeReplicas;
use serving_core::{
    Generation, ModelName, ModelSnapshot, Phase, ReplicaId, ServableId, Settings, Snapshot,
    Version, VersionSnapshot,
};
use tokio::sync::watch;

const MODELS: u64 = 100;
const VERSIONS: u64 = 10;

/// A worker of each version, as it was last looked at.
struct Workers(Vec<WorkerProcess>);

/// A registry that was polled a while ago.
struct Polled;

/// Rights that are remembered.
struct Remembered;

fn main() {
    let mut registry = Registry::default();
    let scoring = DataPlaneMetrics::register(registry.sub_registry_with_prefix(PREFIX));
    let ids: Vec<ServableId> = (0..MODELS)
        .flat_map(|model| (1..=VERSIONS).map(move |version| (model, version)))
        .map(|(model, version)| ServableId::new(format!("some-model-{model}"), Version(version)))
        .collect();
    let stacks: Vec<_> = ids
        .iter()
        .map(|id| {
            let (replicas, seed) = HandMadeReplicas::new(id.clone(), Settings::default());
            (VersionStack::new(seed, &scoring), replicas)
        })
        .collect();
    let (_shows, seen) = watch::channel(Arc::new(snapshot(&ids)));
    let lives = LifeMetrics::new();
    lives.register(
        registry.sub_registry_with_prefix(PREFIX),
        seen.clone(),
        Box::new(|| 0),
    );
    let workers = ids.iter().map(worker).collect();
    let sources = Sources {
        version: "1.2.3".to_owned(),
        started: SystemTime::UNIX_EPOCH,
        snapshot: seen,
        processes: Arc::new(Workers(workers)),
        registry: Arc::new(Polled),
        authenticator: Arc::new(Authenticator::disabled()),
        rights: Some(Arc::new(Remembered)),
    };
    metrics::register(&mut registry, sources);
    for format in [Exposition::Plain, Exposition::OpenMetrics] {
        let text = format.write(&registry).unwrap_or_default();
        let took = time_of(20, || format.write(&registry).map(|text| text.len()));
        report(format, &text, took);
    }
    drop(stacks);
}

#[expect(clippy::print_stdout, reason = "figures are for stdout")]
fn report(format: Exposition, text: &str, took: Duration) {
    let series = text.lines().filter(|line| !line.starts_with('#')).count();
    let bytes = text.len();
    println!(
        "scrape of {MODELS} models of {VERSIONS} versions, {format:?}: {took:?}, {series} series, {bytes} bytes"
    );
}

fn snapshot(ids: &[ServableId]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for id in ids {
        let model: &mut ModelSnapshot = snapshot.models.entry(id.model.clone()).or_default();
        let version = VersionSnapshot {
            generation: Generation(1),
            phase: Phase::Ready,
            since: SystemTime::UNIX_EPOCH,
            step: None,
            step_since: None,
            replicas: 1,
            replicas_wanted: 1,
            asleep: false,
            crashes: 0,
            renewing: false,
            renewal_failure: None,
        };
        model.versions.insert(id.version, version);
    }
    snapshot
}

fn worker(id: &ServableId) -> WorkerProcess {
    WorkerProcess {
        id: id.clone(),
        replica: ReplicaId(0),
        process: 4711,
        since: SystemTime::UNIX_EPOCH,
        memory_bytes: Some(300 << 20),
        cpu: Some(Duration::from_millis(2500)),
        memory_limit: Some(1 << 30),
    }
}

impl Processes for Workers {
    fn workers(&self) -> Vec<WorkerProcess> {
        self.0.clone()
    }

    fn gateway(&self) -> Option<GatewayProcess> {
        Some(GatewayProcess {
            resident_memory: 50 << 20,
            virtual_memory: 1 << 30,
            cpu: Duration::from_millis(1500),
            threads: 9,
            open_files: 30,
            max_files: Some(1024),
        })
    }
}

#[async_trait]
impl Followed for Polled {
    fn catalog(&self) -> Arc<Catalog> {
        Arc::default()
    }

    async fn is_registered(&self, _: &ModelName) -> Result<bool, RegistryUnavailable> {
        Ok(true)
    }

    async fn version(
        &self,
        _: &ServableId,
    ) -> Result<Option<RegisteredVersion>, RegistryUnavailable> {
        Ok(None)
    }

    fn poll_soon(&self) {}

    async fn polled(&self) {}

    fn status(&self) -> RegistryStatus {
        RegistryStatus {
            last_success: Some(SystemTime::UNIX_EPOCH),
            polls: 5,
            ..RegistryStatus::default()
        }
    }
}

impl RightsCache for Remembered {
    fn figures(&self) -> RightsFigures {
        RightsFigures::default()
    }
}
