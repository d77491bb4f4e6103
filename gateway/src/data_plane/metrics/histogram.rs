//! A histogram that is counted into without a lock: one that was taken by a thread that lost its core would stop all others.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// How often values up to each bound occurred, and their sum. Clones count into the same one.
#[derive(Clone, Debug)]
pub(super) struct Histogram(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    /// Ascending; what is larger than the last goes into a bucket of its own.
    bounds: &'static [f64],
    /// One more than there are bounds.
    buckets: Box<[AtomicU64]>,
    /// The bits of a floating-point number.
    sum: AtomicU64,
}

impl Histogram {
    pub(super) fn new(bounds: &'static [f64]) -> Self {
        Self(Arc::new(Counts {
            bounds,
            buckets: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0.0_f64.to_bits()),
        }))
    }

    pub(super) fn observe(&self, value: f64) {
        let Counts {
            bounds,
            buckets,
            sum,
        } = &*self.0;
        let place = bounds.partition_point(|bound| *bound < value);
        buckets[place].fetch_add(1, Ordering::Relaxed);
        let more = |bits| Some((f64::from_bits(bits) + value).to_bits());
        // Never refused: `more` always has an answer.
        let _ = sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }
}

impl EncodeMetric for Histogram {
    /// The number of values is that of the buckets read here, so that the two agree whatever is counted meanwhile.
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let counts = &*self.0;
        let bounds = counts.bounds.iter().copied().chain([f64::INFINITY]);
        let read = counts
            .buckets
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.zip(read).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = f64::from_bits(counts.sum.load(Ordering::Relaxed));
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

    const BOUNDS: [f64; 3] = [0.5, 1.0, 8.0];

    #[test]
    fn it_tells_what_the_librarys_own_tells_of_the_same_values() {
        let (ours, theirs) = (Histogram::new(&BOUNDS), Theirs::new(BOUNDS));
        let text = |metric: Box<dyn Fn(&mut Registry)>| {
            let mut registry = Registry::default();
            metric(&mut registry);
            let mut text = String::new();
            encode(&mut text, &registry).unwrap();
            text
        };
        for value in [0.0, 0.25, 0.5, 0.75, 1.0, 8.0, 8.5, 1e9] {
            ours.observe(value);
            theirs.observe(value);
        }
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
        let histogram = Histogram::new(&BOUNDS);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|_| histogram.observe(1.0)));
            }
        });
        let counts = &*histogram.0;
        assert_eq!(counts.buckets[1].load(Ordering::Relaxed), 40_000);
        let sum = f64::from_bits(counts.sum.load(Ordering::Relaxed));
        assert_eq!(sum.to_bits(), 40_000.0_f64.to_bits());
    }
}
