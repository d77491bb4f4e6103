//! What one version has answered since the last sample: counted where it happens, with atomics alone.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use serving_core::ServableId;

/// Bins of latencies, each a quarter longer than the one before it: quantiles are right to an eighth.
pub(super) const BINS: usize = 64;
/// The first bin ends here: seconds.
const SHORTEST: f64 = 0.000_1;
const GROWTH: f64 = 1.25;

/// The counts of one version.
#[derive(Debug)]
pub struct Recent {
    failed: AtomicU32,
    bins: [AtomicU32; BINS],
}

/// What was counted between two samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) failed: u32,
    pub(super) bins: [u32; BINS],
}

/// The counts of all versions that have some.
#[derive(Debug, Default)]
pub struct Recents(Mutex<HashMap<ServableId, Weak<Recent>>>);

impl Recents {
    /// The counts of one version. They are gone when nobody holds them any more.
    pub fn of(&self, id: &ServableId) -> Arc<Recent> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(recent) = known.get(id).and_then(Weak::upgrade) {
            return recent;
        }
        let recent = Arc::new(Recent::default());
        known.insert(id.clone(), Arc::downgrade(&recent));
        recent
    }

    /// Takes what was counted since the last time; versions that are gone are left out.
    pub(super) fn take(&self) -> Vec<(ServableId, Counts)> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, recent| recent.strong_count() > 0);
        let all = known.iter();
        all.filter_map(|(id, recent)| Some((id.clone(), recent.upgrade()?.take())))
            .collect()
    }
}

impl Recent {
    /// Counts an answer. `failed` are those whose status is not 2xx.
    pub fn answered(&self, took: Duration, failed: bool) {
        self.bins[bin(took)].fetch_add(1, Ordering::Relaxed);
        if failed {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn take(&self) -> Counts {
        Counts {
            failed: self.failed.swap(0, Ordering::Relaxed),
            bins: std::array::from_fn(|bin| self.bins[bin].swap(0, Ordering::Relaxed)),
        }
    }
}

impl Default for Recent {
    fn default() -> Self {
        Self {
            failed: AtomicU32::new(0),
            bins: std::array::from_fn(|_| AtomicU32::new(0)),
        }
    }
}

impl Counts {
    pub(super) fn none() -> Self {
        Self {
            failed: 0,
            bins: [0; BINS],
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.failed = self.failed.saturating_add(other.failed);
        for (mine, more) in self.bins.iter_mut().zip(other.bins) {
            *mine = mine.saturating_add(more);
        }
    }

    pub(super) fn answered(&self) -> u64 {
        self.bins.iter().map(|count| u64::from(*count)).sum()
    }

    /// The latency in seconds that `part` of the answers did not exceed; `None` without answers.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts of ten seconds"
    )]
    pub(super) fn quantile(&self, part: f64) -> Option<f32> {
        let wanted = (self.answered() as f64 * part).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bin, count) in self.bins.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= wanted {
                return Some(middle(bin) as f32);
            }
        }
        None
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a logarithm of a positive number, bounded on both sides"
)]
fn bin(took: Duration) -> usize {
    let above = (took.as_secs_f64() / SHORTEST).ln() / GROWTH.ln();
    (above.max(0.0).ceil() as usize).min(BINS - 1)
}

/// In the middle of its bin, on the scale of the bins.
#[expect(clippy::cast_precision_loss, reason = "a small number")]
fn middle(bin: usize) -> f64 {
    SHORTEST * GROWTH.powf(bin as f64 - 0.5)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counted(milliseconds: &[u64]) -> Counts {
        let recent = Recent::default();
        for took in milliseconds {
            recent.answered(Duration::from_millis(*took), false);
        }
        recent.take()
    }

    #[test]
    fn quantiles_are_those_of_what_was_answered() {
        let latencies: Vec<u64> = (1..=100).collect();
        let counts = counted(&latencies);
        for (part, milliseconds) in [(0.5, 50.0), (0.95, 95.0), (0.99, 99.0)] {
            let found = f64::from(counts.quantile(part).unwrap()) * 1000.0;
            assert!((found / milliseconds - 1.0).abs() < 0.13, "{part}: {found}");
        }
        assert_eq!(counted(&[]).quantile(0.5), None);
    }

    #[test]
    fn what_was_taken_is_not_counted_again() {
        let recents = Recents::default();
        let id = ServableId::new("iris", serving_core::Version(1));
        let recent = recents.of(&id);
        recent.answered(Duration::from_millis(3), true);
        let taken = recents.take();
        assert_eq!(taken[0].1.answered(), 1);
        assert_eq!(taken[0].1.failed, 1);
        assert_eq!(recents.take()[0].1, Counts::none());
        drop(recent);
        assert!(recents.take().is_empty());
    }

    proptest! {
        #[test]
        fn every_latency_is_found_again_to_an_eighth(microseconds in 200_u64..100_000_000) {
            let recent = Recent::default();
            recent.answered(Duration::from_micros(microseconds), false);
            let found = f64::from(recent.take().quantile(0.99).unwrap());
            let meant = Duration::from_micros(microseconds).as_secs_f64();
            prop_assert!((found / meant - 1.0).abs() < 0.13, "{meant} was found as {found}");
        }
    }
}
