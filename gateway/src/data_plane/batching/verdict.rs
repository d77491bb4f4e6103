//! Whether a version's rows may share calls where that is left to us, and why.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// So many calls of rows that differ are compared with their rows alone before any is believed.
const PROBATION: u32 = 8;
/// Rows of such a call, at most: each is asked twice.
pub(super) const PROBATION_ROWS: usize = 8;
/// Of the calls of rows that differ, one in so many is compared for as long as the version lives.
const SAMPLED: u32 = 256;
/// A trial that fails for reasons that have nothing to do with rows is made again, so often in all.
const TRIALS: u32 = 3;

/// Nobody has tried.
const UNTRIED: u8 = 0;
/// Somebody tries.
const TRYING: u8 = 1;
/// They may.
const ON: u8 = 2;
/// They may not, for good.
const OFF: u8 = 3;

/// What is known so far. A version keeps it for its life, whatever becomes of its workers.
#[derive(Debug)]
pub(super) struct Verdict {
    stage: AtomicU8,
    trials: AtomicU32,
    /// Calls that are still to be compared.
    probation: AtomicU32,
    /// Calls of rows that differ, since then.
    calls: AtomicU32,
    reason: Mutex<Arc<str>>,
}

/// What is done about a call of rows that differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// Each row is asked alone as well, and callers get what it is answered alone.
    Probation,
    /// Afterwards some rows are asked alone as well.
    Sample,
    Nothing,
}

impl Verdict {
    pub(super) fn new() -> Self {
        Self {
            stage: AtomicU8::new(UNTRIED),
            trials: AtomicU32::new(0),
            probation: AtomicU32::new(PROBATION),
            calls: AtomicU32::new(0),
            reason: Mutex::new("not tried yet: that is done with the first request".into()),
        }
    }

    pub(super) fn is_on(&self) -> bool {
        self.stage.load(Ordering::Acquire) == ON
    }

    pub(super) fn reason(&self) -> Arc<str> {
        Arc::clone(&self.reason.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the caller is to try: once it is true, it is not again until the trial has ended.
    pub(super) fn begins(&self) -> bool {
        if self.stage.load(Ordering::Acquire) != UNTRIED {
            return false;
        }
        let begun =
            self.stage
                .compare_exchange(UNTRIED, TRYING, Ordering::AcqRel, Ordering::Acquire);
        begun.is_ok()
    }

    /// The trial said nothing, because of `reason`. Whether it is to be made again: otherwise that is an end, too.
    pub(super) fn ended_without(&self, reason: &str) -> bool {
        self.say(reason);
        let again = self.trials.fetch_add(1, Ordering::AcqRel) + 1 < TRIALS;
        let next = if again { UNTRIED } else { OFF };
        self.stage.store(next, Ordering::Release);
        again
    }

    /// They may, or may not. Whether that is news.
    pub(super) fn decide(&self, on: bool, reason: &str) -> bool {
        let next = if on { ON } else { OFF };
        // What has once been found wrong stays wrong.
        let decided = |now| (now != OFF && now != next).then_some(next);
        let is_news = self
            .stage
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, decided)
            .is_ok();
        if is_news {
            self.say(reason);
        }
        is_news
    }

    pub(super) fn is_on_probation(&self) -> bool {
        self.probation.load(Ordering::Acquire) > 0
    }

    /// What is done about the next call of rows that differ.
    pub(super) fn check(&self) -> Check {
        if self.is_on_probation() {
            return Check::Probation;
        }
        if self.calls.fetch_add(1, Ordering::Relaxed) % SAMPLED == SAMPLED - 1 {
            return Check::Sample;
        }
        Check::Nothing
    }

    /// A call on probation was what its rows were alone.
    pub(super) fn agreed(&self) {
        let less = |left: u32| left.checked_sub(1);
        // An error means that it was over before.
        let _ = self
            .probation
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
    }

    fn say(&self, reason: &str) {
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = reason.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_tries_at_a_time_and_not_for_ever() {
        let verdict = Verdict::new();
        for _ in 1..TRIALS {
            assert!(verdict.begins());
            assert!(!verdict.begins());
            assert!(verdict.ended_without("the worker died"));
        }
        assert!(verdict.begins());
        assert!(!verdict.ended_without("the worker died"));
        assert!(!verdict.begins());
        assert!(!verdict.is_on());
    }

    #[test]
    fn what_was_found_wrong_stays_wrong() {
        let verdict = Verdict::new();
        assert!(verdict.begins());
        assert!(verdict.decide(true, "equal"));
        assert!(verdict.is_on());
        assert!(!verdict.decide(true, "equal"));
        assert!(verdict.decide(false, "other"));
        assert!(!verdict.decide(false, "other again"));
        assert!(!verdict.decide(true, "equal"));
        assert!(!verdict.is_on());
        assert_eq!(&*verdict.reason(), "other");
    }

    #[test]
    fn first_all_calls_are_compared_and_then_a_few() {
        let verdict = Verdict::new();
        for _ in 0..PROBATION {
            assert_eq!(verdict.check(), Check::Probation);
            verdict.agreed();
        }
        let checks: Vec<_> = (0..2 * SAMPLED).map(|_| verdict.check()).collect();
        let sampled = checks.iter().filter(|check| **check == Check::Sample);
        assert_eq!(sampled.count(), 2);
        assert!(!checks.contains(&Check::Probation));
    }
}
