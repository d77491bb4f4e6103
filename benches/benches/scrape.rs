//! What a scrape costs with a thousand versions: time, bytes and series, in both formats.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use benches::time_of;
use gateway::data_plane::{DataPlaneMetrics, VersionStack};
use gateway::metrics::{Exposition, LifeMetrics, PREFIX};
use prometheus_client::registry::Registry;
use serving_core::testing::HandMadeReplicas;
use serving_core::{
    Generation, ModelSnapshot, Phase, ServableId, Settings, Snapshot, Version, VersionSnapshot,
};
use tokio::sync::watch;

const MODELS: u64 = 100;
const VERSIONS: u64 = 10;

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
        seen,
        Box::new(|| 0),
    );
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
            crashes: 0,
            renewing: false,
            renewal_failure: None,
        };
        model.versions.insert(id.version, version);
    }
    snapshot
}
