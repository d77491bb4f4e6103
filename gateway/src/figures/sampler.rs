//! Takes a sample each ten seconds.

use std::collections::BTreeMap;
use std::sync::Arc;

use serving_core::ServableId;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::history::{History, STEP};
use super::recent::{Counts, Recents};

/// What is so at one moment, of one version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Requests inside, waiting ones included.
    pub in_flight: u64,
    /// Requests that wait for a place.
    pub queue: u64,
    /// Bytes of its workers' memory, where that is known.
    pub memory: Option<u64>,
}

impl Gauges {
    pub(super) fn add(&mut self, other: &Self) {
        self.in_flight += other.in_flight;
        self.queue += other.queue;
        self.memory = match (self.memory, other.memory) {
            (Some(mine), Some(more)) => Some(mine + more),
            (mine, more) => mine.or(more),
        };
    }
}

/// Samples until `shutdown`: what `recents` counted, and what `gauges` says of every version that is reachable.
pub async fn sample_for_ever(
    history: Arc<History>,
    recents: Arc<Recents>,
    gauges: impl Fn() -> BTreeMap<ServableId, Gauges> + Send,
    shutdown: CancellationToken,
) {
    let mut tick = interval(STEP);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    // The first one is at once, when nothing has been counted.
    tick.tick().await;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = tick.tick() => {}
        }
        let mut seen: BTreeMap<_, _> = gauges()
            .into_iter()
            .map(|(id, gauges)| (id, (Counts::none(), gauges)))
            .collect();
        for (id, counts) in recents.take() {
            let none = || (Counts::none(), Gauges::default());
            seen.entry(id).or_insert_with(none).0.add(&counts);
        }
        history.add(&seen);
    }
}
