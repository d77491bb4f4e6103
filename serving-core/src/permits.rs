//! A bounded number of permits for heavy work, given out by urgency, then in the order of the decisions.
//!
//! Whoever decides that something is to be done draws a ticket in the same step; whoever does it asks for
//! a permit when there really is work, which may be later or never. Who asks later than others with an
//! older ticket still goes before them (law 9), and who needs no permit waits for nobody.
//!
//! A few places can be reserved for versions that are out of service: work on new versions may fill all
//! others for as long as it likes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Why something is done, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urgency {
    /// A version that has served has no replica left.
    Recovery,
    /// The same, and it was tried in vain already: it may be the next one that hangs.
    RepeatedRecovery,
    /// A person asked for it, or callers wait for it.
    Awaited,
    /// Everything that is done by itself.
    Housekeeping,
}

/// A place in the order of decisions. Drawing one costs nothing, and it can be used any number of times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket {
    pub(crate) urgency: Urgency,
    number: u64,
}

/// The permits that are free, and who waits for one.
#[derive(Debug)]
pub(crate) struct Permits {
    queue: Mutex<Queue>,
}

/// The right to work until it is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    permits: Arc<Permits>,
}

/// A place in the queue. Dropping it gives the place up.
#[derive(Debug)]
pub(crate) struct Waiting {
    permits: Arc<Permits>,
    turn: Option<oneshot::Receiver<()>>,
}

#[derive(Debug)]
struct Queue {
    free: usize,
    /// Permits that only recoveries may take.
    reserved: usize,
    /// Of tickets and of places in the queue.
    next_number: u64,
    /// By ticket, then in the order of asking.
    waiting: BTreeMap<(Ticket, u64), oneshot::Sender<()>>,
}

impl Permits {
    /// As many permits as `count`, at least one, and `reserved` more that only recoveries may take.
    pub(crate) fn new(count: usize, reserved: usize) -> Arc<Self> {
        Arc::new(Self {
            queue: Mutex::new(Queue {
                free: count.max(1).saturating_add(reserved),
                reserved,
                next_number: 0,
                waiting: BTreeMap::new(),
            }),
        })
    }

    /// Takes a place in the order of decisions now.
    pub(crate) fn ticket(&self, urgency: Urgency) -> Ticket {
        let number = self.queue().number();
        Ticket { urgency, number }
    }

    /// Asks for a permit now.
    pub(crate) fn ask(self: &Arc<Self>, ticket: Ticket) -> Waiting {
        let (granted, turn) = oneshot::channel();
        let mut queue = self.queue();
        let number = queue.number();
        queue.waiting.insert((ticket, number), granted);
        queue.serve();
        Waiting {
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
    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    fn serve(&mut self) {
        while let Some(next) = self.waiting.first_entry() {
            // Who is less urgent has to leave no fewer: if the first one has to wait, so have all.
            let left_to_others = match next.key().0.urgency {
                Urgency::Recovery => 0,
                Urgency::RepeatedRecovery => self.reserved.min(1),
                Urgency::Awaited | Urgency::Housekeeping => self.reserved,
            };
            if self.free <= left_to_others {
                return;
            }
            // Who gave up waiting is passed over.
            if next.remove().send(()).is_ok() {
                self.free -= 1;
            }
        }
    }
}

impl Waiting {
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

impl Drop for Waiting {
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

    fn ask(permits: &Arc<Permits>, urgency: Urgency) -> Waiting {
        permits.ask(permits.ticket(urgency))
    }

    fn taken(permits: &Arc<Permits>, urgency: Urgency) -> Option<Permit> {
        ask(permits, urgency).granted().now_or_never()
    }

    #[test]
    fn a_persons_request_goes_before_housekeeping() {
        let permits = Permits::new(1, 0);
        let working = taken(&permits, Urgency::Housekeeping);
        let mut housekeeping = Box::pin(ask(&permits, Urgency::Housekeeping).granted());
        let person = ask(&permits, Urgency::Awaited);
        drop(working);
        let served = person.granted().now_or_never();
        assert!(served.is_some());
        assert!(housekeeping.as_mut().now_or_never().is_none());
        drop(served);
        assert!(housekeeping.now_or_never().is_some());
    }

    #[test]
    fn what_was_decided_earlier_goes_first_though_it_asks_later() {
        let permits = Permits::new(1, 0);
        let working = taken(&permits, Urgency::Housekeeping);
        let earlier = permits.ticket(Urgency::Housekeeping);
        let mut later = Box::pin(ask(&permits, Urgency::Housekeeping).granted());
        let earlier = permits.ask(earlier);
        drop(working);
        assert!(later.as_mut().now_or_never().is_none());
        assert!(earlier.granted().now_or_never().is_some());
        assert!(later.now_or_never().is_some());
    }

    #[test]
    fn a_place_that_is_given_up_goes_to_the_next() {
        let permits = Permits::new(1, 0);
        let granted_but_unused = ask(&permits, Urgency::Housekeeping);
        let given_up = ask(&permits, Urgency::Housekeeping);
        let waiting = ask(&permits, Urgency::Housekeeping);
        drop(given_up);
        drop(granted_but_unused);
        assert!(waiting.granted().now_or_never().is_some());
        assert!(taken(&permits, Urgency::Awaited).is_some());
    }

    #[test]
    fn reserved_permits_are_for_recoveries_and_the_last_one_is_for_a_first_try() {
        let permits = Permits::new(1, 2);
        let held = [
            taken(&permits, Urgency::Awaited),
            taken(&permits, Urgency::RepeatedRecovery),
        ];
        assert!(held.iter().all(Option::is_some));
        assert!(taken(&permits, Urgency::Awaited).is_none());
        assert!(taken(&permits, Urgency::RepeatedRecovery).is_none());
        assert!(taken(&permits, Urgency::Recovery).is_some());
    }
}
