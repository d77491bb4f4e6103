//! The bookkeeping of a queue: what waits, in groups of like with like, and what can be handed out.
//!
//! Synchronous, and told the time: `queue` puts the lock and the waiting around it.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::member::{Batch, Member, Unanswered};

/// How much a queue holds, and how much it hands out at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// Items that may wait.
    pub max_items: usize,
    /// The weight of a batch of several items; one that weighs more alone goes alone.
    pub max_weight: usize,
    /// How long the oldest item of a batch that is not full waits for company. Zero: not at all.
    pub max_delay: Duration,
}

/// Where an item waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    group: u64,
    number: u64,
}

/// What there is for one who pulls.
#[derive(Debug)]
pub(super) enum Pulled<I, A> {
    /// A batch.
    Batch(Batch<I, A>),
    /// Nothing before this time, unless more comes.
    NotBefore(Instant),
    /// Nothing.
    Nothing,
    /// Nothing any more.
    Ended,
}

/// When there will be a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outlook {
    /// Now: this group's.
    Ripe(u64),
    /// At this time, if nothing more comes.
    NotBefore(Instant),
    /// Nothing waits.
    Nothing,
}

#[derive(Debug)]
pub(super) struct Groups<K, I, A> {
    limits: BatchLimits,
    closed: bool,
    /// Of groups and of items, both in the order of their coming.
    next_number: u64,
    by_id: HashMap<u64, Group<K, I, A>>,
    by_key: HashMap<K, u64>,
    /// Groups by the number of their oldest item.
    by_age: BTreeMap<u64, u64>,
    items: usize,
}

#[derive(Debug)]
struct Group<K, I, A> {
    /// `None` for an item that goes alone.
    key: Option<K>,
    members: BTreeMap<u64, Member<I, A>>,
    weight: usize,
    /// Not to wait for company beyond the deadline of any item.
    hurry: Option<Instant>,
}

impl<K: Clone + Eq + Hash, I, A> Groups<K, I, A> {
    pub(super) fn new(limits: BatchLimits) -> Self {
        Self {
            limits,
            closed: false,
            next_number: 0,
            by_id: HashMap::new(),
            by_key: HashMap::new(),
            by_age: BTreeMap::new(),
            items: 0,
        }
    }

    pub(super) fn set_limits(&mut self, limits: BatchLimits) {
        self.limits = limits;
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn is_full(&self) -> bool {
        self.items >= self.limits.max_items
    }

    pub(super) fn items(&self) -> usize {
        self.items
    }

    /// Lets an item in; whether it may come is asked before.
    pub(super) fn add(&mut self, key: Option<K>, member: Member<I, A>) -> Place {
        let number = self.number();
        let known = key.as_ref().and_then(|key| self.by_key.get(key)).copied();
        let id = known.unwrap_or(number);
        let group = self.by_id.entry(id).or_insert_with(|| Group {
            key: key.clone(),
            members: BTreeMap::new(),
            weight: 0,
            hurry: None,
        });
        if known.is_none() {
            self.by_age.insert(number, id);
            if let Some(key) = key {
                self.by_key.insert(key, id);
            }
        }
        group.weight = group.weight.saturating_add(member.weight);
        let hurry = group
            .hurry
            .map_or(member.deadline, |hurry| hurry.min(member.deadline));
        group.hurry = Some(hurry);
        group.members.insert(number, member);
        self.items += 1;
        Place { group: id, number }
    }

    /// Takes an item out, if it still waits.
    pub(super) fn remove(&mut self, place: Place) -> Option<Member<I, A>> {
        let group = self.by_id.get_mut(&place.group)?;
        let oldest = *group.members.first_key_value()?.0;
        let member = group.members.remove(&place.number)?;
        group.weight = group.weight.saturating_sub(member.weight);
        self.items -= 1;
        self.settle(place.group, oldest);
        Some(member)
    }

    /// The next batch of those that can be handed out now, and the items that have expired on the way to it: their callers
    /// know, but they are to be dropped where no lock is held.
    pub(super) fn pull(&mut self, now: Instant) -> (Pulled<I, A>, Vec<I>) {
        let mut expired = Vec::new();
        loop {
            let pulled = match self.outlook(now) {
                Outlook::Ripe(id) => match self.take(id, now, &mut expired) {
                    Some(batch) => Pulled::Batch(batch),
                    None => continue,
                },
                Outlook::NotBefore(at) => Pulled::NotBefore(at),
                Outlook::Nothing if self.closed => Pulled::Ended,
                Outlook::Nothing => Pulled::Nothing,
            };
            return (pulled, expired);
        }
    }

    /// What can be handed out, the oldest first, or when something can.
    pub(super) fn outlook(&self, now: Instant) -> Outlook {
        let mut earliest: Option<Instant> = None;
        for id in self.by_age.values() {
            let Some(group) = self.by_id.get(id) else {
                continue;
            };
            let at = self.ripe_at(group, now);
            if at <= now {
                return Outlook::Ripe(*id);
            }
            earliest = Some(earliest.map_or(at, |earliest| earliest.min(at)));
        }
        earliest.map_or(Outlook::Nothing, Outlook::NotBefore)
    }

    /// When what waits at `place` can be handed out, together with all of its group.
    pub(super) fn ready_at(&self, place: Place, now: Instant) -> Instant {
        let group = self.by_id.get(&place.group);
        group.map_or(now, |group| self.ripe_at(group, now))
    }

    /// When the group need not wait for company any longer; any time up to now if that is so already.
    fn ripe_at(&self, group: &Group<K, I, A>, now: Instant) -> Instant {
        let alone = group.key.is_none();
        let full = group.weight >= self.limits.max_weight;
        if self.limits.max_delay.is_zero() || alone || full || self.closed || self.is_full() {
            return now;
        }
        let Some((_, oldest)) = group.members.first_key_value() else {
            return now;
        };
        // Beyond all time is beyond the deadline too.
        let Some(at) = oldest.arrival.checked_add(self.limits.max_delay) else {
            return now;
        };
        // To expire in good company is no gain.
        if group.hurry.is_some_and(|hurry| hurry <= at) {
            return now;
        }
        at
    }

    /// As many items of a group as make a batch; `None` if all that it had were gone.
    fn take(&mut self, id: u64, now: Instant, expired: &mut Vec<I>) -> Option<Batch<I, A>> {
        let group = self.by_id.get_mut(&id)?;
        let oldest = *group.members.first_key_value()?.0;
        let mut members = Vec::new();
        let mut weight: usize = 0;
        while let Some(first) = group.members.first_entry() {
            let is_expired = first.get().deadline <= now;
            let together = weight.saturating_add(first.get().weight);
            if !is_expired && !members.is_empty() && together > self.limits.max_weight {
                break;
            }
            let member = first.remove();
            group.weight = group.weight.saturating_sub(member.weight);
            self.items -= 1;
            if is_expired {
                // A caller that has just stopped waiting need not be told.
                let _ = member.reply.send(Err(Unanswered::Expired));
                expired.push(member.item);
            } else {
                weight = together;
                members.push(member);
            }
        }
        self.settle(id, oldest);
        (!members.is_empty()).then_some(Batch { members, weight })
    }

    /// After items have left the group whose oldest one was `oldest`.
    fn settle(&mut self, id: u64, oldest: u64) {
        let Some(group) = self.by_id.get_mut(&id) else {
            return;
        };
        if let Some((&number, _)) = group.members.first_key_value() {
            if number != oldest {
                self.by_age.remove(&oldest);
                self.by_age.insert(number, id);
            }
            // Where batches wait for nothing, nobody asks.
            if !self.limits.max_delay.is_zero() {
                group.hurry = group.members.values().map(|member| member.deadline).min();
            }
        } else {
            self.by_age.remove(&oldest);
            if let Some(key) = self.by_id.remove(&id).and_then(|group| group.key) {
                self.by_key.remove(&key);
            }
        }
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }
}

/// A member and the end at which its caller waits.
pub(super) fn member<I, A>(
    item: I,
    weight: usize,
    deadline: Instant,
    arrival: Instant,
) -> (Member<I, A>, oneshot::Receiver<Result<A, Unanswered>>) {
    let (reply, answer) = oneshot::channel();
    let member = Member {
        item,
        weight,
        deadline,
        arrival,
        reply,
    };
    (member, answer)
}
