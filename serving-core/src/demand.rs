//! What callers of a version let its supervisor know: that they come, that they wait, that they find nobody.
//!
//! Callers write to shared memory only where that says something new, so that many at a time do not slow each other.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Notify;

/// Told by callers of one version, read by its supervisor.
#[derive(Debug, Default)]
pub struct Demand {
    /// Somebody has come since the supervisor last looked.
    came: AtomicBool,
    /// Callers that wait while all places are taken.
    waiting: AtomicU64,
    /// The supervisor wants to hear of the next one who begins to wait.
    listening: AtomicBool,
    /// Somebody has found no replica.
    found_nobody: AtomicBool,
    news: Notify,
}

/// A caller who waits for a place, as `D` knows it; dropping it ends that.
#[derive(Debug)]
pub struct WaitingCaller<D: Deref<Target = Demand>> {
    demand: D,
}

impl Demand {
    /// A caller has come.
    pub fn came(&self) {
        if !self.came.load(Ordering::Relaxed) {
            self.came.store(true, Ordering::Relaxed);
        }
    }

    /// A caller begins to wait, because all places are taken.
    pub fn waits(&self) -> WaitingCaller<&Self> {
        self.one_more_waits();
        WaitingCaller { demand: self }
    }

    /// The same for one who waits where nothing can be borrowed: in a queue.
    pub fn waits_in_a_queue(self: &Arc<Self>) -> WaitingCaller<Arc<Self>> {
        self.one_more_waits();
        WaitingCaller {
            demand: Arc::clone(self),
        }
    }

    fn one_more_waits(&self) {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        if self.listening.load(Ordering::Acquire) && self.listening.swap(false, Ordering::AcqRel) {
            self.news.notify_one();
        }
    }

    /// A caller has found no replica: if the version sleeps it is to wake. To be called after the set of replicas was
    /// seen empty. However many call it, one is started.
    pub fn found_nobody(&self) {
        if !self.found_nobody.swap(true, Ordering::AcqRel) {
            self.news.notify_one();
        }
    }

    /// Whether somebody has found no replica since the version last fell asleep.
    pub fn is_missed(&self) -> bool {
        self.found_nobody.load(Ordering::Acquire)
    }

    /// Callers that wait for a place now.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Acquire)
    }

    /// Whether somebody has come since this was last asked.
    pub(crate) fn has_come(&self) -> bool {
        self.came.swap(false, Ordering::AcqRel)
    }

    /// Whoever found nobody until now had found another reason for it: to be called before a version falls asleep.
    pub(crate) fn forget_who_found_nobody(&self) {
        self.found_nobody.store(false, Ordering::Release);
    }

    /// Has `news` tell of the next one who begins to wait, once.
    pub(crate) fn listen(&self) {
        self.listening.store(true, Ordering::Release);
    }

    /// Whether the next one who begins to wait is told of.
    #[cfg(test)]
    pub(crate) fn is_listened_to(&self) -> bool {
        self.listening.load(Ordering::Acquire)
    }

    /// Waits for something that the supervisor should know at once. None is lost between two calls.
    pub(crate) async fn news(&self) {
        self.news.notified().await;
    }
}

impl<D: Deref<Target = Demand>> Drop for WaitingCaller<D> {
    fn drop(&mut self) {
        self.demand.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn who_waits_is_heard_once_for_each_time_that_somebody_listens() {
        let demand = Arc::new(Demand::default());
        let first = demand.waits();
        assert!(demand.news().now_or_never().is_none());
        demand.listen();
        let second = demand.waits_in_a_queue();
        assert_eq!(demand.waiting(), 2);
        assert!(demand.news().now_or_never().is_some());
        let third = demand.waits();
        assert!(demand.news().now_or_never().is_none());
        drop((first, second, third));
        assert_eq!(demand.waiting(), 0);
    }

    #[test]
    fn many_who_find_nobody_are_one_piece_of_news_until_it_is_forgotten() {
        let demand = Demand::default();
        for _ in 0..32 {
            demand.found_nobody();
        }
        assert!(demand.news().now_or_never().is_some());
        assert!(demand.news().now_or_never().is_none());
        assert!(demand.is_missed());
        demand.forget_who_found_nobody();
        assert!(!demand.is_missed());
        demand.found_nobody();
        assert!(demand.news().now_or_never().is_some());
    }

    #[test]
    fn that_somebody_came_is_told_once() {
        let demand = Demand::default();
        assert!(!demand.has_come());
        demand.came();
        demand.came();
        assert!(demand.has_come());
        assert!(!demand.has_come());
    }
}
