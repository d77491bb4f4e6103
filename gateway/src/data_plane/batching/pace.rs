//! How many rows share a call next: fewer after a call that failed, more after one that did not.
//!
//! One caller's bad row makes a whole call fail, and all that were in it are asked again one by one. Whoever sends such
//! rows on purpose must not win by it: with each failure calls become half as large, and at the smallest sharing rests.
//! So the worst that it comes to is what it would be without sharing, and one call a second for nothing.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Fewer rows are no company.
const FEWEST: usize = 2;
/// How long nothing is shared after the smallest call failed, too.
const REST: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Pace {
    /// Rows of a call, at most; 0 while it rests.
    rows: AtomicUsize,
    since: Instant,
    /// Milliseconds after `since`.
    rests_until: AtomicU64,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self {
            rows: AtomicUsize::new(usize::MAX),
            since: Instant::now(),
            rests_until: AtomicU64::new(0),
        }
    }

    /// Rows that may share a call now; fewer than two: none may.
    pub(super) fn rows(&self) -> usize {
        let rows = self.rows.load(Ordering::Relaxed);
        if rows > 0 {
            return rows;
        }
        if self.now() < self.rests_until.load(Ordering::Relaxed) {
            return 0;
        }
        self.rows.store(FEWEST, Ordering::Relaxed);
        FEWEST
    }

    /// A call of so many rows was answered.
    pub(super) fn went_well(&self, rows: usize) {
        let now = self.rows.load(Ordering::Relaxed);
        // One that was small for want of company says little about large ones.
        if now > 0 && rows.saturating_mul(2) > now {
            self.rows.store(now.saturating_mul(2), Ordering::Relaxed);
        }
    }

    /// A call of so many rows was not.
    pub(super) fn failed(&self, rows: usize) {
        let until = self.now() + u64::try_from(REST.as_millis()).unwrap_or(u64::MAX);
        self.rests_until.store(until, Ordering::Relaxed);
        let half = rows / 2;
        let next = if half < FEWEST { 0 } else { half };
        self.rows.fetch_min(next, Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn failures_make_calls_smaller_until_none_is_shared_for_a_while() {
        let pace = Pace::new();
        assert_eq!(pace.rows(), usize::MAX);
        let mut rows = 64;
        for smaller in [32, 16, 8, 4, 2] {
            pace.failed(rows);
            rows = pace.rows();
            assert_eq!(rows, smaller);
        }
        pace.failed(rows);
        assert_eq!(pace.rows(), 0);
        tokio::time::advance(REST / 2).await;
        assert_eq!(pace.rows(), 0);
        tokio::time::advance(REST).await;
        assert_eq!(pace.rows(), FEWEST);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_grow_again_with_each_full_one_that_is_answered() {
        let pace = Pace::new();
        pace.failed(8);
        for larger in [8, 16, 32] {
            pace.went_well(pace.rows());
            assert_eq!(pace.rows(), larger);
        }
        pace.went_well(3);
        assert_eq!(pace.rows(), 32);
    }
}
