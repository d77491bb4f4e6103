//! A bounded number of permits for heavy work, given out in the order of asking, in two levels.
//!
//! Asking is synchronous: whoever decides reserves a place in the queue in the same step, and the
//! work runs later, when the place has come up (law 9). As long as somebody waits on the upper level,
//! nobody on the lower one is served; the upper level is for single wishes of people and for versions
//! whose callers wait, so that it is empty nearly always.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// A person asked for it, or callers wait for it.
    Awaited,
    /// Everything that is done by itself.
    Housekeeping,
}

/// The permits that are free, and who waits for one.
#[derive(Debug)]
pub(crate) struct Permits {
    queue: Mutex<Queue>,
}

/// A place in the queue. Dropping it gives the place up.
#[derive(Debug)]
pub(crate) struct Reservation {
    permits: Arc<Permits>,
    turn: Option<oneshot::Receiver<()>>,
}

/// The right to work until it is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    permits: Arc<Permits>,
}

#[derive(Debug)]
struct Queue {
    free: usize,
    awaited: VecDeque<oneshot::Sender<()>>,
    housekeeping: VecDeque<oneshot::Sender<()>>,
}

impl Permits {
    /// As many permits as `count`, at least one.
    pub(crate) fn new(count: usize) -> Arc<Self> {
        Arc::new(Self {
            queue: Mutex::new(Queue {
                free: count.max(1),
                awaited: VecDeque::new(),
                housekeeping: VecDeque::new(),
            }),
        })
    }

    /// Takes a place in the queue now.
    pub(crate) fn reserve(self: &Arc<Self>, urgency: Urgency) -> Reservation {
        let (granted, turn) = oneshot::channel();
        let mut queue = self.queue();
        match urgency {
            Urgency::Awaited => queue.awaited.push_back(granted),
            Urgency::Housekeeping => queue.housekeeping.push_back(granted),
        }
        queue.serve();
        Reservation {
            permits: Arc::clone(self),
            turn: Some(turn),
        }
    }

    fn release(&self) {
        let mut queue = self.queue();
        queue.free += 1;
        queue.serve();
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Each change under the lock is complete in itself: a panic elsewhere leaves nothing half done.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn serve(&mut self) {
        while self.free > 0 {
            let next = self.awaited.pop_front();
            let Some(next) = next.or_else(|| self.housekeeping.pop_front()) else {
                return;
            };
            // Who gave up waiting is passed over.
            if next.send(()).is_ok() {
                self.free -= 1;
            }
        }
    }
}

impl Reservation {
    /// Waits for its turn.
    pub(crate) async fn granted(mut self) -> Permit {
        if let Some(turn) = &mut self.turn {
            // The other end is dropped unused only together with the queue, and `self` holds that.
            let _ = turn.await;
        }
        self.turn = None;
        Permit {
            permits: Arc::clone(&self.permits),
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let Some(turn) = &mut self.turn else { return };
        turn.close();
        if turn.try_recv().is_ok() {
            self.permits.release();
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.permits.release();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_persons_request_goes_before_housekeeping() {
        let permits = Permits::new(1);
        let working = permits.reserve(Urgency::Housekeeping).granted().await;
        let housekeeping = permits.reserve(Urgency::Housekeeping);
        let person = permits.reserve(Urgency::Awaited);
        drop(working);
        let served = person.granted().now_or_never();
        assert!(served.is_some());
        let mut housekeeping = Box::pin(housekeeping.granted());
        assert!(housekeeping.as_mut().now_or_never().is_none());
        drop(served);
        assert!(housekeeping.now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_place_that_is_given_up_goes_to_the_next() {
        let permits = Permits::new(1);
        let granted_but_unused = permits.reserve(Urgency::Housekeeping);
        let given_up = permits.reserve(Urgency::Housekeeping);
        let waiting = permits.reserve(Urgency::Housekeeping);
        drop(given_up);
        drop(granted_but_unused);
        assert!(waiting.granted().now_or_never().is_some());
        assert!(
            permits
                .reserve(Urgency::Awaited)
                .granted()
                .now_or_never()
                .is_some()
        );
    }
}
