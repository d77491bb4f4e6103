//! What one version has answered since the last sample: counted where it happens, with atomics alone.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serving_core::ServableId;

/// Bins of latencies, each a quarter longer than the one before it: quantiles are right to an eighth.
const BINS: usize = 64;
/// The first bin ends here: seconds.
const SHORTEST: f64 = 0.000_1;
const GROWTH: f64 = 1.25;

/// The counts of one version. A request is counted twice: as what it was answered, and as how long it took; it can be
/// answered before it has ended, and end without an answer when its client leaves.
#[derive(Debug)]
pub(crate) struct Recent {
    succeeded: AtomicU32,
    failed: AtomicU32,
    calls: AtomicU32,
    call_rows: AtomicU32,
    bins: [AtomicU32; BINS],
}

/// What was counted between two samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    succeeded: u32,
    failed: u32,
    calls: u32,
    call_rows: u32,
    bins: [u32; BINS],
}

/// The counts of all versions that have some.
#[derive(Debug, Default)]
pub(crate) struct Recents(Mutex<HashMap<ServableId, Arc<Recent>>>);

impl Recents {
    /// The counts of one version: whoever asks for the same one counts into the same ones.
    pub(crate) fn of(&self, id: &ServableId) -> Arc<Recent> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(id.clone()).or_default())
    }

    /// Takes what was counted since the last time. Of versions that nobody counts any more this is the last of it.
    pub(super) fn take(&self) -> Vec<(ServableId, Counts)> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = Vec::with_capacity(known.len());
        known.retain(|id, recent| {
            // Before they are taken: whoever lets go of them afterwards may have counted in between.
            let is_held = Arc::strong_count(recent) > 1;
            taken.push((id.clone(), recent.take()));
            is_held
        });
        taken
    }
}

impl Recent {
    /// Counts an answer. `failed` are those whose status is not 2xx.
    pub(crate) fn answered(&self, failed: bool) {
        let count = if failed {
            &self.failed
        } else {
            &self.succeeded
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a call of a worker that had so many rows.
    pub(crate) fn called(&self, rows: usize) {
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.call_rows.fetch_add(rows, Ordering::Relaxed);
    }

    /// Counts the end of a request.
    pub(crate) fn took(&self, time: Duration) {
        self.bins[bin(time)].fetch_add(1, Ordering::Relaxed);
    }

    fn take(&self) -> Counts {
        Counts {
            succeeded: self.succeeded.swap(0, Ordering::Relaxed),
            failed: self.failed.swap(0, Ordering::Relaxed),
            calls: self.calls.swap(0, Ordering::Relaxed),
            call_rows: self.call_rows.swap(0, Ordering::Relaxed),
            bins: std::array::from_fn(|bin| self.bins[bin].swap(0, Ordering::Relaxed)),
        }
    }
}

impl Default for Recent {
    fn default() -> Self {
        Self {
            succeeded: AtomicU32::new(0),
            failed: AtomicU32::new(0),
            calls: AtomicU32::new(0),
            call_rows: AtomicU32::new(0),
            bins: std::array::from_fn(|_| AtomicU32::new(0)),
        }
    }
}

impl Counts {
    pub(super) fn none() -> Self {
        Self {
            succeeded: 0,
            failed: 0,
            calls: 0,
            call_rows: 0,
            bins: [0; BINS],
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.succeeded = self.succeeded.saturating_add(other.succeeded);
        self.failed = self.failed.saturating_add(other.failed);
        self.calls = self.calls.saturating_add(other.calls);
        self.call_rows = self.call_rows.saturating_add(other.call_rows);
        for (mine, more) in self.bins.iter_mut().zip(other.bins) {
            *mine = mine.saturating_add(more);
        }
    }

    pub(super) fn answered(&self) -> u64 {
        u64::from(self.succeeded) + self.failed()
    }

    pub(super) fn failed(&self) -> u64 {
        self.failed.into()
    }

    /// Rows that a call had on average; `None` if there was none.
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of ten seconds, for a chart"
    )]
    pub(super) fn batch_size(&self) -> Option<f32> {
        (self.calls > 0).then(|| self.call_rows as f32 / self.calls as f32)
    }

    /// The latency in seconds that `part` of the requests did not exceed; `None` if none ended.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts of ten seconds"
    )]
    pub(super) fn quantile(&self, part: f64) -> Option<f32> {
        let ended: u64 = self.bins.iter().map(|count| u64::from(*count)).sum();
        let wanted = (ended as f64 * part).ceil().max(1.0) as u64;
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
    use serving_core::Version;

    use super::*;

    fn counted(milliseconds: &[u64]) -> Counts {
        let recent = Recent::default();
        for took in milliseconds {
            recent.took(Duration::from_millis(*took));
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
        let recent = recents.of(&ServableId::new("iris", Version(1)));
        recent.answered(true);
        recent.answered(false);
        let taken = recents.take();
        assert_eq!(taken[0].1.answered(), 2);
        assert_eq!(taken[0].1.failed(), 1);
        assert_eq!(recents.take()[0].1, Counts::none());
    }

    #[test]
    fn the_last_requests_of_a_version_that_is_gone_are_counted_once() {
        let recents = Recents::default();
        let id = ServableId::new("iris", Version(1));
        let (first_life, second_life) = (recents.of(&id), recents.of(&id));
        first_life.answered(false);
        drop(first_life);
        second_life.answered(false);
        drop(second_life);
        assert_eq!(recents.take()[0].1.answered(), 2);
        assert!(recents.take().is_empty());
    }

    proptest! {
        #[test]
        fn every_latency_is_found_again_to_an_eighth(microseconds in 200_u64..100_000_000) {
            let recent = Recent::default();
            recent.took(Duration::from_micros(microseconds));
            let found = f64::from(recent.take().quantile(0.99).unwrap());
            let meant = Duration::from_micros(microseconds).as_secs_f64();
            prop_assert!((found / meant - 1.0).abs() < 0.13, "{meant} was found as {found}");
        }
    }
}
