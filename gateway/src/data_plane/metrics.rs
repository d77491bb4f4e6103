//! Figures of the data plane. Only versions that were ready once have labels, and lose them when they are gone.

mod histogram;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use serving_core::ServableId;

use crate::figures::{Recent, Recents};
use histogram::{Histogram, Measure};

/// From a small model on a warm worker to the longest usual deadline.
const BUCKETS: [u64; 15] = of_microseconds([
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000, 60_000_000,
]);

/// Of the parts of a request: fewer, for there are a thousand versions' of them to be scraped.
const SPLIT_BUCKETS: [u64; 8] = of_microseconds([
    1_000, 5_000, 25_000, 100_000, 500_000, 2_500_000, 10_000_000, 60_000_000,
]);
/// Bytes, from one row to the usual limit of a body.
const SIZE_BUCKETS: [u64; 4] = [1024, 32_768, 1_048_576, 16_777_216];

/// Rows of a call, from one that is shared with nobody to the usual limit.
const ROWS_BUCKETS: [u64; 6] = [1, 4, 16, 64, 256, 1024];

/// The data plane's metrics.
#[derive(Debug)]
pub struct DataPlaneMetrics {
    requests: Family<RequestLabels, Counter>,
    durations: Histograms,
    queue_durations: Histograms,
    worker_durations: Histograms,
    request_sizes: Histograms,
    response_sizes: Histograms,
    batch_rows: Histograms,
    shared: Family<SharingLabels, Counter>,
    in_flight: Family<VersionLabels, Gauge>,
    queue_length: Family<VersionLabels, Gauge>,
    queue_limit: Family<VersionLabels, Gauge>,
    /// The stacks of each version.
    stacks: Mutex<HashMap<ServableId, Stacks>>,
    recents: Recents,
}

/// The stacks of one version: two for a moment, when one life follows another.
#[derive(Debug, Default)]
struct Stacks {
    count: usize,
    /// Every status but 200 that any of them answered: the last one takes the labels of all away.
    codes: BTreeSet<u16>,
}

type Histograms = Family<VersionLabels, Histogram, fn() -> Histogram>;

/// One version's own figures, without a look-up per request. The last one dropped takes its labels away.
#[derive(Debug)]
pub(super) struct VersionMetrics {
    metrics: Arc<DataPlaneMetrics>,
    id: ServableId,
    labels: VersionLabels,
    succeeded: Counter,
    /// Every other status that was answered.
    others: Mutex<BTreeMap<u16, Counter>>,
    durations: Histogram,
    queue_durations: Histogram,
    worker_durations: Histogram,
    request_sizes: Histogram,
    response_sizes: Histogram,
    batch_rows: Histogram,
    shared: [Counter; Sharing::ALL.len()],
    calls: AtomicU64,
    rows: AtomicU64,
    pub(super) in_flight: Gauge,
    pub(super) queue_length: Gauge,
    queue_limit: Gauge,
    recent: Arc<Recent>,
}

/// Requests of one version at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inside {
    pub(crate) id: ServableId,
    /// Waiting ones included.
    pub(crate) in_flight: u64,
    pub(crate) waiting: u64,
}

/// How a request got to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sharing {
    /// In a call of its own.
    Alone,
    /// In one with others.
    Batched,
    /// In one of its own, after one with others was not made, had failed, or could not be checked.
    Replayed,
}

/// Counts one up until it is dropped.
#[derive(Debug)]
pub(super) struct Counted(Gauge);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VersionLabels {
    model: Arc<str>,
    version: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SharingLabels {
    model: Arc<str>,
    version: u64,
    way: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    /// Empty where the request reached no version.
    model: Arc<str>,
    version: String,
    code: u16,
}

impl DataPlaneMetrics {
    /// New metrics, registered in `registry`.
    pub fn register(registry: &mut Registry) -> Arc<Self> {
        let total: fn() -> Histogram = || Histogram::new(Measure::Time, &BUCKETS);
        let split: fn() -> Histogram = || Histogram::new(Measure::Time, &SPLIT_BUCKETS);
        let size: fn() -> Histogram = || Histogram::new(Measure::Size, &SIZE_BUCKETS);
        let rows: fn() -> Histogram = || Histogram::new(Measure::Size, &ROWS_BUCKETS);
        let metrics = Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(total),
            queue_durations: Family::new_with_constructor(split),
            worker_durations: Family::new_with_constructor(split),
            request_sizes: Family::new_with_constructor(size),
            response_sizes: Family::new_with_constructor(size),
            batch_rows: Family::new_with_constructor(rows),
            shared: Family::default(),
            in_flight: Family::default(),
            queue_length: Family::default(),
            queue_limit: Family::default(),
            stacks: Mutex::default(),
            recents: Recents::default(),
        };
        registry.register(
            "requests",
            "Scoring requests answered; model and version are empty where none was reached",
            metrics.requests.clone(),
        );
        registry.register_with_unit(
            "request_duration",
            "From the arrival of a scoring request to the end of its answer",
            Unit::Seconds,
            metrics.durations.clone(),
        );
        registry.register_with_unit(
            "request_queue_duration",
            "How long a scoring request that was read waited for a free place",
            Unit::Seconds,
            metrics.queue_durations.clone(),
        );
        registry.register_with_unit(
            "request_worker_duration",
            "From a scoring request having a free place to the end of the worker's answer",
            Unit::Seconds,
            metrics.worker_durations.clone(),
        );
        registry.register_with_unit(
            "request_size",
            "Bodies of scoring requests, after decoding",
            Unit::Bytes,
            metrics.request_sizes.clone(),
        );
        registry.register_with_unit(
            "response_size",
            "Bodies of workers' answers, as far as they came",
            Unit::Bytes,
            metrics.response_sizes.clone(),
        );
        registry.register(
            "batch_rows",
            "Rows of each call of a worker that several requests could share, whether they did or not",
            metrics.batch_rows.clone(),
        );
        registry.register(
            "batching_requests",
            "Scoring requests by how they got to a worker: alone, batched with others, or replayed alone because the shared call was not made, failed or could not be checked",
            metrics.shared.clone(),
        );
        registry.register(
            "in_flight",
            "Scoring requests inside, waiting ones included",
            metrics.in_flight.clone(),
        );
        registry.register(
            "queue_length",
            "Scoring requests that wait for a free place",
            metrics.queue_length.clone(),
        );
        registry.register(
            "queue_limit",
            "Scoring requests that may wait for a free place (the setting max_queue)",
            metrics.queue_limit.clone(),
        );
        Arc::new(metrics)
    }

    /// Counts an answer to a request that reached no version.
    pub(super) fn answered_unrouted(&self, status: StatusCode) {
        self.requests
            .get_or_create(&RequestLabels {
                model: "".into(),
                version: String::new(),
                code: status.as_u16(),
            })
            .inc();
    }

    /// The figures of one version.
    pub(super) fn version(self: &Arc<Self>, id: &ServableId) -> VersionMetrics {
        let mut stacks = self.stacks.lock().unwrap_or_else(PoisonError::into_inner);
        stacks.entry(id.clone()).or_default().count += 1;
        let labels = VersionLabels::of(id);
        VersionMetrics {
            succeeded: self
                .requests
                .get_or_create_owned(&labels.answered(StatusCode::OK.as_u16())),
            others: Mutex::default(),
            durations: self.durations.get_or_create_owned(&labels),
            queue_durations: self.queue_durations.get_or_create_owned(&labels),
            worker_durations: self.worker_durations.get_or_create_owned(&labels),
            request_sizes: self.request_sizes.get_or_create_owned(&labels),
            response_sizes: self.response_sizes.get_or_create_owned(&labels),
            batch_rows: self.batch_rows.get_or_create_owned(&labels),
            shared: Sharing::ALL.map(|way| self.shared.get_or_create_owned(&labels.shared(way))),
            calls: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            in_flight: self.in_flight.get_or_create_owned(&labels),
            queue_length: self.queue_length.get_or_create_owned(&labels),
            queue_limit: self.queue_limit.get_or_create_owned(&labels),
            recent: self.recents.of(id),
            metrics: Arc::clone(self),
            id: id.clone(),
            labels,
        }
    }

    /// What was counted of each version lately, for whoever takes it away now and then.
    pub(crate) fn recents(&self) -> &Recents {
        &self.recents
    }

    /// How many requests each version that has figures holds now.
    pub(crate) fn inside(&self) -> Vec<Inside> {
        // Nothing else is locked meanwhile: gauges are locked within this lock elsewhere.
        let ids: Vec<ServableId> = {
            let stacks = self.stacks.lock().unwrap_or_else(PoisonError::into_inner);
            stacks.keys().cloned().collect()
        };
        let read = |gauges: &Family<VersionLabels, Gauge>, labels: &VersionLabels| {
            let count = gauges.get(labels).map_or(0, |gauge| gauge.get());
            u64::try_from(count).unwrap_or(0)
        };
        let inside = ids.into_iter().map(|id| {
            let labels = VersionLabels::of(&id);
            Inside {
                in_flight: read(&self.in_flight, &labels),
                waiting: read(&self.queue_length, &labels),
                id,
            }
        });
        inside.collect()
    }
}

impl VersionMetrics {
    pub(super) fn answered(&self, status: StatusCode) {
        self.recent.answered(!status.is_success());
        if status == StatusCode::OK {
            self.succeeded.inc();
            return;
        }
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let (metrics, code) = (&self.metrics, status.as_u16());
        let counter = others.entry(code).or_insert_with(|| {
            let mut stacks = metrics
                .stacks
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            stacks
                .entry(self.id.clone())
                .or_default()
                .codes
                .insert(code);
            let labels = self.labels.answered(code);
            metrics.requests.get_or_create_owned(&labels)
        });
        counter.inc();
    }

    pub(super) fn may_wait(&self, requests: u32) {
        let requests = requests.into();
        // Said with each request, and nearly never news: what is only read stays where all cores have it.
        if self.queue_limit.get() != requests {
            self.queue_limit.set(requests);
        }
    }

    pub(super) fn took(&self, time: Duration) {
        self.durations.took(time);
        self.recent.took(time);
    }

    pub(super) fn waited(&self, time: Duration) {
        self.queue_durations.took(time);
    }

    pub(super) fn was_at_work(&self, time: Duration) {
        self.worker_durations.took(time);
    }

    pub(super) fn was_asked(&self, bytes: usize) {
        self.request_sizes.observe(bytes as u64);
    }

    /// A worker is called with so many rows.
    pub(super) fn called(&self, rows: usize) {
        self.batch_rows.observe(rows as u64);
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
        self.recent.called(rows);
    }

    /// A request got to a worker.
    pub(super) fn went(&self, way: Sharing) {
        self.shared[way as usize].inc();
    }

    /// Rows of a call on the average, if there was one.
    pub(super) fn mean_rows(&self) -> Option<f64> {
        let calls = self.calls.load(Ordering::Relaxed);
        let rows = self.rows.load(Ordering::Relaxed);
        (calls > 0).then(|| in_floating_point(rows) / in_floating_point(calls))
    }

    pub(super) fn was_told(&self, bytes: u64) {
        self.response_sizes.observe(bytes);
    }
}

impl Drop for VersionMetrics {
    fn drop(&mut self) {
        let metrics = &self.metrics;
        let mut stacks = metrics
            .stacks
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(version) = stacks.get_mut(&self.id) {
            version.count -= 1;
            if version.count > 0 {
                return;
            }
        }
        let codes = stacks.remove(&self.id).unwrap_or_default().codes;
        for histograms in [
            &metrics.durations,
            &metrics.queue_durations,
            &metrics.worker_durations,
            &metrics.request_sizes,
            &metrics.response_sizes,
            &metrics.batch_rows,
        ] {
            histograms.remove(&self.labels);
        }
        for way in Sharing::ALL {
            metrics.shared.remove(&self.labels.shared(way));
        }
        metrics.in_flight.remove(&self.labels);
        metrics.queue_length.remove(&self.labels);
        metrics.queue_limit.remove(&self.labels);
        for code in codes.into_iter().chain([StatusCode::OK.as_u16()]) {
            metrics.requests.remove(&self.labels.answered(code));
        }
    }
}

impl VersionLabels {
    fn of(id: &ServableId) -> Self {
        Self {
            model: id.model.as_str().into(),
            version: id.version.0,
        }
    }

    fn shared(&self, way: Sharing) -> SharingLabels {
        SharingLabels {
            model: Arc::clone(&self.model),
            version: self.version,
            way: way.as_str(),
        }
    }

    fn answered(&self, code: u16) -> RequestLabels {
        RequestLabels {
            model: Arc::clone(&self.model),
            version: self.version.to_string(),
            code,
        }
    }
}

impl Sharing {
    const ALL: [Self; 3] = [Self::Alone, Self::Batched, Self::Replayed];

    fn as_str(self) -> &'static str {
        match self {
            Self::Alone => "alone",
            Self::Batched => "batched",
            Self::Replayed => "replayed",
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "calls and rows are far below 2^53, and end in an average"
)]
fn in_floating_point(count: u64) -> f64 {
    count as f64
}

/// Bounds of times, in nanoseconds as they are counted.
const fn of_microseconds<const N: usize>(mut bounds: [u64; N]) -> [u64; N] {
    let mut place = 0;
    while place < N {
        bounds[place] *= 1_000;
        place += 1;
    }
    bounds
}

impl Counted {
    pub(super) fn up(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use serving_core::Version;

    use super::*;
    use crate::metrics::Exposition;

    #[test]
    fn each_status_is_one_more_series_of_a_version() {
        let mut registry = Registry::default();
        let metrics = DataPlaneMetrics::register(&mut registry);
        let series = || {
            let text = Exposition::Plain.write(&registry).unwrap();
            text.lines().filter(|line| line.contains("iris")).count()
        };
        let version = metrics.version(&ServableId::new("iris", Version(1)));
        let before = series();
        for code in [200, 400, 404, 429, 503] {
            version.answered(StatusCode::from_u16(code).unwrap());
            version.answered(StatusCode::from_u16(code).unwrap());
        }
        assert_eq!(series(), before + 4);
    }

    #[test]
    fn how_many_may_wait_is_told_as_it_was_last_said() {
        let mut registry = Registry::default();
        let metrics = DataPlaneMetrics::register(&mut registry);
        let version = metrics.version(&ServableId::new("iris", Version(1)));
        for limit in [0, 7, 7, 3, 0] {
            version.may_wait(limit);
            assert_eq!(version.queue_limit.get(), i64::from(limit));
        }
    }

    #[test]
    fn the_last_life_takes_the_labels_of_all_lives_away() {
        let mut registry = Registry::default();
        let metrics = DataPlaneMetrics::register(&mut registry);
        let id = ServableId::new("iris", Version(1));
        let first = metrics.version(&id);
        first.answered(StatusCode::OK);
        first.answered(StatusCode::BAD_REQUEST);
        let second = metrics.version(&id);
        drop(first);
        second.answered(StatusCode::BAD_GATEWAY);
        let series = || {
            let text = Exposition::Plain.write(&registry).unwrap();
            text.lines().filter(|line| line.contains("iris")).count()
        };
        assert!(series() > 0);
        drop(second);
        assert_eq!(series(), 0);
    }
}
