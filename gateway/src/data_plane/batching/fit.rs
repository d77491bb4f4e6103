//! How many rows a shared call has time for.
//!
//! What a call costs besides its rows is shared by all of them, so that more rows are better, up to the point where the rows are
//! nearly all that is left; from there on more of them only make everybody wait for everybody. Where that is depends on the model,
//! and shows in how long calls take: as long as they are quick they may become larger, after a slow one they are as large as would have
//! been quick. A few hundred rows go together in any case: a model that is slow whatever it is asked loses most without company.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::pace::milliseconds;

/// Rows of a call, however long it takes.
const ALWAYS: usize = 256;
/// Rows of a call as long as nothing is known: four requests of what always goes.
const UNKNOWN: usize = 1024;
/// A call should not take longer for the sake of company.
const QUICK: Duration = Duration::from_millis(50);
/// How long a slow call is held against larger ones: requests that go alone by themselves show nothing.
const MEMORY: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Fit {
    rows: AtomicUsize,
    since: Instant,
    /// Milliseconds after `since` until which a slow call counts.
    slow_until: AtomicU64,
}

impl Fit {
    pub(super) fn new() -> Self {
        Self {
            rows: AtomicUsize::new(UNKNOWN),
            since: Instant::now(),
            slow_until: AtomicU64::new(0),
        }
    }

    /// Rows that there is time for.
    pub(super) fn rows(&self) -> usize {
        let rows = self.rows.load(Ordering::Relaxed);
        if rows < UNKNOWN && self.now() >= self.slow_until.load(Ordering::Relaxed) {
            return UNKNOWN;
        }
        rows
    }

    /// A call of so many rows was answered in so long a time.
    pub(super) fn took(&self, rows: usize, time: Duration) {
        let quick = quick_rows(rows, time).max(ALWAYS);
        if time > QUICK {
            let until = self.now().saturating_add(milliseconds(MEMORY));
            self.slow_until.store(until, Ordering::Relaxed);
            self.rows.store(quick, Ordering::Relaxed);
        } else if rows.saturating_mul(2) > self.rows() {
            // One of few rows says little about many.
            self.rows.fetch_max(quick, Ordering::Relaxed);
        }
    }

    fn now(&self) -> u64 {
        milliseconds(self.since.elapsed())
    }
}

/// How many rows would have been quick, if each had cost the same.
fn quick_rows(rows: usize, time: Duration) -> usize {
    let quick = u128::try_from(rows).unwrap_or(u128::MAX);
    let quick = quick.saturating_mul(QUICK.as_micros()) / time.as_micros().max(1);
    usize::try_from(quick).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOUR: Duration = Duration::from_millis(4);

    #[tokio::test(start_paused = true)]
    async fn quick_calls_of_many_rows_make_room_for_more() {
        let fit = Fit::new();
        assert_eq!(fit.rows(), 1024);
        fit.took(512, FOUR);
        assert_eq!(fit.rows(), 1024, "half of what is allowed shows too little");
        fit.took(1000, FOUR);
        assert_eq!(fit.rows(), 12_500);
        fit.took(2, FOUR);
        assert_eq!(fit.rows(), 12_500);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_call_makes_the_next_as_large_as_would_have_been_quick() {
        let fit = Fit::new();
        fit.took(1000, Duration::from_millis(100));
        assert_eq!(fit.rows(), 500);
        // Of which each may be quicker, or slower, than was thought.
        fit.took(500, Duration::from_millis(40));
        assert_eq!(fit.rows(), 625);
        fit.took(600, Duration::from_secs(6));
        assert_eq!(fit.rows(), ALWAYS);
        fit.took(2, Duration::from_secs(6));
        assert_eq!(fit.rows(), ALWAYS);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_call_is_forgotten() {
        let fit = Fit::new();
        fit.took(256, Duration::from_secs(1));
        tokio::time::advance(MEMORY.saturating_sub(FOUR)).await;
        assert_eq!(fit.rows(), ALWAYS);
        tokio::time::advance(FOUR).await;
        assert_eq!(fit.rows(), UNKNOWN);
        // What is quick then counts again.
        fit.took(1024, FOUR);
        assert_eq!(fit.rows(), 12_800);
    }
}
