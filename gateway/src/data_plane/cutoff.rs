//! The time at which a connection is cut, because the answer on it has to have ended by then.
//!
//! A body's own deadline is looked at when somebody asks the body for more. A client that stops reading stops the
//! asking too, and would hold its place for as long as it likes: so the connection watches the time as well.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// One connection's time, known to whoever answers a request on it. Whoever serves the connection looks at it
/// each time an answer has come further: it changes only then, and nobody is woken.
#[derive(Clone, Debug)]
pub struct Cutoff(Arc<Cell>);

#[derive(Debug)]
struct Cell {
    origin: Instant,
    /// Nanoseconds after the origin; 0 is no time.
    time: AtomicU64,
}

/// The time stands until this is dropped.
#[derive(Debug)]
pub(super) struct Standing(Cutoff);

impl Cutoff {
    /// No time yet.
    pub fn new() -> Self {
        Self(Arc::new(Cell {
            origin: Instant::now(),
            time: AtomicU64::new(0),
        }))
    }

    /// The time that stands now.
    pub fn time(&self) -> Option<Instant> {
        match self.0.time.load(Ordering::Acquire) {
            0 => None,
            after => Some(self.0.origin + Duration::from_nanos(after)),
        }
    }

    pub(super) fn stand(&self, time: Instant) -> Standing {
        let after = time.saturating_duration_since(self.0.origin).as_nanos();
        // A time before the connection has passed as well as one right after.
        let after = u64::try_from(after).unwrap_or(u64::MAX).max(1);
        self.0.time.store(after, Ordering::Release);
        Standing(self.clone())
    }
}

impl Default for Cutoff {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        self.0.0.time.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_time_stands_until_its_answer_is_gone() {
        let before = Instant::now();
        advance(Duration::from_secs(1)).await;
        let cutoff = Cutoff::new();
        assert_eq!(cutoff.time(), None);
        for time in [
            Instant::now() + Duration::from_nanos(1),
            Instant::now() + Duration::from_secs(86_400),
        ] {
            let standing = cutoff.stand(time);
            assert_eq!(cutoff.time(), Some(time));
            drop(standing);
            assert_eq!(cutoff.time(), None);
        }
        let _standing = cutoff.stand(before);
        assert!(cutoff.time().is_some_and(|time| time > before));
    }
}
