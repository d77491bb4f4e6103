//! How often answers were remembered and how often the registry was asked, for those who watch.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the start, of all kinds of answers together, and how many answers are remembered now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RightsFigures {
    /// Questions that were answered from memory.
    pub hits: u64,
    /// Questions whose callers had to wait for the registry.
    pub misses: u64,
    /// Questions that were asked again before their answers grew too old, while nobody waited.
    pub refreshes: u64,
    /// Questions to which the registry gave no answer, or that could not be asked because too many were waiting.
    pub failures: u64,
    /// Answers that are remembered now.
    pub entries: u64,
}

/// What is counted on the way.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    hits: AtomicU64,
    misses: AtomicU64,
    refreshes: AtomicU64,
    failures: AtomicU64,
}

impl Counters {
    pub(crate) fn hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn miss(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refresh(&self) {
        self.refreshes.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn failure(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// The counts, with `entries` beside them.
    pub(crate) fn figures(&self, entries: u64) -> RightsFigures {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RightsFigures {
            hits: count(&self.hits),
            misses: count(&self.misses),
            refreshes: count(&self.refreshes),
            failures: count(&self.failures),
            entries,
        }
    }
}
