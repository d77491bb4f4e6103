//! One run of some work for everybody who wants its result at the same time.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Runs work at most once at a time per key. Whoever comes while it runs gets the result of that run; when the one
/// who runs it goes away, the next in line starts over.
pub(crate) struct SingleFlight<V> {
    slots: Mutex<HashMap<String, Arc<Slot<V>>>>,
}

struct Slot<V> {
    /// Runs that came to an end.
    finished: AtomicU64,
    /// The result of the last one. Its lock is the right to run.
    last: tokio::sync::Mutex<Option<V>>,
}

impl<V: Clone> SingleFlight<V> {
    pub(crate) fn new() -> Self {
        Self {
            slots: Mutex::default(),
        }
    }

    /// The result of `work`, or of the same work that another caller is doing already.
    pub(crate) async fn run(&self, key: &str, work: impl Future<Output = V>) -> V {
        let slot = self.slot(key);
        let value = slot.run(work).await;
        self.forget_unused(key, slot);
        value
    }

    fn slot(&self, key: &str) -> Arc<Slot<V>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Slot {
            finished: AtomicU64::new(0),
            last: tokio::sync::Mutex::new(None),
        };
        Arc::clone(
            slots
                .entry(key.to_owned())
                .or_insert_with(|| Arc::new(new())),
        )
    }

    /// Slots are handed out under the lock, so a count of two (the map's and ours) cannot grow meanwhile.
    fn forget_unused(&self, key: &str, slot: Arc<Slot<V>>) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::strong_count(&slot) == 2 {
            slots.remove(key);
        }
    }
}

impl<V: Clone> Slot<V> {
    async fn run(&self, work: impl Future<Output = V>) -> V {
        let seen = self.finished.load(Ordering::Acquire);
        let mut last = self.last.lock().await;
        if self.finished.load(Ordering::Acquire) > seen
            && let Some(value) = &*last
        {
            return value.clone();
        }
        let value = work.await;
        *last = Some(value.clone());
        self.finished.fetch_add(1, Ordering::Release);
        value
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;
    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test]
    async fn twenty_simultaneous_wishes_share_one_run() {
        let flights = Arc::new(SingleFlight::<u64>::new());
        let runs = Arc::new(AtomicU64::new(0));
        let mut wishes = JoinSet::new();
        for _ in 0..20 {
            let (flights, runs) = (Arc::clone(&flights), Arc::clone(&runs));
            wishes.spawn(async move {
                let work = async {
                    tokio::task::yield_now().await;
                    runs.fetch_add(1, Ordering::Relaxed)
                };
                flights.run("key", work).await
            });
        }
        assert_eq!(wishes.join_all().await, vec![0; 20]);
        assert_eq!(runs.load(Ordering::Relaxed), 1);
        assert!(flights.slots.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_later_wish_runs_again() {
        let flights = SingleFlight::new();
        assert_eq!(flights.run("key", async { 1 }).await, 1);
        assert_eq!(flights.run("key", async { 2 }).await, 2);
    }

    #[tokio::test]
    async fn when_the_runner_goes_away_the_next_in_line_starts_over() {
        let flights = Arc::new(SingleFlight::new());
        let (started, has_started) = oneshot::channel();
        let mut tasks = JoinSet::new();
        let first = {
            let flights = Arc::clone(&flights);
            tasks.spawn(async move {
                let work = async {
                    started.send(()).unwrap();
                    std::future::pending().await
                };
                flights.run("key", work).await
            })
        };
        has_started.await.unwrap();
        let second = flights.run("key", async { 2 });
        first.abort();
        assert_eq!(second.await, 2);
    }
}
