//! Carries the engine's events from a bounded queue into the log, in batches. A slow disk fills the queue and stops nobody.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serving_core::{Clock, Event, Snapshot};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::label_ledger::LabelLedger;
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

impl EventRetention {
    /// Keeps so much, and looks after it often enough.
    pub fn new(age: Duration, per_model: u32) -> Self {
        let longest = Self::default().every;
        Self {
            age,
            per_model,
            every: (age / 10).clamp(Duration::from_secs(10), longest),
        }
    }
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

/// What the engine shows of labels: some were moved or taken away while no gateway ran.
pub struct SeenLabels {
    /// What is seen.
    pub snapshot: watch::Receiver<Arc<Snapshot>>,
    /// Resolves when that is what the registry and people want, and no longer the nothing of a start.
    pub known: BoxFuture<'static, ()>,
    /// Cancelled when the engine ends: what it shows after that means nothing.
    pub ending: CancellationToken,
}

/// Writes until every sender is gone, or until `shutdown`; what is in the queue by then is still written.
pub async fn write_events(
    store: Store,
    mut events: mpsc::Receiver<Event>,
    mut seen: SeenLabels,
    observer: Arc<dyn EventObserver>,
    retention: EventRetention,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
) {
    let mut labels = LabelLedger::new(store.labels().await.unwrap_or_else(|reason| {
        warn!(%reason, "where labels pointed cannot be read: a start will look like a move of them");
        Vec::new()
    }));
    let mut known = false;
    let mut cut = interval(retention.every);
    cut.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let look = !labels.is_empty() && !seen.ending.is_cancelled();
        tokio::select! {
            // In this order: the end is noticed while events keep coming, events are written before the log is cut, and
            // what the engine says of a label counts before what it shows.
            biased;
            () = shutdown.cancelled(), if !events.is_closed() => events.close(),
            received = events.recv_many(&mut batch, BATCH) => {
                if received == 0 {
                    return;
                }
                for event in &batch {
                    observer.saw(event);
                }
                batch = batch
                    .drain(..)
                    .filter_map(|event| labels.correct(event))
                    .collect();
                if !write(&store, &batch).await {
                    observer.lost(batch.len());
                }
                batch.clear();
            }
            () = &mut seen.known, if look && !known => {
                known = true;
                seen.snapshot.mark_changed();
            }
            Ok(()) = seen.snapshot.changed(), if look && known => {
                let shown = Arc::clone(&seen.snapshot.borrow_and_update());
                if !seen.ending.is_cancelled() {
                    let moves = vanished(&mut labels, &shown, clock.as_ref());
                    if !write(&store, &moves).await {
                        observer.lost(moves.len());
                    }
                }
            }
            _ = cut.tick() => prune(&store, retention, clock.as_ref()).await,
        }
    }
}

fn vanished(labels: &mut LabelLedger, shown: &Snapshot, clock: &dyn Clock) -> Vec<Event> {
    let at = clock.now();
    let gone = labels.vanished(shown).into_iter();
    gone.map(|(model, fact)| Event {
        at,
        model,
        version: None,
        fact,
    })
    .collect()
}

/// A batch that cannot be written after several tries is given up: the next one may fit, and the queue must move. Returns
/// whether it was written.
async fn write(store: &Store, batch: &[Event]) -> bool {
    if batch.is_empty() {
        return true;
    }
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

impl fmt::Debug for SeenLabels {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SeenLabels")
            .field("snapshot", &self.snapshot)
            .finish_non_exhaustive()
    }
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
