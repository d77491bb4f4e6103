//! A moment's patience after a shared call: those who were just answered ask again, and not all in the same instant.
//!
//! Callers that ask one thing after the other come back within a fraction of the time that a call takes. If the first of
//! them took the free slot, it would have a whole call for itself while all others wait: every second call would be of one row.
//! So after a shared call the next one waits until as many wait as were answered; but only while they come clearly faster than
//! calls answer them, and never for longer than the last call took. Where callers come by themselves, as many wait at the end
//! of a call as it answered, and nothing is waited for; where nobody comes back, one tick is lost.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// How often it is asked whether they still come. The runtime's clock has no finer ticks.
const TICK: Duration = Duration::from_millis(1);
/// A slower model's callers are not worth waiting for any longer.
const LONGEST: Duration = Duration::from_millis(20);
/// They have to come so many times as fast as calls answer them.
const CLEARLY: u128 = 2;

/// What a version knows of its last shared call.
#[derive(Debug)]
pub(super) struct Reunion {
    last: Mutex<Option<Last>>,
    /// Whether there is a last call: read by each request.
    is_expected: AtomicBool,
    /// How many have to wait for a gathering to be complete; 0 while nobody gathers.
    wanted: AtomicUsize,
    complete: Notify,
}

/// A shared call that has ended.
#[derive(Clone, Copy, Debug)]
struct Last {
    callers: usize,
    took: Duration,
    ended: Instant,
}

/// Resets what a gathering has set, however it ends.
struct Gathering<'a> {
    reunion: &'a Reunion,
    after: Last,
}

impl Reunion {
    pub(super) fn new() -> Self {
        Self {
            last: Mutex::new(None),
            is_expected: AtomicBool::new(false),
            wanted: AtomicUsize::new(0),
            complete: Notify::new(),
        }
    }

    /// A call that took so long is about to answer so many.
    pub(super) fn expect(&self, callers: usize, took: Duration) {
        let mut last = self.last();
        *last = Some(Last {
            callers,
            took,
            ended: Instant::now(),
        });
        self.is_expected.store(true, Ordering::Release);
    }

    /// Whether one who comes now is likely to have company in a moment.
    pub(super) fn is_near(&self) -> bool {
        if !self.is_expected.load(Ordering::Acquire) {
            return false;
        }
        let mut last = self.last();
        let is_near = last.is_some_and(|last| Instant::now() < last.end());
        if !is_near {
            // Nobody came back in time, and nobody need look again.
            self.forget(&mut last);
        }
        is_near
    }

    /// One more waits; now so many.
    pub(super) fn came(&self, waiting: impl Fn() -> usize) {
        let wanted = self.wanted.load(Ordering::Acquire);
        if wanted > 0 && waiting() >= wanted {
            self.complete.notify_one();
        }
    }

    /// Waits until most of those who were answered wait again, as `waiting` counts them. To be called by one at a time,
    /// who has a slot. Safe to drop.
    pub(super) async fn gather(&self, waiting: impl Fn() -> usize) {
        let Some(last) = *self.last() else {
            return;
        };
        let gathering = Gathering {
            reunion: self,
            after: last,
        };
        self.wanted.store(last.callers, Ordering::Release);
        let mut before = waiting();
        let mut since = Instant::now();
        while before < last.callers && since < last.end() {
            let tick = (since + TICK).min(last.end());
            // Complete or not, it is time to look.
            let _ = timeout_at(tick, self.complete.notified()).await;
            let now = Instant::now();
            let count = waiting();
            let came = count.saturating_sub(before);
            let cycle = last.took + now.saturating_duration_since(last.ended);
            if is_slow(came, now.saturating_duration_since(since), count, cycle) {
                break;
            }
            (before, since) = (count, now);
        }
        drop(gathering);
    }

    fn forget(&self, last: &mut Option<Last>) {
        *last = None;
        self.is_expected.store(false, Ordering::Release);
    }

    fn last(&self) -> MutexGuard<'_, Option<Last>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Last {
    fn end(&self) -> Instant {
        self.ended + self.took.min(LONGEST)
    }
}

impl Drop for Gathering<'_> {
    fn drop(&mut self) {
        self.reunion.wanted.store(0, Ordering::Release);
        let mut last = self.reunion.last();
        // Unless another call has ended meanwhile.
        if last.is_some_and(|last| last.ended == self.after.ended) {
            self.reunion.forget(&mut last);
        }
    }
}

/// Whether `came` in a time of `during` are fewer than it takes, where `count` are answered in each `cycle`.
fn is_slow(came: usize, during: Duration, count: usize, cycle: Duration) -> bool {
    came as u128 * cycle.as_nanos() < CLEARLY * count as u128 * during.as_nanos()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const CALL: Duration = Duration::from_millis(8);

    /// Callers that come back, each after its own time.
    async fn come(reunion: Arc<Reunion>, waiting: Arc<AtomicUsize>, after: Vec<Duration>) {
        let began = Instant::now();
        for pause in after {
            tokio::time::sleep_until(began + pause).await;
            waiting.fetch_add(1, Ordering::Relaxed);
            reunion.came(|| waiting.load(Ordering::Relaxed));
        }
    }

    /// How long is waited for these, of so many who were answered; and how many wait then, of whom one was there.
    async fn gathered(answered: usize, after: Vec<Duration>) -> (Duration, usize) {
        gathered_to(1, answered, after).await
    }

    async fn gathered_to(there: usize, answered: usize, after: Vec<Duration>) -> (Duration, usize) {
        let reunion = Arc::new(Reunion::new());
        let waiting = Arc::new(AtomicUsize::new(there));
        reunion.expect(answered, CALL);
        assert!(reunion.is_near());
        let began = Instant::now();
        let coming = come(Arc::clone(&reunion), Arc::clone(&waiting), after);
        let gather = reunion.gather(|| waiting.load(Ordering::Relaxed));
        tokio::select! {
            biased;
            () = gather => {}
            () = async { coming.await; std::future::pending().await } => {}
        }
        assert!(!reunion.is_near());
        (began.elapsed(), waiting.load(Ordering::Relaxed))
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_are_back_nobody_waits_any_longer() {
        let after = (0..31).map(|number| Duration::from_micros(number * 100));
        let (waited, count) = gathered(32, after.collect()).await;
        assert_eq!(count, 32);
        assert!(waited <= Duration::from_millis(4), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_stays_away_is_waited_for_as_long_as_others_come() {
        let after = (0..16).map(|number| Duration::from_micros(number * 200));
        let (waited, count) = gathered(64, after.collect()).await;
        assert_eq!(count, 17);
        assert!(waited < CALL, "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn where_nobody_comes_back_one_tick_is_lost() {
        let (waited, count) = gathered(32, vec![]).await;
        assert_eq!(count, 1);
        assert!(waited <= 2 * TICK, "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn callers_who_come_as_fast_as_they_are_answered_are_not_waited_for() {
        // 32 in the time of a call, and nearly as many came during the last.
        let after = (0..320).map(|number| CALL / 32 * number);
        let (waited, _) = gathered_to(28, 40, after.collect()).await;
        assert!(waited <= 2 * TICK, "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn however_many_come_it_lasts_no_longer_than_the_last_call() {
        let after = (0..100_000).map(|number| Duration::from_micros(number * 20));
        let (waited, _) = gathered(usize::MAX, after.collect()).await;
        assert!(waited <= CALL + TICK, "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_later_than_a_call_takes_is_as_one_who_never_had_company() {
        let reunion = Reunion::new();
        assert!(!reunion.is_near());
        reunion.expect(8, CALL);
        assert!(reunion.is_near());
        tokio::time::advance(CALL).await;
        assert!(!reunion.is_near());
        assert!(!reunion.is_expected.load(Ordering::Relaxed));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_ends_while_others_gather_is_not_forgotten() {
        let reunion = Reunion::new();
        reunion.expect(8, CALL);
        let mut gather = Box::pin(reunion.gather(|| 1));
        assert!(futures_util::poll!(&mut gather).is_pending());
        tokio::time::advance(Duration::from_micros(10)).await;
        reunion.expect(4, CALL);
        drop(gather);
        assert!(reunion.is_near());
    }
}
