//! Takes a sample each ten seconds.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serving_core::ServableId;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::history::History;
use super::recent::Counts;
use super::window::STEP;
use crate::data_plane::DataPlaneMetrics;
use crate::ports::Processes;

/// Moves what was counted, and what is so at the moment, into a history.
pub struct Sampler {
    history: Arc<History>,
    scoring: Arc<DataPlaneMetrics>,
    processes: Arc<dyn Processes>,
}

/// What a sample has of one version, or of several together.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) counts: Counts,
    /// Requests inside, waiting ones included.
    pub(super) in_flight: u64,
    /// Requests that wait for a place.
    pub(super) waiting: u64,
    /// Bytes of its workers' memory, where that is known.
    pub(super) memory: Option<u64>,
}

impl Sampler {
    /// Samples of what `scoring` counts and of what the workers among `processes` take, for `history`.
    pub fn new(
        history: Arc<History>,
        scoring: Arc<DataPlaneMetrics>,
        processes: Arc<dyn Processes>,
    ) -> Self {
        Self {
            history,
            scoring,
            processes,
        }
    }

    /// Samples until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut tick = interval(STEP);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        // The first one is at once, when nothing has been counted.
        let mut last = tick.tick().await;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = tick.tick() => {}
            }
            // A gateway that was held up has counted for longer than a step.
            let now = Instant::now();
            self.sample(now - last);
            last = now;
        }
    }

    /// Takes a sample now: of what was counted since the last one, which was `time` ago, and of what is so at this moment.
    pub fn sample(&self, time: Duration) {
        let mut all: BTreeMap<ServableId, Seen> = BTreeMap::new();
        for inside in self.scoring.inside() {
            let seen = all.entry(inside.id).or_default();
            seen.in_flight = inside.in_flight;
            seen.waiting = inside.waiting;
        }
        for worker in self.processes.workers() {
            let seen = all.entry(worker.id).or_default();
            seen.memory = sum(seen.memory, worker.memory_bytes);
        }
        for (id, counts) in self.scoring.recents().take() {
            all.entry(id).or_default().counts = counts;
        }
        self.history.add(&all, time);
    }
}

impl Seen {
    pub(super) fn add(&mut self, other: &Self) {
        self.counts.add(&other.counts);
        self.in_flight += other.in_flight;
        self.waiting += other.waiting;
        self.memory = sum(self.memory, other.memory);
    }
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            counts: Counts::none(),
            in_flight: 0,
            waiting: 0,
            memory: None,
        }
    }
}

/// What is not known of one counts for nothing beside the other.
fn sum(some: Option<u64>, more: Option<u64>) -> Option<u64> {
    match (some, more) {
        (Some(some), Some(more)) => Some(some + more),
        (some, more) => some.or(more),
    }
}

impl fmt::Debug for Sampler {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sampler").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;
    use serving_core::testing::HandMadeReplicas;
    use serving_core::{Settings, Version};
    use tokio::task::JoinSet;
    use tokio::time::advance;

    use super::super::Window;
    use super::*;
    use crate::data_plane::VersionStack;
    use crate::ports::{GatewayProcess, WorkerProcess};

    struct NoProcesses;

    impl Processes for NoProcesses {
        fn workers(&self) -> Vec<WorkerProcess> {
            Vec::new()
        }

        fn gateway(&self) -> Option<GatewayProcess> {
            None
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_has_one_sample_and_a_late_one_is_of_all_the_time_before_it() {
        let scoring = DataPlaneMetrics::register(&mut Registry::default());
        let id = ServableId::new("iris", Version(1));
        let (_replicas, seed) = HandMadeReplicas::new(id.clone(), Settings::default());
        let _stack = VersionStack::new(seed, &scoring);
        let recent = scoring.recents().of(&id);
        let history = Arc::new(History::default());
        let sampler = Sampler::new(
            Arc::clone(&history),
            Arc::clone(&scoring),
            Arc::new(NoProcesses),
        );
        let mut tasks = JoinSet::new();
        let shutdown = CancellationToken::new();
        tasks.spawn(sampler.run(shutdown.clone()));
        tokio::task::yield_now().await;
        for step in [STEP, STEP * 4] {
            for _ in 0..20 {
                recent.answered(false);
            }
            advance(step).await;
            tokio::task::yield_now().await;
        }
        let window = Window::try_from(STEP * 3).unwrap();
        let requests = history.of_model("iris", window).requests;
        assert_eq!(requests, [None, Some(2.0), Some(0.5)]);
        shutdown.cancel();
        tasks.join_all().await;
    }
}
