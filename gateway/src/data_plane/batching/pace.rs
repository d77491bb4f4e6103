//! How many rows share a call next: fewer after a call that failed, more after one that did not.
//!
//! One caller's bad row makes a whole call fail, and all that were in it are asked again one by one. Whoever sends such
//! rows on purpose must not win by it: with each failure calls become half as large, and at the smallest sharing rests.
//! So the worst that it comes to is what it would be without sharing, and one call a second for nothing. Time heals, too: calls
//! that have become too small for any company can show nothing.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Fewer rows are no company.
const FEWEST: usize = 2;
/// How long nothing is shared after the smallest call failed, too; and how long a size is kept without a sign.
const REST: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Pace {
    /// Rows of a call, at most; 0 while it rests.
    rows: AtomicUsize,
    since: Instant,
    /// Milliseconds after `since`: until then nothing becomes larger by itself.
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
        if rows == usize::MAX {
            return rows;
        }
        let (now, until) = (self.now(), self.rests_until.load(Ordering::Relaxed));
        if now < until || !self.claims(until, now) {
            return rows;
        }
        let larger = |rows: usize| Some(rows.saturating_mul(2).max(FEWEST));
        self.change(larger)
    }

    /// Whether nobody else has seen the end of this rest: one makes calls larger, and only one.
    fn claims(&self, until: u64, now: u64) -> bool {
        let next = now.saturating_add(milliseconds(REST));
        let claimed =
            self.rests_until
                .compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed);
        claimed.is_ok()
    }

    /// Whatever others do meanwhile. Gives what holds then.
    fn change(&self, next: impl Fn(usize) -> Option<usize>) -> usize {
        let changed = self
            .rows
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, &next);
        match changed {
            Ok(before) => next(before).unwrap_or(before),
            Err(now) => now,
        }
    }

    /// A call of so many rows was answered.
    pub(super) fn went_well(&self, rows: usize) {
        self.change(|now| {
            // One that was small for want of company says little about large ones.
            let is_full = now > 0 && now < usize::MAX && rows.saturating_mul(2) > now;
            is_full.then(|| now.saturating_mul(2))
        });
    }

    /// A call of so many rows was not, and they may be why.
    pub(super) fn failed(&self, rows: usize) {
        let until = self.now().saturating_add(milliseconds(REST));
        self.rests_until.store(until, Ordering::Relaxed);
        let half = rows / 2;
        let next = if half < FEWEST { 0 } else { half };
        self.rows.fetch_min(next, Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        milliseconds(self.since.elapsed())
    }
}

pub(super) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
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

    #[tokio::test(start_paused = true)]
    async fn calls_too_small_for_any_company_grow_with_time_alone() {
        let pace = Pace::new();
        // Two requests of 16 rows: none of what is left has room for two.
        pace.failed(32);
        assert_eq!(pace.rows(), 16);
        for larger in [32, 64, 128] {
            tokio::time::advance(REST).await;
            assert_eq!(pace.rows(), larger);
            assert_eq!(pace.rows(), larger, "once for each rest");
        }
        // Each failure begins the rest anew.
        tokio::time::advance(REST / 2).await;
        pace.failed(64);
        tokio::time::advance(REST / 2).await;
        assert_eq!(pace.rows(), 32);
    }
}
