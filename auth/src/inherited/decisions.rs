//! Answers of the registry, remembered: each question is asked once however many want to know, and again before its
//! answer grows too old.
//!
//! The laws: an answer counts from when it was asked for; a fresh one is given at once; while it is used it is asked for
//! again before it ends; without an answer of the registry the last one stands for a while, then there is none. A question
//! that could not be asked, because too many were waiting, is no outage: nothing old stands for it.

use std::collections::HashMap;
use std::future::Future;
use std::hash::{BuildHasher, Hash, RandomState};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::Identity;
use super::desk::Desk;
use super::figures::Counters;
use super::silence::Silence;
use super::source::SourceError;

/// Locks that callers share at random, so that they seldom meet at one.
const SHARDS: usize = 16;

/// How long answers count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ages {
    /// An answer that allows something.
    pub(crate) allowed: Duration,
    /// An answer that allows nothing.
    pub(crate) denied: Duration,
    /// How much longer than that an answer stands while there is no newer one.
    pub(crate) outage: Duration,
    /// After no answer, the pause before the same is asked again.
    pub(crate) pause: Duration,
    /// How long one question may take.
    pub(crate) deadline: Duration,
}

/// What can be remembered.
pub(crate) trait Answer: Clone + Send + Sync + 'static {
    /// Whether it allows nothing, and so has to be looked at again earlier.
    fn denies(&self) -> bool;
}

impl<T: Clone + Send + Sync + 'static> Answer for Option<T> {
    fn denies(&self) -> bool {
        self.is_none()
    }
}

/// What answers are remembered for.
pub(crate) trait Key: Clone + Eq + Hash + Send + Sync + 'static {
    /// Whose question it is.
    fn caller(&self) -> &Identity;
}

/// The answers to one kind of question, by what it is about.
pub(crate) struct Decisions<K, A> {
    ages: Ages,
    /// Questions in each generation of each shard.
    capacity: usize,
    hasher: RandomState,
    shards: [Mutex<Shard<K, A>>; SHARDS],
    desk: Arc<Desk>,
    silence: Arc<Silence>,
    counters: Arc<Counters>,
}

/// Two generations: when `recent` is full it becomes `older`, and what was `older` is forgotten. What is used moves to
/// `recent`; each operation takes the same time however much is remembered.
struct Shard<K, A> {
    recent: HashMap<K, Slot<A>>,
    older: HashMap<K, Slot<A>>,
}

struct Slot<A> {
    answer: Option<Remembered<A>>,
    /// The question on its way, if there is one.
    asked: Option<Outcome<A>>,
    /// Why there was no answer last time, and until when that is not tried again.
    failure: Option<(SourceError, Instant)>,
}

struct Remembered<A> {
    answer: A,
    asked: Instant,
}

type Outcome<A> = watch::Receiver<Option<Result<A, SourceError>>>;

/// What is to be done for a caller.
enum Look<A> {
    Known(A),
    Failed(SourceError),
    Wait(Outcome<A>),
}

impl<K: Key, A: Answer> Decisions<K, A> {
    /// Room for about `capacity` questions; up to twice as many are remembered for a while.
    pub(crate) fn new(
        ages: Ages,
        capacity: usize,
        desk: Arc<Desk>,
        silence: Arc<Silence>,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            ages,
            capacity: capacity.div_ceil(SHARDS).max(1),
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
            desk,
            silence,
            counters,
        }
    }

    /// Answers that are remembered now, also those that are too old to count.
    pub(crate) fn entries(&self) -> u64 {
        let held = self.shards.iter().map(|shard| {
            // Like in `shard`: a lost answer would be asked for again.
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.recent.len() + shard.older.len()
        });
        held.map(|length| length as u64).sum()
    }

    /// The answer about `key`, which `question` would ask for. Waits only where nothing is known that may still count.
    pub(crate) async fn get<F>(
        self: &Arc<Self>,
        key: &K,
        question: impl FnOnce() -> F,
    ) -> Result<A, SourceError>
    where
        F: Future<Output = Result<A, SourceError>> + Send + 'static,
    {
        let mut outcome = match self.look(key, question) {
            Look::Known(answer) => {
                self.counters.hit();
                return Ok(answer);
            }
            Look::Failed(error) => return Err(error),
            Look::Wait(outcome) => outcome,
        };
        self.counters.miss();
        let ended = timeout(self.patience(), outcome.wait_for(Option::is_some)).await;
        let ended = match ended {
            Ok(Ok(outcome)) => outcome.clone(),
            Ok(Err(_)) | Err(_) => None,
        };
        match ended {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(error @ SourceError::SignedOut)) => Err(error),
            Some(Err(error)) => self.standing(key).ok_or(error),
            // It may only have queued too long: then nobody knows that the registry does not answer.
            None if self.is_unanswered(key) => self.standing(key).ok_or_else(no_answer),
            None => Err(no_answer()),
        }
    }

    /// Whether the answer about `key` needs no question by a stranger: it is fresh, or on its way, or allowed something
    /// when it was last asked for.
    pub(crate) fn is_at_hand(&self, key: &K) -> bool {
        let now = Instant::now();
        let mut shard = self.shard(key);
        shard.touch(key, self.capacity).is_some_and(|slot| {
            let remembered = slot.answer.as_ref().is_some_and(|remembered| {
                !remembered.answer.denies() || now < self.fresh_until(remembered)
            });
            let on_its_way = slot.asked.as_ref();
            remembered || on_its_way.is_some_and(|outcome| outcome.has_changed().is_ok())
        })
    }

    /// The answer about `key`, if one is remembered that counts without asking.
    pub(crate) fn peek(&self, key: &K) -> Option<A> {
        let now = Instant::now();
        let mut shard = self.shard(key);
        let remembered = shard.touch(key, self.capacity)?.answer.as_ref()?;
        let fresh = now < self.fresh_until(remembered);
        fresh.then(|| remembered.answer.clone())
    }

    /// Makes the next one who wants to know ask again.
    pub(crate) fn forget(&self, key: &K) {
        let mut shard = self.shard(key);
        shard.recent.remove(key);
        shard.older.remove(key);
    }

    fn look<F>(self: &Arc<Self>, key: &K, question: impl FnOnce() -> F) -> Look<A>
    where
        F: Future<Output = Result<A, SourceError>> + Send + 'static,
    {
        let now = Instant::now();
        let mut shard = self.shard(key);
        let Some(slot) = shard.touch(key, self.capacity) else {
            return match self.ask(key, false, question) {
                Ok(outcome) => {
                    let slot = Slot {
                        answer: None,
                        asked: Some(outcome.clone()),
                        failure: None,
                    };
                    shard.insert(key.clone(), slot, self.capacity);
                    Look::Wait(outcome)
                }
                Err(error) => Look::Failed(error),
            };
        };
        // A question whose task has gone will never be answered.
        slot.asked.take_if(|outcome| outcome.has_changed().is_err());
        let until = slot.failure.as_ref().map(|(_, until)| *until);
        let paused = until.is_some_and(|until| now < until);
        let failing = self.is_failing(slot);
        let allowed_before =
            (slot.answer.as_ref()).is_some_and(|remembered| !remembered.answer.denies());
        let standing = slot.answer.as_ref().and_then(|remembered| {
            let stale = now >= self.fresh_until(remembered);
            let aging = now >= self.aging_from(remembered);
            let stands = now < self.fresh_until(remembered) + self.ages.outage;
            stands.then(|| (remembered.answer.clone(), aging, stale))
        });
        match standing {
            // Also a stale one, if nobody answers just now: one asks in the background, and nobody waits.
            Some((answer, aging, stale)) if !stale || failing || self.is_silent() => {
                if aging && !paused && slot.asked.is_none() {
                    // A full desk is no harm: the next caller tries again.
                    slot.asked = self.ask(key, allowed_before, question).ok();
                    if slot.asked.is_some() {
                        self.counters.refresh();
                    }
                }
                Look::Known(answer)
            }
            _ => {
                if let (true, Some((error, _))) = (paused, &slot.failure) {
                    return Look::Failed(error.clone());
                }
                if slot.asked.is_none() {
                    match self.ask(key, allowed_before, question) {
                        Ok(outcome) => slot.asked = Some(outcome),
                        // Also if something stale is remembered: the registry might answer otherwise.
                        Err(error) => return Look::Failed(error),
                    }
                }
                match &slot.asked {
                    Some(outcome) => Look::Wait(outcome.clone()),
                    None => Look::Failed(no_answer()),
                }
            }
        }
    }

    /// Sends `question` on its way.
    fn ask<F>(
        self: &Arc<Self>,
        key: &K,
        allowed_before: bool,
        question: impl FnOnce() -> F,
    ) -> Result<Outcome<A>, SourceError>
    where
        F: Future<Output = Result<A, SourceError>> + Send + 'static,
    {
        let (tell, outcome) = watch::channel(None);
        let (decisions, about, question) = (Arc::clone(self), key.clone(), question());
        let job = Box::pin(async move {
            let asked = Instant::now();
            let answered = timeout(decisions.ages.deadline, question).await;
            let answered = answered.unwrap_or_else(|_| Err(no_answer()));
            decisions.settle(&about, asked, &answered);
            tell.send_replace(Some(answered));
        });
        if self.desk.submit(key.caller(), allowed_before, job) {
            Ok(outcome)
        } else {
            self.counters.failure();
            Err(SourceError::Unavailable(
                "too many questions to the registry are waiting already".to_owned(),
            ))
        }
    }

    fn settle(&self, key: &K, asked: Instant, answered: &Result<A, SourceError>) {
        match answered {
            Ok(_) | Err(SourceError::SignedOut) => self.silence.ended(),
            Err(_) => self.silence.noticed(),
        }
        let mut shard = self.shard(key);
        if shard.touch(key, self.capacity).is_none() {
            let slot = Slot {
                answer: None,
                asked: None,
                failure: None,
            };
            shard.insert(key.clone(), slot, self.capacity);
        }
        let Some(slot) = shard.touch(key, self.capacity) else {
            return;
        };
        slot.asked = None;
        match answered {
            Ok(answer) => {
                let answer = answer.clone();
                slot.answer = Some(Remembered { answer, asked });
                slot.failure = None;
            }
            // That is an answer: nothing said before holds any longer.
            Err(SourceError::SignedOut) => {
                shard.recent.remove(key);
            }
            Err(error) => {
                self.counters.failure();
                slot.failure = Some((error.clone(), Instant::now() + self.ages.pause));
            }
        }
    }

    /// What was answered last, if that still stands although nobody answers.
    fn standing(&self, key: &K) -> Option<A> {
        let now = Instant::now();
        let mut shard = self.shard(key);
        let remembered = shard.touch(key, self.capacity)?.answer.as_ref()?;
        let stands = now < self.fresh_until(remembered) + self.ages.outage;
        stands.then(|| remembered.answer.clone())
    }

    /// Whether the registry gave no answer about `key` lately, or none to anybody.
    fn is_unanswered(&self, key: &K) -> bool {
        let mut shard = self.shard(key);
        let slot = shard.touch(key, self.capacity);
        slot.is_some_and(|slot| self.is_failing(slot)) || self.is_silent()
    }

    /// As long after the pause as it takes to learn that there is still no answer.
    fn is_failing(&self, slot: &Slot<A>) -> bool {
        let failure = slot.failure.as_ref();
        failure.is_some_and(|(_, until)| Instant::now() < *until + self.patience())
    }

    fn is_silent(&self) -> bool {
        let recent = self.ages.pause + self.patience();
        self.silence.lasts(self.ages.deadline, recent)
    }

    /// A question may have to queue as long as it may take.
    fn patience(&self) -> Duration {
        self.ages.deadline.saturating_mul(2)
    }

    fn age(&self, answer: &A) -> Duration {
        if answer.denies() {
            self.ages.denied
        } else {
            self.ages.allowed
        }
    }

    fn fresh_until(&self, remembered: &Remembered<A>) -> Instant {
        remembered.asked + self.age(&remembered.answer)
    }

    /// From when on it is asked for again: the last quarter of its life.
    fn aging_from(&self, remembered: &Remembered<A>) -> Instant {
        remembered.asked + self.age(&remembered.answer) / 4 * 3
    }

    fn shard(&self, key: &K) -> MutexGuard<'_, Shard<K, A>> {
        let hash = self.hasher.hash_one(key);
        // The remainder is below SHARDS, and so fits whatever usize is.
        let shard = &self.shards[usize::try_from(hash % SHARDS as u64).unwrap_or_default()];
        // Nothing panics under the lock, and a lost answer would be asked for again.
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash, A> Shard<K, A> {
    fn touch(&mut self, key: &K, capacity: usize) -> Option<&mut Slot<A>> {
        if !self.recent.contains_key(key) {
            let slot = self.older.remove(key)?;
            self.insert(key.clone(), slot, capacity);
        }
        self.recent.get_mut(key)
    }

    fn insert(&mut self, key: K, slot: Slot<A>, capacity: usize) {
        if self.recent.len() >= capacity {
            self.older = mem::take(&mut self.recent);
        }
        self.recent.insert(key, slot);
    }
}

impl<K, A> Default for Shard<K, A> {
    fn default() -> Self {
        Self {
            recent: HashMap::new(),
            older: HashMap::new(),
        }
    }
}

fn no_answer() -> SourceError {
    SourceError::Unavailable("the registry did not answer in time".to_owned())
}
