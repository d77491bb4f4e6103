//! The queue: callers on one side, slots on the other.

use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

use super::groups::{BatchLimits, Groups, Outlook, Place, Pulled, member};
use super::member::{Batch, Unanswered};

/// Items of type `I` with keys of type `K`, and callers who wait for an `A` each.
#[derive(Debug)]
pub struct BatchQueue<K, I, A> {
    state: Mutex<State<K, I, A>>,
    /// One permit, or one puller woken, for each thing that one puller should look at.
    changed: Notify,
}

/// A caller's place. Dropping it gives the item up.
#[derive(Debug)]
pub struct Waiting<K: Clone + Eq + Hash, I, A> {
    queue: Arc<BatchQueue<K, I, A>>,
    place: Place,
    deadline: Instant,
    answer: oneshot::Receiver<Result<A, Unanswered>>,
    /// Whether the item has surely left the queue.
    left: bool,
}

/// A puller's timer. While it lives, nobody else needs one.
#[derive(Debug)]
struct Timer<'a, K: Clone + Eq + Hash, I, A> {
    queue: &'a BatchQueue<K, I, A>,
    at: Instant,
    /// Whether the puller goes on to look.
    over: bool,
}

/// An item that was not let in.
#[derive(Debug)]
pub struct Refused<I> {
    /// The item.
    pub item: I,
    /// Why not.
    pub because: RefusedBecause,
}

/// Why an item is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefusedBecause {
    /// As many items wait as may.
    #[error("the queue is full")]
    Full,
    /// The queue is closed.
    #[error("the queue is closed")]
    Closed,
}

#[derive(Debug)]
struct State<K, I, A> {
    groups: Groups<K, I, A>,
    /// For when the one puller with a timer has set it.
    timer: Option<Instant>,
    /// How often somebody has looked for a batch.
    #[cfg(test)]
    looks: u64,
}

/// What one who pulls does next.
#[derive(Debug)]
enum Look<I, A> {
    Batch(Batch<I, A>),
    Wait,
    /// With a timer.
    WaitUntil(Instant),
    Ended,
}

impl<K: Clone + Eq + Hash, I, A> BatchQueue<K, I, A> {
    /// An empty queue.
    pub fn new(limits: BatchLimits) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                groups: Groups::new(limits),
                timer: None,
                #[cfg(test)]
                looks: 0,
            }),
            changed: Notify::new(),
        })
    }

    /// Changes the limits. Items that wait already stay, even if there are too many now.
    pub fn set_limits(&self, limits: BatchLimits) {
        self.state().groups.set_limits(limits);
        self.changed.notify_one();
    }

    /// Lets an item in to wait for a slot. Items of equal keys may share a batch; one without a key goes alone. `weight` is
    /// what it adds to a batch, its rows for instance; after `deadline` nobody wants the answer.
    pub fn offer(
        self: &Arc<Self>,
        item: I,
        key: Option<K>,
        weight: usize,
        deadline: Instant,
    ) -> Result<Waiting<K, I, A>, Refused<I>> {
        let now = Instant::now();
        let (member, answer) = member(item, weight, deadline, now);
        let mut state = self.state();
        let because = if state.groups.is_closed() {
            Some(RefusedBecause::Closed)
        } else if state.groups.is_full() {
            Some(RefusedBecause::Full)
        } else {
            None
        };
        if let Some(because) = because {
            drop(state);
            let item = member.item;
            return Err(Refused { item, because });
        }
        let place = state.groups.add(key, member);
        let ready_at = state.groups.ready_at(place, now);
        let is_news = ready_at <= now || state.needs_timer(ready_at);
        drop(state);
        if is_news {
            self.changed.notify_one();
        }
        Ok(Waiting {
            queue: Arc::clone(self),
            place,
            deadline,
            answer,
            left: false,
        })
    }

    /// The next batch; `None` when the queue is closed and nothing waits any more. To be called by one who has a slot free,
    /// and safe to drop: nothing is handed out that is not returned.
    pub async fn next(&self) -> Option<Batch<I, A>> {
        loop {
            match self.look() {
                Look::Batch(batch) => return Some(batch),
                Look::Ended => return None,
                Look::Wait => self.changed.notified().await,
                Look::WaitUntil(at) => {
                    let mut timer = Timer {
                        queue: self,
                        at,
                        over: false,
                    };
                    // Either way it is time to look again.
                    let _ = timeout_at(at, self.changed.notified()).await;
                    timer.over = true;
                }
            }
        }
    }

    /// Waits until [`next`](Self::next) would not wait: for one who looks for a slot only when there is something to do. To be
    /// called by one at a time. Safe to drop.
    pub async fn ripe(&self) {
        loop {
            let outlook = self.state().groups.outlook(Instant::now());
            let changed = self.changed.notified();
            match outlook {
                Outlook::Ripe(_) => return,
                Outlook::Nothing if self.state().groups.is_closed() => return,
                Outlook::Nothing => changed.await,
                // Either way it is time to look again.
                Outlook::NotBefore(at) => drop(timeout_at(at, changed).await),
            }
        }
    }

    /// Lets nothing in any more. What waits is handed out, then `next` ends.
    pub fn close(&self) {
        self.state().groups.close();
        self.changed.notify_one();
    }

    /// Items that wait.
    pub fn len(&self) -> usize {
        self.state().groups.items()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How often pullers have looked for a batch.
    #[cfg(test)]
    pub(super) fn looks(&self) -> u64 {
        self.state().looks
    }

    fn look(&self) -> Look<I, A> {
        let now = Instant::now();
        let mut guard = self.state();
        let state = &mut *guard;
        #[cfg(test)]
        {
            state.looks += 1;
        }
        let (pulled, expired) = state.groups.pull(now);
        let mut others_should_look = false;
        let look = match pulled {
            Pulled::Batch(batch) => {
                others_should_look = match state.groups.outlook(now) {
                    Outlook::Ripe(_) => true,
                    Outlook::NotBefore(at) => state.needs_timer(at),
                    Outlook::Nothing => state.groups.is_closed(),
                };
                Look::Batch(batch)
            }
            Pulled::Ended => {
                others_should_look = true;
                Look::Ended
            }
            Pulled::NotBefore(at) if state.needs_timer(at) => {
                state.timer = Some(at);
                Look::WaitUntil(at)
            }
            Pulled::NotBefore(_) | Pulled::Nothing => Look::Wait,
        };
        drop(guard);
        drop(expired);
        if others_should_look {
            // One of them, who will see to the next.
            self.changed.notify_one();
        }
        look
    }

    fn state(&self) -> MutexGuard<'_, State<K, I, A>> {
        // Each change under the lock is complete in itself: a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, I, A> State<K, I, A> {
    /// Whether nobody has a timer that rings by then.
    fn needs_timer(&self, at: Instant) -> bool {
        self.timer.is_none_or(|set| at < set)
    }
}

impl<K: Clone + Eq + Hash, I, A> Waiting<K, I, A> {
    /// Waits for the answer, until the deadline.
    pub async fn answer(mut self) -> Result<A, Unanswered> {
        let answer = timeout_at(self.deadline, &mut self.answer).await;
        self.left = answer.is_ok();
        match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Unanswered::Lost),
            Err(_) => self.too_late(),
        }
    }

    fn too_late(&mut self) -> Result<A, Unanswered> {
        if self.give_up() {
            return Err(Unanswered::Expired);
        }
        // An answer may have come in the same moment; or a puller has found the item expired, and has said so before it gave
        // the lock back.
        match self.answer.try_recv() {
            Ok(answer) => answer,
            Err(TryRecvError::Closed) => Err(Unanswered::Lost),
            Err(TryRecvError::Empty) => Err(Unanswered::Late),
        }
    }

    /// Takes the item out of the queue. False if it was not there any more.
    fn give_up(&mut self) -> bool {
        if std::mem::replace(&mut self.left, true) {
            return false;
        }
        // The item is dropped after the lock is given back.
        let member = self.queue.state().groups.remove(self.place);
        member.is_some()
    }
}

impl<K: Clone + Eq + Hash, I, A> Drop for Waiting<K, I, A> {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl<K: Clone + Eq + Hash, I, A> Drop for Timer<'_, K, I, A> {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        if state.timer == Some(self.at) {
            state.timer = None;
        }
        drop(state);
        if !self.over {
            // Dropped while it waited: somebody else has to.
            self.queue.changed.notify_one();
        }
    }
}
