//! The samples that are kept: a ring for each model and each version.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serving_core::{ModelName, ServableId};

use super::sampler::Seen;
use super::window::{KEPT, Window};
use crate::api::Series;

/// Rings of models at most, and as many of versions: 106 MB in all. Far more than workers fit on a host, and what is over it
/// has no figures until others are forgotten.
const MOST_RINGS: usize = 4096;

/// The samples of the last hour. Each model and each version that was served in it takes 360 samples of 36 bytes,
/// 13 kB; versions without a request take as much.
#[derive(Debug, Default)]
pub struct History(Mutex<Samples>);

#[derive(Debug, Default)]
struct Samples {
    models: BTreeMap<ModelName, Ring>,
    versions: BTreeMap<ServableId, Ring>,
}

/// The newest last. Shorter than the hour where a model is younger.
#[derive(Debug)]
struct Ring(VecDeque<Sample>);

/// What is not known is no number: half the size of an `Option`.
#[derive(Clone, Copy, Debug)]
struct Sample {
    requests: f32,
    errors: f32,
    p50: f32,
    p95: f32,
    p99: f32,
    in_flight: f32,
    queue: f32,
    batch_size: f32,
    memory: f32,
}

impl History {
    /// What is known of one model, all of its versions together; of nothing, there are no values.
    pub fn of_model(&self, model: &str, window: Window) -> Series {
        series(self.samples().models.get(model), window)
    }

    /// What is known of one version; of nothing, there are no values.
    pub fn of_version(&self, id: &ServableId, window: Window) -> Series {
        series(self.samples().versions.get(id), window)
    }

    /// Whether a version had a worker or a request within the hour.
    pub fn knows(&self, id: &ServableId) -> bool {
        self.samples().versions.contains_key(id)
    }

    /// The models that something is known of.
    pub fn models(&self) -> Vec<ModelName> {
        self.samples().models.keys().cloned().collect()
    }

    /// Adds one sample of everything, counted in `time`; forgets what was in none for an hour.
    pub(super) fn add(&self, seen: &BTreeMap<ServableId, Seen>, time: Duration) {
        let mut models: BTreeMap<ModelName, Seen> = BTreeMap::new();
        for (id, seen) in seen {
            models.entry(id.model.clone()).or_default().add(seen);
        }
        let mut samples = self.samples();
        push(&mut samples.versions, seen, time);
        push(&mut samples.models, &models, time);
    }

    fn samples(&self) -> MutexGuard<'_, Samples> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What stops being seen goes on with nothing, and is forgotten when an hour of that is over.
fn push<K: Ord + Clone>(rings: &mut BTreeMap<K, Ring>, seen: &BTreeMap<K, Seen>, time: Duration) {
    rings.retain(|key, ring| {
        let seen = seen.get(key);
        ring.push(seen.map_or(Sample::NOTHING, |seen| Sample::of(seen, time)));
        seen.is_some() || !ring.is_silent()
    });
    for (key, seen) in seen {
        if rings.len() < MOST_RINGS && !rings.contains_key(key) {
            let ring = rings.entry(key.clone()).or_default();
            ring.push(Sample::of(seen, time));
        }
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
        let mut samples = self.0.iter();
        self.0.len() == KEPT
            && samples.all(|sample| sample.requests == 0.0 && sample.memory.is_nan())
    }
}

/// With room for all that it will ever hold: growing by doubling would end with more.
impl Default for Ring {
    fn default() -> Self {
        Self(VecDeque::with_capacity(KEPT))
    }
}

impl Sample {
    /// Of what is not served.
    const NOTHING: Self = Self {
        requests: 0.0,
        errors: 0.0,
        p50: f32::NAN,
        p95: f32::NAN,
        p99: f32::NAN,
        in_flight: 0.0,
        queue: 0.0,
        batch_size: f32::NAN,
        memory: f32::NAN,
    };

    #[expect(clippy::cast_precision_loss, reason = "figures for a chart")]
    fn of(seen: &Seen, time: Duration) -> Self {
        let counts = &seen.counts;
        let a_second = |count: u64| count as f32 / time.as_secs_f32().max(f32::EPSILON);
        let quantile = |part| counts.quantile(part).unwrap_or(f32::NAN);
        Self {
            requests: a_second(counts.answered()),
            errors: a_second(counts.failed()),
            p50: quantile(0.5),
            p95: quantile(0.95),
            p99: quantile(0.99),
            in_flight: seen.in_flight as f32,
            queue: seen.waiting as f32,
            batch_size: counts.batch_size().unwrap_or(f32::NAN),
            memory: seen.memory.map_or(f32::NAN, |bytes| bytes as f32),
        }
    }
}

fn series(ring: Option<&Ring>, window: Window) -> Series {
    let length = ring.map_or(0, |ring| ring.0.len());
    let shown = length.min(window.samples());
    // Charts of all models have one width: what is not known yet is nothing, at the old end.
    let missing = window.samples() - shown;
    let line = |read: fn(&Sample) -> f32| -> Vec<Option<f32>> {
        let nothing = std::iter::repeat_n(None, missing);
        let known = ring
            .into_iter()
            .flat_map(|ring| ring.0.range(length - shown..));
        let known = known.map(|sample| Some(read(sample)).filter(|value| !value.is_nan()));
        nothing.chain(known).collect()
    };
    Series {
        requests: line(|sample| sample.requests),
        errors: line(|sample| sample.errors),
        p50: line(|sample| sample.p50),
        p95: line(|sample| sample.p95),
        p99: line(|sample| sample.p99),
        in_flight: line(|sample| sample.in_flight),
        queue: line(|sample| sample.queue),
        batch_size: line(|sample| sample.batch_size),
        memory: line(|sample| sample.memory),
    }
}

#[cfg(test)]
mod tests {
    use serving_core::Version;

    use super::super::recent::Recents;
    use super::super::window::STEP;
    use super::*;

    fn id(version: u64) -> ServableId {
        ServableId::new("iris", Version(version))
    }

    /// A sample of versions, whose requests took so many milliseconds; those that took over 900 failed.
    fn sample(of: &[(u64, &[u64])]) -> BTreeMap<ServableId, Seen> {
        let recents = Recents::default();
        for (version, latencies) in of {
            let recent = recents.of(&id(*version));
            for took in *latencies {
                recent.answered(*took > 900);
                recent.took(Duration::from_millis(*took));
                recent.called(usize::try_from(*version).unwrap() * 4);
            }
        }
        let seen = |(id, counts)| {
            let seen = Seen {
                counts,
                in_flight: 2,
                waiting: 1,
                memory: Some(1000),
            };
            (id, seen)
        };
        recents.take().into_iter().map(seen).collect()
    }

    fn steps(count: u32) -> Window {
        Window::try_from(STEP * count).unwrap()
    }

    #[test]
    fn a_model_is_the_sum_of_its_versions() {
        let history = History::default();
        history.add(&sample(&[(1, &[10, 10]), (2, &[1000])]), STEP);
        let series = history.of_model("iris", steps(3));
        assert_eq!(series.requests, [None, None, Some(0.3)]);
        assert_eq!(series.errors, [None, None, Some(0.1)]);
        assert_eq!(series.memory[2], Some(2000.0));
        assert_eq!(series.in_flight[2], Some(4.0));
        assert_eq!(series.queue[2], Some(2.0));
        assert_eq!(
            series.batch_size[2],
            Some(16.0 / 3.0),
            "over all calls, not over versions"
        );
        assert!(series.p50[2].unwrap() < 0.02 && series.p99[2].unwrap() > 0.8);
        let series = history.of_version(&id(2), steps(3));
        assert_eq!(series.requests[2], Some(0.1));
        assert!(history.knows(&id(2)) && !history.knows(&id(3)));
        let series = history.of_model("wine", steps(3));
        assert_eq!(series.requests, [None, None, None]);
    }

    #[test]
    fn a_window_has_the_newest_samples() {
        let history = History::default();
        for requests in 1..=4 {
            history.add(&sample(&[(1, &vec![10; requests])]), Duration::from_secs(1));
        }
        let series = history.of_model("iris", steps(2));
        assert_eq!(series.requests, [Some(3.0), Some(4.0)]);
    }

    #[test]
    fn an_hour_is_kept_and_what_is_silent_for_that_long_is_forgotten() {
        let history = History::default();
        history.add(&sample(&[(1, &[10])]), STEP);
        for _ in 0..KEPT - 1 {
            history.add(&BTreeMap::new(), STEP);
        }
        assert_eq!(history.models(), [ModelName::from("iris")]);
        let series = history.of_model("iris", steps(360));
        assert_eq!(series.requests.len(), KEPT);
        assert_eq!(series.requests[0], Some(0.1));
        assert_eq!((series.p95[1], series.memory[1]), (None, None));
        assert_eq!(series.batch_size[..2], [Some(4.0), None]);
        history.add(&BTreeMap::new(), STEP);
        assert!(history.models().is_empty());
        assert!(!history.knows(&id(1)));
    }

    #[test]
    fn more_versions_than_there_is_room_for_take_no_more_room() {
        assert_eq!(size_of::<Sample>(), 36, "the documentation says so");
        let history = History::default();
        let all: BTreeMap<_, _> = (0..5000)
            .map(|number| (id(number), Seen::default()))
            .collect();
        history.add(&all, STEP);
        history.add(&all, STEP);
        let samples = history.samples();
        assert_eq!(samples.versions.len(), MOST_RINGS);
        let ring = samples.versions.values().next().unwrap();
        assert_eq!((ring.0.len(), ring.0.capacity()), (2, KEPT));
    }
}
