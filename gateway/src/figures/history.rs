//! The samples that are kept: a ring for each model and each version.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serving_core::{ModelName, ServableId};

use super::recent::Counts;
use super::sampler::Gauges;

/// Between two samples.
pub(super) const STEP: Duration = Duration::from_secs(10);
/// Samples that are kept: an hour.
const KEPT: usize = 360;

/// How far back somebody looks: a whole number of samples, an hour at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window(usize);

/// One kind of figure over time, oldest first, one value for each step; null where there is none.
pub(super) type Line = Vec<Option<f32>>;

/// The figures of a model or a version over time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Requests answered a second.
    pub requests: Line,
    /// Of these, those whose status was not 2xx, a second.
    pub errors: Line,
    /// Seconds that half of the requests took at most.
    pub p50: Line,
    /// Seconds that 95 % of the requests took at most.
    pub p95: Line,
    /// Seconds that 99 % of the requests took at most.
    pub p99: Line,
    /// Requests inside when the sample was taken, waiting ones included.
    pub in_flight: Line,
    /// Requests that waited for a place then.
    pub queue: Line,
    /// Bytes of the workers' memory then.
    pub memory: Line,
}

/// Series with the time between two of their values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Seconds between two values.
    pub step_seconds: u64,
    /// The values.
    pub series: Series,
}

/// The samples of the last hour.
#[derive(Debug, Default)]
pub struct History(Mutex<Samples>);

#[derive(Debug, Default)]
struct Samples {
    models: BTreeMap<ModelName, Ring>,
    versions: BTreeMap<ServableId, Ring>,
}

/// The newest last. Shorter than the hour where a model is younger.
#[derive(Debug, Default)]
struct Ring(VecDeque<Sample>);

#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    requests: f32,
    errors: f32,
    p50: Option<f32>,
    p95: Option<f32>,
    p99: Option<f32>,
    in_flight: f32,
    queue: f32,
    memory: Option<f32>,
}

impl Window {
    /// The samples of `time`; the whole hour if it is longer.
    pub fn of(time: Duration) -> Self {
        let samples = time.as_secs().div_ceil(STEP.as_secs());
        Self(usize::try_from(samples).unwrap_or(KEPT).clamp(1, KEPT))
    }
}

impl History {
    /// What is known of one model, all of its versions together; of nothing, there are no values.
    pub fn of_model(&self, model: &str, window: Window) -> Figures {
        let samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        figures(samples.models.get(model), window)
    }

    /// What is known of one version.
    pub fn of_version(&self, id: &ServableId, window: Window) -> Figures {
        let samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        figures(samples.versions.get(id), window)
    }

    /// The models that something is known of.
    pub fn models(&self) -> Vec<ModelName> {
        let samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        samples.models.keys().cloned().collect()
    }

    /// Adds one sample of everything; forgets what is in none.
    pub(super) fn add(&self, seen: &BTreeMap<ServableId, (Counts, Gauges)>) {
        let mut models: BTreeMap<ModelName, (Counts, Gauges)> = BTreeMap::new();
        for (id, (counts, gauges)) in seen {
            let none = || (Counts::none(), Gauges::default());
            let (all, together) = models.entry(id.model.clone()).or_insert_with(none);
            all.add(counts);
            together.add(gauges);
        }
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Samples {
            models: model_rings,
            versions,
        } = &mut *samples;
        push(versions, seen);
        push(model_rings, &models);
    }
}

/// What stops being seen goes on with nothing, and is forgotten when an hour of that is over.
fn push<K: Ord + Clone>(rings: &mut BTreeMap<K, Ring>, seen: &BTreeMap<K, (Counts, Gauges)>) {
    for key in seen.keys() {
        if !rings.contains_key(key) {
            rings.insert(key.clone(), Ring::default());
        }
    }
    let mut silent = Vec::new();
    for (key, ring) in rings.iter_mut() {
        let sample = seen
            .get(key)
            .map(|(counts, gauges)| Sample::of(counts, gauges));
        ring.push(sample.unwrap_or_default());
        if sample.is_none() && ring.is_silent() {
            silent.push(key.clone());
        }
    }
    for key in silent {
        rings.remove(&key);
    }
}

impl Ring {
    fn push(&mut self, sample: Sample) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(sample);
    }

    fn is_silent(&self) -> bool {
        self.0
            .iter()
            .all(|sample| sample.requests == 0.0 && sample.memory.is_none())
    }
}

impl Sample {
    #[expect(clippy::cast_precision_loss, reason = "figures for a chart")]
    fn of(counts: &Counts, gauges: &Gauges) -> Self {
        let a_second = |count: u64| count as f32 / STEP.as_secs_f32();
        Self {
            requests: a_second(counts.answered()),
            errors: a_second(u64::from(counts.failed)),
            p50: counts.quantile(0.5),
            p95: counts.quantile(0.95),
            p99: counts.quantile(0.99),
            in_flight: gauges.in_flight as f32,
            queue: gauges.queue as f32,
            memory: gauges.memory.map(|bytes| bytes as f32),
        }
    }
}

fn figures(ring: Option<&Ring>, window: Window) -> Figures {
    let known = ring.map(|ring| {
        let skipped = ring.0.len().saturating_sub(window.0);
        ring.0.range(skipped..).copied().collect::<Vec<_>>()
    });
    let known = known.unwrap_or_default();
    // Charts of all models have one width: what is not known yet is nothing, at the old end.
    let missing = window.0 - known.len();
    let line = |read: fn(&Sample) -> Option<f32>| -> Line {
        let nothing = std::iter::repeat_n(None, missing);
        nothing.chain(known.iter().map(read)).collect()
    };
    Figures {
        step_seconds: STEP.as_secs(),
        series: Series {
            requests: line(|sample| Some(sample.requests)),
            errors: line(|sample| Some(sample.errors)),
            p50: line(|sample| sample.p50),
            p95: line(|sample| sample.p95),
            p99: line(|sample| sample.p99),
            in_flight: line(|sample| Some(sample.in_flight)),
            queue: line(|sample| Some(sample.queue)),
            memory: line(|sample| sample.memory),
        },
    }
}

#[cfg(test)]
mod tests {
    use serving_core::Version;

    use super::super::recent::Recents;
    use super::*;

    fn id(version: u64) -> ServableId {
        ServableId::new("iris", Version(version))
    }

    fn sample(of: &[(u64, &[u64])]) -> BTreeMap<ServableId, (Counts, Gauges)> {
        let recents = Recents::default();
        let held: Vec<_> = of
            .iter()
            .map(|(version, latencies)| {
                let recent = recents.of(&id(*version));
                for took in *latencies {
                    recent.answered(Duration::from_millis(*took), *took > 900);
                }
                recent
            })
            .collect();
        let gauges = Gauges {
            in_flight: 2,
            queue: 1,
            memory: Some(1000),
        };
        let taken = recents.take().into_iter();
        let taken = taken.map(|(id, counts)| (id, (counts, gauges))).collect();
        drop(held);
        taken
    }

    #[test]
    fn a_model_is_the_sum_of_its_versions() {
        let history = History::default();
        history.add(&sample(&[(1, &[10, 10]), (2, &[1000])]));
        let window = Window::of(Duration::from_secs(30));
        let Figures { series, .. } = history.of_model("iris", window);
        assert_eq!(series.requests, [None, None, Some(0.3)]);
        assert_eq!(series.errors, [None, None, Some(0.1)]);
        assert_eq!(series.memory[2], Some(2000.0));
        assert_eq!(series.in_flight[2], Some(4.0));
        assert!(series.p50[2].unwrap() < 0.02 && series.p99[2].unwrap() > 0.8);
        let Figures { series, .. } = history.of_version(&id(2), window);
        assert_eq!(series.requests[2], Some(0.1));
    }

    #[test]
    fn an_hour_is_kept_and_what_is_silent_for_that_long_is_forgotten() {
        let history = History::default();
        history.add(&sample(&[(1, &[10])]));
        for _ in 0..KEPT - 1 {
            history.add(&BTreeMap::new());
        }
        assert_eq!(history.models(), [ModelName::from("iris")]);
        let hour = Window::of(Duration::from_secs(3600));
        let Figures { series, .. } = history.of_model("iris", hour);
        assert_eq!(series.requests.len(), KEPT);
        assert_eq!(series.requests[0], Some(0.1));
        assert_eq!(series.p95[1], None);
        history.add(&BTreeMap::new());
        assert!(history.models().is_empty());
    }

    #[test]
    fn a_window_is_whole_samples_within_the_hour() {
        for (seconds, samples) in [(0, 1), (1, 1), (10, 1), (11, 2), (600, 60), (86_400, KEPT)] {
            assert_eq!(Window::of(Duration::from_secs(seconds)), Window(samples));
        }
    }
}
