//! Random histories against a queue that keeps a plain list.

use std::time::Duration;

use futures_util::FutureExt;
use proptest::prelude::*;
use tokio::time::{Instant, advance};

use super::*;

/// What may happen to a queue.
#[derive(Clone, Debug)]
enum Step {
    Offer {
        key: Option<char>,
        weight: usize,
        lasts: u64,
    },
    GiveUp(usize),
    Pass(u64),
    Pull,
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (prop::option::weighted(0.8, prop::char::range('a', 'c')), 1..5_usize, prop_oneof![3 => Just(1000), 1 => 0..30_u64])
            .prop_map(|(key, weight, lasts)| Step::Offer { key, weight, lasts }),
        1 => any::<usize>().prop_map(Step::GiveUp),
        3 => (0..12_u64).prop_map(Step::Pass),
        4 => Just(Step::Pull),
        1 => prop::bool::weighted(0.1).prop_map(|close| if close { Step::Close } else { Step::Pull }),
    ]
}

/// The same queue as a list of what waits.
#[derive(Debug)]
struct Plain {
    limits: BatchLimits,
    waiting: Vec<Item>,
    closed: bool,
}

#[derive(Clone, Debug)]
struct Item {
    number: u32,
    key: Option<char>,
    weight: usize,
    arrival: Instant,
    deadline: Instant,
}

impl Plain {
    fn group(&self, of: &Item) -> Vec<Item> {
        let same =
            |item: &&Item| item.number == of.number || item.key.is_some() && item.key == of.key;
        self.waiting.iter().filter(same).cloned().collect()
    }

    fn is_ripe(&self, of: &Item, now: Instant) -> bool {
        let group = self.group(of);
        let ripe = group[0].arrival + self.limits.max_delay;
        of.key.is_none()
            || self.closed
            || self.waiting.len() >= self.limits.max_items
            || group.iter().map(|item| item.weight).sum::<usize>() >= self.limits.max_weight
            || ripe <= now
            || group.iter().any(|item| item.deadline <= ripe)
    }

    fn pull(&mut self, now: Instant) -> Vec<u32> {
        while let Some(oldest) = self
            .waiting
            .iter()
            .find(|item| self.is_ripe(item, now))
            .cloned()
        {
            let mut batch: Vec<Item> = Vec::new();
            for item in self.group(&oldest) {
                let weight: usize = batch.iter().chain([&item]).map(|item| item.weight).sum();
                let expired = item.deadline <= now;
                if !expired && !batch.is_empty() && weight > self.limits.max_weight {
                    break;
                }
                self.waiting.retain(|other| other.number != item.number);
                if !expired {
                    batch.push(item);
                }
            }
            if !batch.is_empty() {
                return batch.iter().map(|item| item.number).collect();
            }
        }
        Vec::new()
    }
}

async fn play(steps: Vec<Step>, limits: BatchLimits) -> Result<(), TestCaseError> {
    let queue: Queue = BatchQueue::new(limits);
    let mut plain = Plain {
        limits,
        waiting: Vec::new(),
        closed: false,
    };
    let mut callers: Vec<(u32, Caller)> = Vec::new();
    for (number, step) in (0..).zip(steps) {
        let time = Instant::now();
        match step {
            Step::Offer { key, weight, lasts } => {
                let deadline = time + Duration::from_millis(lasts);
                let refused = if plain.closed {
                    Some(RefusedBecause::Closed)
                } else {
                    (plain.waiting.len() >= limits.max_items).then_some(RefusedBecause::Full)
                };
                match queue.offer(number, key, weight, deadline) {
                    Ok(caller) => {
                        prop_assert_eq!(refused, None);
                        callers.push((number, caller));
                        plain.waiting.push(Item {
                            number,
                            key,
                            weight,
                            arrival: time,
                            deadline,
                        });
                    }
                    Err(it) => prop_assert_eq!(Some(it.because), refused),
                }
            }
            Step::GiveUp(which) if !callers.is_empty() => {
                let (number, caller) = callers.swap_remove(which % callers.len());
                drop(caller);
                plain.waiting.retain(|item| item.number != number);
            }
            Step::GiveUp(_) => {}
            Step::Pass(millis) => advance(Duration::from_millis(millis)).await,
            Step::Pull => prop_assert_eq!(now(&queue), plain.pull(time)),
            Step::Close => {
                queue.close();
                plain.closed = true;
            }
        }
        prop_assert_eq!(queue.len(), plain.waiting.len());
    }
    // In the end everything comes out.
    queue.close();
    plain.closed = true;
    loop {
        let (ours, theirs) = (now(&queue), plain.pull(Instant::now()));
        prop_assert_eq!(&ours, &theirs);
        if ours.is_empty() {
            break;
        }
    }
    prop_assert!(queue.is_empty());
    prop_assert!(matches!(queue.next().now_or_never(), Some(None)));
    for (_, caller) in callers {
        prop_assert!(caller.answer().await.is_err());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_history_is_that_of_the_plain_list(
        steps in prop::collection::vec(step(), 0..60),
        max_items in 1..12_usize,
        max_weight in 1..10_usize,
        max_delay in prop_oneof![Just(0), 1..20_u64],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let limits = BatchLimits { max_items, max_weight, max_delay: Duration::from_millis(max_delay) };
        runtime.block_on(play(steps, limits))?;
    }
}
