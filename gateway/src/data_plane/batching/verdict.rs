//! Whether a version's rows may share calls where that is left to us, and why.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many calls of rows that differ are compared with their rows alone before any is believed.
const PROBATION: u32 = 8;
/// And so many of copies: some models treat rows by how many there are. There may never be others, where all that asks is a
/// check of health.
const PROBATION_OF_COPIES: u32 = 2;
/// Requests of such a call, at most: each is asked twice. Not rows: whoever has many in each request could never show anything.
pub(super) const PROBATION_REQUESTS: usize = 8;
/// Kinds of calls of which it is known how they are answered. Others share nothing, or clients that think of new parameters
/// for each request would have everything asked twice.
const KINDS: usize = 64;
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
    /// Seeded anew each time, so that nobody can make two kinds look like one.
    hasher: RandomState,
    records: Mutex<HashMap<Kind, Record>>,
    reason: Mutex<Arc<str>>,
}

/// A kind of calls that a model may treat in a way of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Kind(u64);

/// What calls of one kind have shown.
#[derive(Debug)]
struct Record {
    /// Calls of rows that differ, still to be compared.
    probation: u32,
    /// The same of copies.
    copies: u32,
    /// Calls of rows that differ, since then.
    calls: u32,
}

/// What is done about a shared call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// Each request is asked alone as well, and callers get what it is answered alone.
    Probation(Kind),
    /// Afterwards some requests are asked alone as well.
    Sample,
    Nothing,
    /// It is not made: there are too many kinds to know this one.
    Refused,
}

impl Verdict {
    pub(super) fn new() -> Self {
        Self {
            stage: AtomicU8::new(UNTRIED),
            trials: AtomicU32::new(0),
            hasher: RandomState::new(),
            records: Mutex::default(),
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

    /// The kind of calls that a model sees to be treated so.
    pub(super) fn kind(&self, treatment: impl Hash) -> Kind {
        Kind(self.hasher.hash_one(treatment))
    }

    /// What is done about the next call of a kind, whose rows `differ` or are copies.
    pub(super) fn check(&self, kind: Kind, differ: bool) -> Check {
        let mut records = self.records();
        if !records.contains_key(&kind) && records.len() >= KINDS {
            return Check::Refused;
        }
        let record = records.entry(kind).or_insert(Record {
            probation: PROBATION,
            copies: PROBATION_OF_COPIES,
            calls: 0,
        });
        if record.probation > 0 && (differ || record.copies > 0) {
            return Check::Probation(kind);
        }
        if !differ || record.probation > 0 {
            return Check::Nothing;
        }
        record.calls = record.calls.wrapping_add(1);
        if record.calls.is_multiple_of(SAMPLED) {
            return Check::Sample;
        }
        Check::Nothing
    }

    /// A call on probation was what its rows were alone.
    pub(super) fn agreed(&self, kind: Kind, differ: bool) {
        if let Some(record) = self.records().get_mut(&kind) {
            let left = if differ {
                &mut record.probation
            } else {
                &mut record.copies
            };
            *left = left.saturating_sub(1);
        }
    }

    fn records(&self) -> MutexGuard<'_, HashMap<Kind, Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
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
        let kind = verdict.kind("inputs");
        for _ in 0..PROBATION {
            assert_eq!(verdict.check(kind, true), Check::Probation(kind));
            verdict.agreed(kind, true);
        }
        let checks: Vec<_> = (0..2 * SAMPLED)
            .map(|_| verdict.check(kind, true))
            .collect();
        let sampled = checks.iter().filter(|check| **check == Check::Sample);
        assert_eq!(sampled.count(), 2);
        assert!(!checks.contains(&Check::Probation(kind)));
        assert_eq!(verdict.check(kind, false), Check::Nothing);
    }

    #[test]
    fn what_one_kind_has_shown_says_nothing_of_another() {
        let verdict = Verdict::new();
        let (one, other) = (verdict.kind(("inputs", 1)), verdict.kind(("inputs", 2)));
        for _ in 0..PROBATION {
            verdict.check(one, true);
            verdict.agreed(one, true);
        }
        assert_eq!(verdict.check(one, true), Check::Nothing);
        assert_eq!(verdict.check(other, true), Check::Probation(other));
    }

    #[test]
    fn copies_show_little_and_are_not_asked_twice_for_ever() {
        let verdict = Verdict::new();
        let kind = verdict.kind("inputs");
        for _ in 0..PROBATION_OF_COPIES {
            assert_eq!(verdict.check(kind, false), Check::Probation(kind));
            verdict.agreed(kind, false);
        }
        assert_eq!(verdict.check(kind, false), Check::Nothing);
        assert_eq!(verdict.check(kind, true), Check::Probation(kind));
    }

    #[test]
    fn more_kinds_than_can_be_known_share_nothing() {
        let verdict = Verdict::new();
        for number in 0..KINDS {
            let kind = verdict.kind(number);
            assert_eq!(verdict.check(kind, true), Check::Probation(kind));
        }
        assert_eq!(verdict.check(verdict.kind("more"), true), Check::Refused);
        let known = verdict.kind(0_usize);
        assert_eq!(verdict.check(known, true), Check::Probation(known));
    }
}
