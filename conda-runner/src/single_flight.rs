//! One run of some work for everybody who wants its result at the same time.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::task::TaskTracker;

/// How long work goes on that nobody waits for: whoever gives up a version to prepare it with other settings is back
/// at once, and twenty minutes of building should not be lost to that.
const LINGER: Duration = Duration::from_secs(2);

/// Runs work at most once at a time per key. Whoever comes while it runs gets the result of that run. It belongs to
/// none of them: it ends early only when the last one has gone. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct SingleFlight<V> {
    flights: Arc<Flights<V>>,
    tasks: TaskTracker,
}

/// What is running, by key.
type Flights<V> = Mutex<HashMap<String, Landing<V>>>;

/// Where a run tells its result. Those who wait for it are its receivers.
type Landing<V> = Arc<watch::Sender<Option<V>>>;

/// One run, seen from its task. Dropping it takes it off the list.
struct Flight<V> {
    key: String,
    flights: Arc<Flights<V>>,
    landing: Landing<V>,
}

impl<V: Clone + Send + Sync + 'static> SingleFlight<V> {
    /// Runs are tasks of `tasks`.
    pub(crate) fn new(tasks: TaskTracker) -> Self {
        Self {
            flights: Arc::default(),
            tasks,
        }
    }

    /// The result of `work`, or of the same work that is being done for others already; `None` if it broke off (a
    /// panic, or the end of the runtime).
    pub(crate) async fn run<Work>(&self, key: &str, work: impl FnOnce() -> Work) -> Option<V>
    where
        Work: Future<Output = V> + Send + 'static,
    {
        let mut landing = self.board(key, work);
        let landed = landing.wait_for(Option::is_some).await.ok()?;
        landed.clone()
    }

    /// Joins a run or begins one; at once, so that a run can see whether anybody waits for it.
    fn board<Work>(&self, key: &str, work: impl FnOnce() -> Work) -> watch::Receiver<Option<V>>
    where
        Work: Future<Output = V> + Send + 'static,
    {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(landing) = flights.get(key) {
            return landing.subscribe();
        }
        let (landing, landed) = watch::channel(None);
        let landing = Arc::new(landing);
        flights.insert(key.to_owned(), Arc::clone(&landing));
        let flight = Flight {
            key: key.to_owned(),
            flights: Arc::clone(&self.flights),
            landing,
        };
        self.tasks.spawn(flight.fly(work()));
        landed
    }
}

impl<V> Flight<V> {
    async fn fly(self, work: impl Future<Output = V>) {
        let value = tokio::select! {
            value = work => value,
            () = self.deserted() => return,
        };
        // Off the list first: whoever comes after the result was told wants a new one.
        self.leave();
        self.landing.send_replace(Some(value));
    }

    /// Resolves when nobody has waited for a while, and nobody can join any more.
    async fn deserted(&self) {
        loop {
            self.landing.closed().await;
            tokio::time::sleep(LINGER).await;
            let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
            if self.landing.receiver_count() == 0 {
                flights.remove(&self.key);
                return;
            }
        }
    }

    fn leave(&self) {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        // It may have left before, and the key be another's.
        let is_listed = flights
            .get(&self.key)
            .is_some_and(|landing| Arc::ptr_eq(landing, &self.landing));
        if is_listed {
            flights.remove(&self.key);
        }
    }
}

impl<V> Drop for Flight<V> {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use tokio::sync::oneshot;
    use tokio::task::JoinSet;

    use super::*;

    fn flights() -> SingleFlight<u64> {
        SingleFlight::new(TaskTracker::new())
    }

    #[tokio::test]
    async fn twenty_simultaneous_wishes_share_one_run() {
        let flights = flights();
        let runs = Arc::new(AtomicU64::new(0));
        let mut wishes = JoinSet::new();
        for _ in 0..20 {
            let (flights, runs) = (flights.clone(), Arc::clone(&runs));
            wishes.spawn(async move {
                let work = || async move {
                    tokio::task::yield_now().await;
                    runs.fetch_add(1, Ordering::Relaxed)
                };
                flights.run("key", work).await
            });
        }
        assert_eq!(wishes.join_all().await, vec![Some(0); 20]);
        assert_eq!(runs.load(Ordering::Relaxed), 1);
        assert!(flights.flights.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_later_wish_runs_again() {
        let flights = flights();
        assert_eq!(flights.run("key", || async { 1 }).await, Some(1));
        assert_eq!(flights.run("key", || async { 2 }).await, Some(2));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_began_may_go_and_the_others_still_get_the_result_of_that_run() {
        let flights = flights();
        let (started, has_started) = oneshot::channel();
        let (finish, finished) = oneshot::channel();
        let mut tasks = JoinSet::new();
        let beginner = flights.clone();
        tasks.spawn(async move {
            let work = || async {
                started.send(()).unwrap();
                finished.await.unwrap()
            };
            beginner.run("key", work).await
        });
        has_started.await.unwrap();
        let second = flights.board("key", || async { 2 });
        tasks.shutdown().await;
        // Longer than work goes on without anybody.
        tokio::time::sleep(LINGER * 2).await;
        finish.send(1).unwrap();
        let mut second = second;
        assert_eq!(
            *second.wait_for(Option::is_some).await.unwrap(),
            Some(1),
            "it started over"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_back_at_once_finds_the_run_going_on() {
        let flights = flights();
        let (finish, finished) = oneshot::channel();
        drop(flights.board("key", || async { finished.await.unwrap() }));
        tokio::time::sleep(LINGER / 2).await;
        let back = flights.board("key", || async { 2 });
        tokio::time::sleep(LINGER * 2).await;
        finish.send(1).unwrap();
        let mut back = back;
        assert_eq!(*back.wait_for(Option::is_some).await.unwrap(), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_ends_when_nobody_comes_back_and_the_next_wish_starts_over() {
        let flights = flights();
        let (held, is_dropped) = oneshot::channel::<()>();
        drop(flights.board("key", || async move {
            let _held = held;
            std::future::pending().await
        }));
        assert!(is_dropped.await.is_err());
        assert_eq!(flights.run("key", || async { 2 }).await, Some(2));
    }

    #[tokio::test]
    async fn a_run_that_panics_is_told_and_not_kept() {
        let flights = flights();
        let broken = || async { panic!("on purpose") };
        assert_eq!(flights.run("key", broken).await, None);
        assert_eq!(flights.run("key", || async { 2 }).await, Some(2));
    }
}
