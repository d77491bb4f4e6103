//! What a supervisor tells the manager about its version.

use std::sync::Arc;

use tokio::sync::{Notify, watch};

use crate::phase::{Failure, Phase};
use crate::supervisor::orders::Orders;

/// Where one life of a version is, as its supervisor knows it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Status {
    /// Never `Draining` or `Retired`: those are the manager's to say.
    pub(crate) phase: Phase,
    /// What is being done.
    pub(crate) step: Option<Arc<str>>,
    /// Whether a replica was live once. It stays true from then on.
    pub(crate) served: bool,
    /// Replicas that answer.
    pub(crate) live: u32,
    /// Replicas that there are to be.
    pub(crate) wanted: u32,
    /// Whether there is none because nobody comes, or because the first one who came waits for it: no trouble so far.
    pub(crate) asleep: bool,
    /// How often a replica died by itself or its successor could not be started.
    pub(crate) crashes: u32,
    /// The newest orders that are taken into account in all of this.
    pub(crate) taken: Option<Orders>,
    /// Whether replicas are being started or replaced, so that what answers becomes what is ordered.
    pub(crate) renewing: bool,
    /// Why the last attempt at that failed, while replicas answer.
    pub(crate) renewal_failure: Option<Failure>,
}

/// The supervisor's end. The manager is woken by each change.
#[derive(Debug)]
pub(crate) struct StatusWriter {
    status: watch::Sender<Status>,
    wake: Arc<Notify>,
}

impl Default for Status {
    fn default() -> Self {
        Self {
            phase: Phase::Pending,
            step: None,
            served: false,
            live: 0,
            wanted: 0,
            asleep: false,
            crashes: 0,
            taken: None,
            renewing: false,
            renewal_failure: None,
        }
    }
}

impl StatusWriter {
    /// A fresh status, and the manager's end.
    pub(crate) fn new(wake: Arc<Notify>) -> (Self, watch::Receiver<Status>) {
        let (status, seen) = watch::channel(Status::default());
        (Self { status, wake }, seen)
    }

    /// Whether it is shown as failed.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(self.status.borrow().phase, Phase::Failed(_))
    }

    /// Enters a phase. The step of the last one is over.
    pub(crate) fn phase(&self, phase: Phase) {
        self.update(|status| {
            status.phase = phase;
            status.step = None;
        });
    }

    /// Changes the status and wakes the manager if it is another one now.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Status)) {
        let changed = self.status.send_if_modified(|status| {
            let before = status.clone();
            change(status);
            *status != before
        });
        if changed {
            self.wake.notify_one();
        }
    }
}
