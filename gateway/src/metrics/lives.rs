//! What happens to versions and their workers between two scrapes: counted from the engine's events.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use serving_core::{Event, Fact, Failure, FailureKind, ServableId, Snapshot, Version};
use tokio::sync::watch;

use super::sample::counter;
use super::versions::versions;
use crate::store::EventObserver;

/// Seconds. From an environment that is found to one that takes an hour to build.
const PREPARE_BUCKETS: [f64; 10] = [0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 180.0, 600.0, 1800.0, 3600.0];
/// Seconds. From a small model to one that is read for minutes.
const START_BUCKETS: [f64; 9] = [0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 180.0, 600.0];

/// Seconds. From a fork to a worker that is started from nothing.
const WAKE_BUCKETS: [f64; 9] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 60.0];

/// How many events the engine could not write.
pub type DroppedEvents = Box<dyn Fn() -> u64 + Send + Sync>;

/// Counts events on their way into the log.
#[derive(Debug)]
pub struct LifeMetrics {
    prepares: Family<PrepareLabels, Histogram, fn() -> Histogram>,
    starts: Histogram,
    wakes: Histogram,
    failures: Family<FailureLabels, Counter>,
    counts: Mutex<BTreeMap<ServableId, Counts>>,
    not_written: Counter,
}

/// Of one version, as long as it is shown.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    starts: u64,
    crashes: u64,
    replacements: u64,
    wakes: u64,
    /// Where its environment came from, until it is prepared.
    environment: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PrepareLabels {
    /// `built` or `reused`; empty where none was needed.
    environment: &'static str,
}

/// One of the counts.
type Read = fn(&Counts) -> u64;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    kind: &'static str,
    /// One of the loader's words; empty where it has none.
    code: String,
}

/// Shows what was counted of the versions that are there, and forgets the rest.
struct LifeCollector {
    metrics: Arc<LifeMetrics>,
    snapshot: watch::Receiver<Arc<Snapshot>>,
    dropped: DroppedEvents,
}

impl LifeMetrics {
    /// Metrics that nobody has registered yet: events begin before there is anything to show.
    pub fn new() -> Arc<Self> {
        let constructor: fn() -> Histogram = || Histogram::new(PREPARE_BUCKETS);
        let prepares = Family::new_with_constructor(constructor);
        for environment in ["built", "reused"] {
            // Shown from the beginning, so that the first of them is an increase.
            drop(prepares.get_or_create(&PrepareLabels { environment }));
        }
        Arc::new(Self {
            prepares,
            starts: Histogram::new(START_BUCKETS),
            wakes: Histogram::new(WAKE_BUCKETS),
            failures: Family::default(),
            counts: Mutex::default(),
            not_written: Counter::default(),
        })
    }

    /// Registers them, to be shown for the versions of `snapshot`; `dropped` tells what never got here.
    pub fn register(
        self: &Arc<Self>,
        registry: &mut Registry,
        snapshot: watch::Receiver<Arc<Snapshot>>,
        dropped: DroppedEvents,
    ) {
        registry.register_with_unit(
            "version_prepare_duration",
            "From the beginning of preparing a version to its files and environment being there, built, reused or not needed",
            Unit::Seconds,
            self.prepares.clone(),
        );
        registry.register_with_unit(
            "worker_start_duration",
            "From the start of a worker to its being warm",
            Unit::Seconds,
            self.starts.clone(),
        );
        registry.register_with_unit(
            "version_wake_duration",
            "From the first request to a version that was asleep to a worker that answers",
            Unit::Seconds,
            self.wakes.clone(),
        );
        registry.register(
            "version_failures",
            "Failures to bring a version up or to keep it up, by kind and code of the failure",
            self.failures.clone(),
        );
        registry.register_collector(Box::new(LifeCollector {
            metrics: Arc::clone(self),
            snapshot,
            dropped,
        }));
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<ServableId, Counts>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, event: &Event, count: impl FnOnce(&mut Counts)) {
        if let Some(version) = event.version {
            let id = ServableId {
                model: event.model.clone(),
                version,
            };
            count(self.counts().entry(id).or_default());
        }
    }

    fn provided(&self, event: &Event, environment: &'static str) {
        self.count(event, |counts| counts.environment = Some(environment));
    }

    fn prepared(&self, event: &Event, took: Duration) {
        let mut environment = None;
        self.count(event, |counts| {
            environment = counts.environment.take();
        });
        let labels = PrepareLabels {
            environment: environment.unwrap_or_default(),
        };
        let prepares = self.prepares.get_or_create(&labels);
        prepares.observe(took.as_secs_f64());
    }

    fn failed(&self, failure: &Failure) {
        let labels = FailureLabels {
            kind: match failure.kind {
                FailureKind::Permanent => "permanent",
                FailureKind::Transient => "transient",
                FailureKind::CrashLoop => "crash_loop",
            },
            code: failure.code.as_deref().unwrap_or_default().to_owned(),
        };
        self.failures.get_or_create(&labels).inc();
    }
}

impl EventObserver for LifeMetrics {
    fn saw(&self, event: &Event) {
        match &event.fact {
            Fact::Noted(note) => match &*note.kind {
                "environment_built" => self.provided(event, "built"),
                "environment_reused" => self.provided(event, "reused"),
                _ => {}
            },
            Fact::Prepared { took } => self.prepared(event, *took),
            Fact::ReplicaStarted { took, .. } => {
                self.starts.observe(took.as_secs_f64());
                self.count(event, |counts| counts.starts += 1);
            }
            Fact::ReplicaCrashed { .. } => self.count(event, |counts| counts.crashes += 1),
            Fact::ReplicaReplaced { .. } => self.count(event, |counts| counts.replacements += 1),
            Fact::Woken { took } => {
                self.wakes.observe(took.as_secs_f64());
                self.count(event, |counts| counts.wakes += 1);
            }
            Fact::Failed { failure } => self.failed(failure),
            _ => {}
        }
    }

    fn lost(&self, events: usize) {
        self.not_written.inc_by(events as u64);
    }
}

impl Collector for LifeCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let snapshot = Arc::clone(&self.snapshot.borrow());
        let is_shown = |id: &ServableId| {
            let model = snapshot.models.get(&id.model);
            model.is_some_and(|model| model.versions.contains_key(&id.version))
        };
        let counts = {
            let mut counts = self.metrics.counts();
            counts.retain(|id, _| is_shown(id));
            counts.clone()
        };
        let of = |model: &serving_core::ModelName, version: Version| {
            let id = ServableId {
                model: model.clone(),
                version,
            };
            counts.get(&id).copied().unwrap_or_default()
        };
        let shown: [(&str, &str, Read); 4] = [
            (
                "worker_starts",
                "Workers of a version that came up.",
                |counts| counts.starts,
            ),
            (
                "worker_crashes",
                "Workers of a version that died by themselves, or could not be started again.",
                |counts| counts.crashes,
            ),
            (
                "worker_replacements",
                "Workers of a version that were given up while they lived, and replaced.",
                |counts| counts.replacements,
            ),
            (
                "version_wakes",
                "Times that a version was asleep, and a request woke it.",
                |counts| counts.wakes,
            ),
        ];
        for (name, help, read) in shown {
            let mut samples = counter(&mut encoder, name, help)?;
            for (model, version, _) in versions(&snapshot) {
                let count = read(&of(model, version));
                let version = version.to_string();
                let labels = [("model", model.as_str()), ("version", &version)];
                samples.counts(&labels, count)?;
            }
        }
        let help = "Events that are not in the log: the queue was full, or the database took none.";
        let mut lost = counter(&mut encoder, "events_lost", help)?;
        lost.counts(&[("reason", "queue_full")], (self.dropped)())?;
        lost.counts(&[("reason", "not_written")], self.metrics.not_written.get())
    }
}

impl fmt::Debug for LifeCollector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LifeCollector")
            .finish_non_exhaustive()
    }
}
