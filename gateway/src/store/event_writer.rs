//! Carries the engine's events from a bounded queue into the log, in batches. A slow disk fills the queue and stops nobody.

use std::sync::Arc;
use std::time::Duration;

use serving_core::{Clock, Event};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::{Store, StoreError};

/// How much of the log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventRetention {
    /// Older entries are forgotten.
    pub age: Duration,
    /// Newest entries of each model that are kept.
    pub per_model: u32,
    /// How often the log is cut.
    pub every: Duration,
}

impl Default for EventRetention {
    fn default() -> Self {
        Self {
            age: Duration::from_secs(90 * 24 * 3600),
            per_model: 10_000,
            every: Duration::from_secs(3600),
        }
    }
}

/// Sees events on their way into the log. Must not wait.
pub trait EventObserver: Send + Sync {
    /// One that has come, before it is written.
    fn saw(&self, event: &Event);

    /// So many could not be written.
    fn lost(&self, events: usize);
}

const BATCH: usize = 256;
const TRIES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Writes until every sender is gone, or until `shutdown`; what is in the queue by then is still written.
pub async fn write_events(
    store: Store,
    mut events: mpsc::Receiver<Event>,
    observer: Arc<dyn EventObserver>,
    retention: EventRetention,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
) {
    let mut cut = interval(retention.every);
    cut.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            // In this order: the end is noticed while events keep coming, events are written before the log is cut.
            biased;
            () = shutdown.cancelled(), if !events.is_closed() => events.close(),
            received = events.recv_many(&mut batch, BATCH) => {
                if received == 0 {
                    return;
                }
                for event in &batch {
                    observer.saw(event);
                }
                if !write(&store, &batch).await {
                    observer.lost(batch.len());
                }
                batch.clear();
            }
            _ = cut.tick() => prune(&store, retention, clock.as_ref()).await,
        }
    }
}

/// A batch that cannot be written after several tries is given up: the next one may fit, and the queue must move. Returns
/// whether it was written.
async fn write(store: &Store, batch: &[Event]) -> bool {
    let mut pause = FIRST_PAUSE;
    for attempt in 1..=TRIES {
        match store.append_events(batch).await {
            Ok(()) => return true,
            Err(reason) if attempt < TRIES => {
                warn!(%reason, attempt, "events could not be written; trying again");
                sleep(pause).await;
                pause *= 2;
            }
            Err(reason) => error!(%reason, lost = batch.len(), "events are lost"),
        }
    }
    false
}

async fn prune(store: &Store, retention: EventRetention, clock: &dyn Clock) {
    let pruned: Result<u64, StoreError> = store
        .prune_events(clock.now(), retention.age, retention.per_model)
        .await;
    match pruned {
        Ok(0) => {}
        Ok(count) => debug!(count, "old events were forgotten"),
        Err(reason) => warn!(%reason, "old events could not be forgotten"),
    }
}
