//! The laws of the queue under paused time; [`histories`] against a queue that keeps a plain list.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::JoinSet;
use tokio::time::{Instant, advance, sleep, timeout};

use super::*;

mod histories;
mod ripe;

type Queue = Arc<BatchQueue<char, u32, String>>;
type Caller = Waiting<char, u32, String>;

const FAR: Duration = Duration::from_secs(3600);

fn queue(max_items: usize, max_weight: usize, max_delay: u64) -> Queue {
    BatchQueue::new(BatchLimits {
        max_items,
        max_weight,
        max_delay: Duration::from_millis(max_delay),
    })
}

fn offer(queue: &Queue, item: u32, key: impl Into<Option<char>>) -> Caller {
    weigh(queue, item, key, 1)
}

fn weigh(queue: &Queue, item: u32, key: impl Into<Option<char>>, weight: usize) -> Caller {
    let deadline = Instant::now() + FAR;
    queue.offer(item, key.into(), weight, deadline).unwrap()
}

fn items(batch: &Batch<u32, String>) -> Vec<u32> {
    batch.members.iter().map(|member| member.item).collect()
}

/// What everybody in `set` ends with. A puller that is forgotten is a failure, and no test that hangs.
async fn all<T: 'static>(set: JoinSet<T>) -> Vec<T> {
    timeout(2 * FAR, set.join_all())
        .await
        .expect("nobody waits for ever")
}

/// The batch that is there now; empty if there is none.
fn now(queue: &Queue) -> Vec<u32> {
    let batch = queue.next().now_or_never().flatten();
    batch.as_ref().map(items).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn like_goes_with_like_in_the_order_of_coming_and_the_oldest_is_next() {
    let queue = queue(99, 3, 0);
    let callers: Vec<Caller> = [
        (1, Some('a')),
        (2, Some('b')),
        (3, None),
        (4, Some('a')),
        (5, None),
        (6, Some('a')),
        (7, Some('a')),
        (8, Some('b')),
    ]
    .map(|(item, key)| offer(&queue, item, key))
    .into();
    assert_eq!(queue.len(), 8);
    assert_eq!(now(&queue), [1, 4, 6]);
    assert_eq!(now(&queue), [2, 8]);
    assert_eq!(now(&queue), [3]);
    assert_eq!(now(&queue), [5]);
    assert_eq!(now(&queue), [7]);
    assert_eq!(now(&queue), [0; 0]);
    drop(callers);
}

#[tokio::test(start_paused = true)]
async fn a_batch_weighs_no_more_than_its_limit_unless_its_only_item_does() {
    let queue = queue(99, 4, 0);
    let weights = [3, 2, 2, 9, 1, 1, usize::MAX];
    let callers: Vec<Caller> = (0..)
        .zip(weights)
        .map(|(item, weight)| weigh(&queue, item, 'a', weight))
        .collect();
    for expected in [&[0][..], &[1, 2], &[3], &[4, 5], &[6]] {
        let batch = queue.next().await.unwrap();
        assert_eq!(items(&batch), expected);
        assert_eq!(
            batch.weights(),
            expected
                .iter()
                .map(|item| weights[*item as usize])
                .collect::<Vec<_>>()
        );
        assert_eq!(batch.weight, batch.weights().iter().sum::<usize>());
    }
    drop(callers);
}

#[tokio::test(start_paused = true)]
async fn without_a_delay_nothing_waits_for_company() {
    let queue = queue(99, 9, 0);
    let caller = offer(&queue, 1, 'a');
    assert_eq!(now(&queue), [1]);
    drop(caller);
}

#[tokio::test(start_paused = true)]
async fn with_a_delay_a_batch_waits_for_company_until_its_oldest_item_is_that_old() {
    let queue = queue(99, 3, 10);
    let begin = Instant::now();
    let first = offer(&queue, 1, 'a');
    advance(Duration::from_millis(4)).await;
    let second = offer(&queue, 2, 'a');
    assert_eq!(now(&queue), [0; 0]);
    let batch = queue.next().await.unwrap();
    assert_eq!(items(&batch), [1, 2]);
    assert_eq!(begin.elapsed(), Duration::from_millis(10));
    // A batch that is full waits no longer.
    let full = [3, 4, 5].map(|item| offer(&queue, item, 'a'));
    assert_eq!(now(&queue), [3, 4, 5]);
    // Nor one that cannot have company.
    let lonely = offer(&queue, 6, None);
    assert_eq!(now(&queue), [6]);
    drop((first, second, full, lonely));
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_waits_for_nothing() {
    let queue = queue(2, 9, 10);
    let callers = [1, 2].map(|item| offer(&queue, item, 'a'));
    assert_eq!(now(&queue), [1, 2]);
    drop(callers);
}

#[tokio::test(start_paused = true)]
async fn no_item_expires_for_the_sake_of_company() {
    let queue = queue(99, 9, 10);
    let patient = offer(&queue, 1, 'a');
    assert_eq!(now(&queue), [0; 0]);
    let deadline = Instant::now() + Duration::from_millis(10);
    let hasty = queue.offer(2, Some('a'), 1, deadline).unwrap();
    assert_eq!(now(&queue), [1, 2]);
    // Once it has left, the others wait as before.
    let others = [3, 4].map(|item| offer(&queue, item, 'a'));
    let hasty_too = queue.offer(5, Some('a'), 1, deadline).unwrap();
    drop(hasty_too);
    assert_eq!(now(&queue), [0; 0]);
    drop((patient, hasty, others));
}

#[tokio::test(start_paused = true)]
async fn a_delay_without_end_is_none() {
    let queue = BatchQueue::new(BatchLimits {
        max_items: 9,
        max_weight: 9,
        max_delay: Duration::MAX,
    });
    let caller = offer(&queue, 1, 'a');
    assert_eq!(now(&queue), [1]);
    drop(caller);
}

#[tokio::test(start_paused = true)]
async fn a_ripe_batch_does_not_wait_for_an_older_one_that_is_not() {
    let queue = queue(99, 2, 10);
    let callers = [(1, 'a'), (2, 'b'), (3, 'b')].map(|(item, key)| offer(&queue, item, key));
    assert_eq!(now(&queue), [2, 3]);
    assert_eq!(now(&queue), [0; 0]);
    advance(Duration::from_millis(10)).await;
    assert_eq!(now(&queue), [1]);
    drop(callers);
}

#[tokio::test(start_paused = true)]
async fn who_has_stopped_waiting_is_in_no_batch_and_takes_no_place() {
    let queue = queue(3, 9, 0);
    let item = Arc::new(());
    let witnesses: Arc<BatchQueue<char, Arc<()>, ()>> = BatchQueue::new(BatchLimits {
        max_items: 1,
        max_weight: 1,
        max_delay: Duration::ZERO,
    });
    let witness = witnesses
        .offer(Arc::clone(&item), None, 1, Instant::now() + FAR)
        .unwrap();
    drop(witness);
    assert_eq!(Arc::strong_count(&item), 1, "dropped at once");
    let first = offer(&queue, 1, 'a');
    let second = offer(&queue, 2, 'a');
    let third = offer(&queue, 3, 'b');
    drop(first);
    assert_eq!(queue.len(), 2);
    let fourth = offer(&queue, 4, 'a');
    drop(third);
    assert_eq!(now(&queue), [2, 4]);
    assert!(queue.is_empty());
    drop((second, fourth));
}

#[tokio::test(start_paused = true)]
async fn what_has_expired_is_in_no_batch_and_its_caller_knows() {
    let queue = queue(99, 9, 0);
    let soon = Instant::now() + Duration::from_millis(5);
    let short = queue.offer(1, Some('a'), 1, soon).unwrap();
    let long = offer(&queue, 2, 'a');
    let only = queue.offer(3, Some('b'), 1, soon).unwrap();
    advance(Duration::from_millis(5)).await;
    assert_eq!(now(&queue), [2]);
    // The caller hears it even if it asks only now.
    assert_eq!(short.answer().await, Err(Unanswered::Expired));
    assert_eq!(now(&queue), [0; 0]);
    assert_eq!(only.answer().await, Err(Unanswered::Expired));
    drop(long);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_the_wait_without_any_slot() {
    let queue = queue(99, 9, 0);
    let begin = Instant::now();
    let caller = queue
        .offer(1, Some('a'), 1, begin + Duration::from_millis(5))
        .unwrap();
    assert_eq!(caller.answer().await, Err(Unanswered::Expired));
    assert_eq!(begin.elapsed(), Duration::from_millis(5));
    assert!(queue.is_empty());
    let caller = queue
        .offer(2, Some('a'), 1, Instant::now() + Duration::from_millis(5))
        .unwrap();
    let mut batch = queue.next().await.unwrap();
    assert_eq!(
        batch.deadline(),
        Some(Instant::now() + Duration::from_millis(5))
    );
    let member = batch.members.pop().unwrap();
    assert!(!member.is_abandoned());
    assert_eq!(caller.answer().await, Err(Unanswered::Late));
    assert!(member.is_abandoned());
    assert!(!member.answer(String::new()));
}

#[tokio::test(start_paused = true)]
async fn each_caller_hears_its_own_answer_or_that_there_is_none() {
    let queue = queue(99, 9, 0);
    let [one, two, three, four] = [1, 2, 3, 4].map(|item| offer(&queue, item, 'a'));
    let batch = queue.next().await.unwrap();
    let mut members = batch.members.into_iter();
    for _ in 0..2 {
        let member = members.next().unwrap();
        let text = member.item.to_string();
        assert!(member.answer(text));
    }
    drop(members);
    assert_eq!(two.answer().await, Ok("2".to_owned()));
    assert_eq!(one.answer().await, Ok("1".to_owned()));
    assert_eq!(three.answer().await, Err(Unanswered::Lost));
    drop(four);
}

#[tokio::test(start_paused = true)]
async fn one_more_than_the_bound_is_refused_and_given_back() {
    let queue = queue(2, 9, 0);
    let callers = [1, 2].map(|item| offer(&queue, item, 'a'));
    let refused = queue
        .offer(3, Some('a'), 1, Instant::now() + FAR)
        .unwrap_err();
    assert_eq!((refused.item, refused.because), (3, RefusedBecause::Full));
    assert_eq!(now(&queue), [1, 2]);
    let third = offer(&queue, 3, 'a');
    queue.set_limits(BatchLimits {
        max_items: 1,
        max_weight: 1,
        max_delay: Duration::ZERO,
    });
    let refused = queue.offer(4, None, 1, Instant::now() + FAR).unwrap_err();
    assert_eq!(refused.because, RefusedBecause::Full);
    assert_eq!(now(&queue), [3]);
    drop((callers, third));
}

#[tokio::test(start_paused = true)]
async fn closing_drains_and_ends_every_puller() {
    let queue = queue(99, 2, 1000);
    let begin = Instant::now();
    let mut pullers = JoinSet::new();
    for _ in 0..3 {
        let queue = Arc::clone(&queue);
        pullers.spawn(async move {
            let mut seen = Vec::new();
            while let Some(batch) = queue.next().await {
                seen.extend(items(&batch));
            }
            seen
        });
    }
    sleep(Duration::from_millis(1)).await;
    let callers = [(1, 'a'), (2, 'b'), (3, 'c')].map(|(item, key)| offer(&queue, item, key));
    sleep(Duration::from_millis(1)).await;
    queue.close();
    let refused = queue
        .offer(4, Some('a'), 1, Instant::now() + FAR)
        .unwrap_err();
    assert_eq!((refused.item, refused.because), (4, RefusedBecause::Closed));
    let mut seen = all(pullers).await.concat();
    seen.sort_unstable();
    assert_eq!(seen, [1, 2, 3]);
    assert_eq!(
        begin.elapsed(),
        Duration::from_millis(2),
        "waits for no company"
    );
    assert!(queue.next().await.is_none());
    drop(callers);
}

/// Pullers that wait, each for one batch.
fn pullers(queue: &Queue, count: usize) -> JoinSet<Vec<u32>> {
    let mut pullers = JoinSet::new();
    for _ in 0..count {
        let queue = Arc::clone(queue);
        pullers.spawn(async move { items(&queue.next().await.unwrap()) });
    }
    pullers
}

#[tokio::test(start_paused = true)]
async fn an_offer_wakes_one_puller_and_a_timer_wakes_one() {
    for max_delay in [0, 10] {
        let queue = queue(999, 1000, max_delay);
        let mut pullers = pullers(&queue, 50);
        sleep(Duration::from_millis(1)).await;
        let before = queue.looks();
        assert_eq!(before, 50);
        let first = offer(&queue, 0, 'a');
        sleep(Duration::from_millis(1)).await;
        assert_eq!(queue.looks(), before + 1);
        // Company wakes nobody while there is a timer.
        let others: Vec<Caller> = (1..=20).map(|item| offer(&queue, item, 'a')).collect();
        sleep(Duration::from_millis(1)).await;
        if max_delay > 0 {
            assert_eq!(queue.looks(), before + 1);
            sleep(Duration::from_millis(20)).await;
            assert_eq!(queue.looks(), before + 2);
            assert_eq!(pullers.join_next().await.unwrap().unwrap().len(), 21);
        } else {
            // A batch for the first one; the others together, or one after another, but no herd.
            assert!(queue.looks() <= before + 1 + 20);
        }
        drop((first, others));
        pullers.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn of_pullers_that_come_while_a_batch_waits_for_company_one_has_a_timer() {
    let queue = queue(999, 1000, 10);
    let caller = offer(&queue, 7, 'a');
    let mut pullers = pullers(&queue, 50);
    sleep(Duration::from_millis(20)).await;
    assert_eq!(pullers.join_next().await.unwrap().unwrap(), [7]);
    // Each once as it came but for a first wake that was left for them, and one when its timer rang.
    assert!(queue.looks() <= 52, "{}", queue.looks());
    drop(caller);
    pullers.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn many_batches_find_many_pullers() {
    for max_delay in [0, 10] {
        let queue = queue(999, 2, max_delay);
        let pullers = pullers(&queue, 8);
        sleep(Duration::from_millis(1)).await;
        let begin = Instant::now();
        let callers: Vec<Caller> = (0..8)
            .map(|item| offer(&queue, item, char::from_u32(0x61 + item)))
            .collect();
        let mut seen = all(pullers).await;
        seen.sort();
        assert_eq!(seen, (0..8).map(|item| vec![item]).collect::<Vec<_>>());
        assert_eq!(begin.elapsed(), Duration::from_millis(max_delay));
        drop(callers);
    }
}

#[tokio::test(start_paused = true)]
async fn a_puller_that_gives_up_leaves_its_turn_and_its_timer_to_another() {
    for max_delay in [0, 10] {
        let queue = queue(999, 2, max_delay);
        let mut quitter = Box::pin(queue.next());
        assert!(quitter.as_mut().now_or_never().is_none());
        let patient = pullers(&queue, 1);
        sleep(Duration::from_millis(1)).await;
        let begin = Instant::now();
        let caller = offer(&queue, 7, 'a');
        if max_delay > 0 {
            // It looks, sets the timer, and goes.
            assert!(quitter.as_mut().now_or_never().is_none());
        }
        drop(quitter);
        assert_eq!(all(patient).await, [[7]]);
        assert_eq!(begin.elapsed(), Duration::from_millis(max_delay));
        drop(caller);
    }
}

/// Real threads: each caller hears the answer to its own item, and nobody waits for ever.
#[test]
fn answers_never_cross_and_none_is_lost() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .unwrap();
    let all_answered = async {
        for max_delay in [0, 1] {
            let queue = queue(64, 8, max_delay);
            let mut slots = JoinSet::new();
            for _ in 0..3 {
                let queue = Arc::clone(&queue);
                slots.spawn(async move {
                    let mut largest = 0;
                    while let Some(batch) = queue.next().await {
                        largest = largest.max(batch.members.len());
                        tokio::task::yield_now().await;
                        for member in batch.members {
                            let answer = member.item.to_string();
                            member.answer(answer);
                        }
                    }
                    largest
                });
            }
            let mut callers = JoinSet::new();
            for caller in 0..32_u32 {
                let queue = Arc::clone(&queue);
                callers.spawn(async move {
                    for round in 0..200 {
                        let item = caller * 1000 + round;
                        let key = (item % 3 > 0).then_some(if item % 3 == 1 { 'a' } else { 'b' });
                        let waiting = queue.offer(item, key, 1, Instant::now() + FAR).unwrap();
                        if item % 17 == 0 {
                            drop(waiting);
                            continue;
                        }
                        assert_eq!(waiting.answer().await, Ok(item.to_string()));
                    }
                });
            }
            callers.join_all().await;
            queue.close();
            let largest = slots.join_all().await;
            assert!(largest.iter().all(|size| *size <= 8));
            assert!(queue.is_empty());
        }
    };
    runtime
        .block_on(async { timeout(Duration::from_secs(60), all_answered).await })
        .expect("nobody waits for ever");
}
