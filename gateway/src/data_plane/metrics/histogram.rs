//! A histogram that is counted into without a lock: one that was taken by a thread that lost its core would stop all others.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// How often values up to each bound occurred, and their sum. Clones count into the same one.
#[derive(Clone, Debug)]
pub(super) struct Histogram(Arc<Counts>);

/// What is counted in, as whole numbers: a sum of those is one addition, however many add to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    /// Counted in nanoseconds and told in seconds. A sum begins anew after 584 years of requests' time.
    Time,
    /// Told as counted: bytes, rows.
    Size,
}

#[derive(Debug)]
struct Counts {
    measure: Measure,
    /// Ascending; what is larger than the last goes into a bucket of its own.
    bounds: &'static [u64],
    /// One more than there are bounds.
    buckets: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Histogram {
    pub(super) fn new(measure: Measure, bounds: &'static [u64]) -> Self {
        Self(Arc::new(Counts {
            measure,
            bounds,
            buckets: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
        }))
    }

    pub(super) fn observe(&self, value: u64) {
        let Counts {
            bounds,
            buckets,
            sum,
            ..
        } = &*self.0;
        let place = bounds.partition_point(|bound| *bound < value);
        buckets[place].fetch_add(1, Ordering::Relaxed);
        sum.fetch_add(value, Ordering::Relaxed);
    }

    /// The same for a time.
    pub(super) fn took(&self, time: Duration) {
        self.observe(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }
}

impl Measure {
    /// A number as it is told.
    #[expect(
        clippy::cast_precision_loss,
        reason = "bounds are small, and a sum is as exact as a floating-point number can be"
    )]
    fn told(self, counted: u64) -> f64 {
        match self {
            Self::Time => counted as f64 / 1e9,
            Self::Size => counted as f64,
        }
    }
}

impl EncodeMetric for Histogram {
    /// The number of values is that of the buckets read here, so that the two agree whatever is counted meanwhile.
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let counts = &*self.0;
        let told = |counted: &u64| counts.measure.told(*counted);
        let bounds = counts.bounds.iter().map(told).chain([f64::INFINITY]);
        let read = counts
            .buckets
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.zip(read).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = counts.measure.told(counts.sum.load(Ordering::Relaxed));
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::metrics::histogram::Histogram as Theirs;
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn it_tells_what_the_librarys_own_tells_of_the_same_times() {
        const BOUNDS: [u64; 4] = [2_500_000, 500_000_000, 1_000_000_000, 8_000_000_000];
        let ours = Histogram::new(Measure::Time, &BOUNDS);
        let theirs = Theirs::new([0.0025, 0.5, 1.0, 8.0]);
        // Sums of these are exact in floating point, too.
        for time in [0.0, 0.001_953_125, 0.25, 0.5, 0.75, 1.0, 8.0, 8.5, 1e3] {
            ours.took(Duration::from_secs_f64(time));
            theirs.observe(time);
        }
        tell_the_same(ours, theirs);
    }

    #[test]
    fn it_tells_what_the_librarys_own_tells_of_the_same_sizes() {
        let ours = Histogram::new(Measure::Size, &[1, 1024]);
        let theirs = Theirs::new([1.0, 1024.0]);
        for size in [0, 1, 2, 1023, 1024, 1025, 1 << 30] {
            ours.observe(size);
            theirs.observe(Measure::Size.told(size));
        }
        tell_the_same(ours, theirs);
    }

    fn tell_the_same(ours: Histogram, theirs: Theirs) {
        let text = |metric: Box<dyn Fn(&mut Registry)>| {
            let mut registry = Registry::default();
            metric(&mut registry);
            let mut text = String::new();
            encode(&mut text, &registry).unwrap();
            text
        };
        let expected = text(Box::new(move |registry| {
            registry.register("took", "Time", theirs.clone());
        }));
        let told = text(Box::new(move |registry| {
            registry.register("took", "Time", ours.clone());
        }));
        assert_eq!(told, expected);
    }

    #[test]
    fn values_that_are_counted_at_the_same_time_are_all_counted() {
        let histogram = Histogram::new(Measure::Size, &[2, 5, 9]);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|_| histogram.observe(3)));
            }
        });
        let counts = &*histogram.0;
        assert_eq!(counts.buckets[1].load(Ordering::Relaxed), 40_000);
        assert_eq!(counts.sum.load(Ordering::Relaxed), 120_000);
    }
}
