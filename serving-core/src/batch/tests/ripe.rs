//! Waiting until there is something to do: for one who looks for a slot only then.

use super::*;

fn is_ripe(queue: &Queue) -> bool {
    queue.ripe().now_or_never().is_some()
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_ripe_at_once_and_stays_so_until_it_is_taken() {
    let queue = queue(99, 3, 0);
    assert!(!is_ripe(&queue));
    let caller = offer(&queue, 1, 'a');
    assert!(is_ripe(&queue));
    assert!(is_ripe(&queue));
    assert_eq!(now(&queue), [1]);
    assert!(!is_ripe(&queue));
    drop(caller);
}

#[tokio::test(start_paused = true)]
async fn an_offer_wakes_who_waits_for_one() {
    let queue = queue(99, 3, 0);
    let mut waits = JoinSet::new();
    let ours = Arc::clone(&queue);
    waits.spawn(async move { ours.ripe().await });
    tokio::task::yield_now().await;
    let caller = offer(&queue, 1, 'a');
    all(waits).await;
    drop(caller);
}

#[tokio::test(start_paused = true)]
async fn an_offer_between_the_look_and_the_wait_is_not_lost() {
    let queue = queue(99, 3, 0);
    let mut ripe = Box::pin(queue.ripe());
    assert!((&mut ripe).now_or_never().is_none());
    let caller = offer(&queue, 1, 'a');
    assert!((&mut ripe).now_or_never().is_some());
    drop(caller);
}

#[tokio::test(start_paused = true)]
async fn with_a_delay_it_is_ripe_when_its_first_item_is_that_old_or_it_is_full() {
    let queue = queue(99, 2, 10);
    let begin = Instant::now();
    let first = offer(&queue, 1, 'a');
    queue.ripe().await;
    assert_eq!(begin.elapsed(), Duration::from_millis(10));
    assert_eq!(now(&queue), [1]);
    let second = offer(&queue, 2, 'a');
    let mut ripe = Box::pin(queue.ripe());
    assert!((&mut ripe).now_or_never().is_none());
    let third = offer(&queue, 3, 'a');
    assert!((&mut ripe).now_or_never().is_some());
    assert_eq!(begin.elapsed(), Duration::from_millis(10));
    drop((first, second, third));
}

#[tokio::test(start_paused = true)]
async fn whoever_gives_up_leaves_nothing_that_is_ripe() {
    let queue = queue(99, 3, 10);
    let caller = offer(&queue, 1, 'a');
    let mut ripe = Box::pin(queue.ripe());
    assert!((&mut ripe).now_or_never().is_none());
    drop(caller);
    assert!(timeout(FAR, &mut ripe).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_end_is_ripe() {
    let queue = queue(99, 3, 0);
    let mut ripe = Box::pin(queue.ripe());
    assert!((&mut ripe).now_or_never().is_none());
    queue.close();
    assert!((&mut ripe).now_or_never().is_some());
    assert!(is_ripe(&queue));
}
