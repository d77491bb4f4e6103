//! The one task that looks after the space of a runner.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::RunnerEnvironments;
use super::quota::Quotas;

/// Between two looks without a reason.
const TICK: Duration = Duration::from_secs(600);

/// Has the quotas kept. Ends its task when it is dropped.
#[derive(Debug)]
pub(crate) struct Keeper {
    space: RunnerEnvironments,
    reason: Arc<Notify>,
    task: Mutex<JoinSet<()>>,
}

impl Keeper {
    /// Begins at once if there is a runtime, otherwise when it is first woken.
    pub(crate) fn new(space: RunnerEnvironments) -> Self {
        let keeper = Self {
            space,
            reason: Arc::default(),
            task: Mutex::default(),
        };
        if tokio::runtime::Handle::try_current().is_ok() {
            keeper.start();
        }
        keeper
    }

    /// Something has been built or fetched, or has ended. To be called in a runtime.
    pub(crate) fn wake(&self) {
        self.start();
        self.reason.notify_one();
    }

    fn start(&self) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.is_empty() {
            task.spawn(keep(self.space.clone(), Arc::clone(&self.reason)));
        }
    }
}

async fn keep(space: RunnerEnvironments, reason: Arc<Notify>) {
    // Whoever drops the runner wants its logs written: that is not to wait for this task's end.
    let grown = space.0.folder.environments.grown();
    let space = space.downgrade();
    let mut quotas = Quotas::default();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = reason.notified() => {}
            () = grown.notified() => quotas.look_again(),
        }
        let Some(space) = space.upgrade() else {
            return;
        };
        quotas = space.pass(quotas).await;
    }
}
