//! Where questions to the registry queue: so many wait, so many of one caller, so many are asked at a time, and one task
//! owns them all.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex as Lock, MutexGuard, PoisonError};

use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::Identity;

/// A question on its way; it tells those who wait for the answer by itself.
pub(crate) type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A bounded queue of questions.
pub(crate) struct Desk {
    submit: mpsc::Sender<Job>,
    waiting: Mutex<mpsc::Receiver<Job>>,
    at_a_time: usize,
    /// Questions of one caller that may wait or be under way: callers name models as they like, and one shall not take
    /// all places.
    of_one: usize,
    /// Places for callers who were allowed something before: newcomers, however many, shall not take their rights.
    reserved: usize,
    pending: Pending,
}

/// Questions that wait or are under way, by whom they are about.
type Pending = Arc<Lock<HashMap<Identity, usize>>>;

/// A place among the questions of a caller, until dropped.
struct Place {
    pending: Pending,
    caller: Identity,
}

impl Desk {
    pub(crate) fn new(at_a_time: usize, waiting: usize) -> Self {
        let (submit, receiver) = mpsc::channel(waiting.max(1));
        let at_a_time = at_a_time.max(1);
        Self {
            submit,
            waiting: Mutex::new(receiver),
            at_a_time,
            of_one: (waiting / 8).max(at_a_time),
            reserved: waiting / 4,
            pending: Pending::default(),
        }
    }

    /// Queues a question about `caller`, who was allowed what it asks for before or not; `false` if too many wait already.
    /// Never waits itself.
    pub(crate) fn submit(&self, caller: &Identity, allowed_before: bool, job: Job) -> bool {
        if !allowed_before && self.submit.capacity() <= self.reserved {
            return false;
        }
        let Some(place) = self.place(caller) else {
            return false;
        };
        let job = Box::pin(async move {
            let _place = place;
            job.await;
        });
        self.submit.try_send(job).is_ok()
    }

    /// Asks what is queued, until `shutdown`; what is under way then is dropped.
    pub(crate) async fn run(&self, shutdown: &CancellationToken) {
        let work = async {
            let mut waiting = self.waiting.lock().await;
            let mut asked = JoinSet::new();
            loop {
                tokio::select! {
                    Some(job) = waiting.recv(), if asked.len() < self.at_a_time => {
                        asked.spawn(job);
                    }
                    Some(ended) = asked.join_next() => {
                        if let Err(error) = ended {
                            error!(%error, "a question to the registry ended before its answer");
                        }
                    }
                }
            }
        };
        shutdown.run_until_cancelled(work).await;
    }

    /// `None` if the caller has too many already.
    fn place(&self, caller: &Identity) -> Option<Place> {
        let mut pending = locked(&self.pending);
        let count = pending.entry(caller.clone()).or_default();
        if *count >= self.of_one {
            return None;
        }
        *count += 1;
        Some(Place {
            pending: Arc::clone(&self.pending),
            caller: caller.clone(),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut pending = locked(&self.pending);
        if let Some(count) = pending.get_mut(&self.caller) {
            *count -= 1;
            if *count == 0 {
                pending.remove(&self.caller);
            }
        }
    }
}

fn locked(pending: &Pending) -> MutexGuard<'_, HashMap<Identity, usize>> {
    // Nothing panics under the lock.
    pending.lock().unwrap_or_else(PoisonError::into_inner)
}
