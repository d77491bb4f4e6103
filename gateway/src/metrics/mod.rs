//! What Prometheus scrapes, besides the data plane's own figures: one collector a component.
//!
//! A collector is asked at each scrape for what is true then. It looks at what others publish anyway (the engine's
//! snapshot, the runner's list, the registry's status), so that no second book is kept, nothing is counted on the way of a
//! request, and what is gone has no series any more. Only what happens between two scrapes is counted as it happens, from
//! the event log. All names and what they mean: `docs/monitoring.md`.

mod build;
mod callers;
mod lives;
mod page;
mod process;
mod registry;
mod sample;
mod text;
mod versions;
mod workers;

use std::sync::Arc;
use std::time::SystemTime;

use auth::Authenticator;
use prometheus_client::registry::Registry as Metrics;
use serving_core::Snapshot;
use tokio::sync::watch;

use crate::ports::{Processes, Registry};

pub use auth::RightsFigures;
pub use callers::RightsCache;
pub use lives::{DroppedEvents, LifeMetrics};
pub use page::{Page, PageError};
pub use text::Exposition;

/// Before the name of each metric that is not a process's own.
pub const PREFIX: &str = "sluicegate";

/// What is asked at a scrape.
pub struct Sources {
    /// The gateway's version.
    pub version: String,
    /// When it started.
    pub started: SystemTime,
    /// What the engine shows.
    pub snapshot: watch::Receiver<Arc<Snapshot>>,
    /// Workers, and the gateway itself.
    pub processes: Arc<dyn Processes>,
    /// The model registry.
    pub registry: Arc<dyn Registry>,
    /// Who is calling.
    pub authenticator: Arc<Authenticator>,
    /// What is remembered of the registry's rights; `None` where rights are granted here.
    pub rights: Option<Arc<dyn RightsCache>>,
}

/// Registers everything that `sources` tell. `metrics` has no prefix itself.
pub fn register(metrics: &mut Metrics, sources: Sources) {
    metrics.register_collector(Box::new(process::ProcessMetrics {
        started: sources.started,
        processes: Arc::clone(&sources.processes),
    }));
    let ours = metrics.sub_registry_with_prefix(PREFIX);
    ours.register_collector(Box::new(build::BuildMetrics {
        version: sources.version,
    }));
    ours.register_collector(Box::new(versions::VersionStates {
        snapshot: sources.snapshot,
    }));
    ours.register_collector(Box::new(workers::WorkerMetrics {
        processes: sources.processes,
    }));
    ours.register_collector(Box::new(registry::RegistryMetrics {
        registry: sources.registry,
    }));
    ours.register_collector(Box::new(callers::CallerMetrics {
        authenticator: sources.authenticator,
        rights: sources.rights,
    }));
}
