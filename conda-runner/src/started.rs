//! A worker that was started: what it is until it ends, and how it is stopped.

use std::path::Path;
use std::sync::Weak;
use std::time::Duration;

use async_trait::async_trait;
use serving_core::{Exit, Stop};

use crate::attempts::{AttemptOutcome, OpenAttempt};
use crate::error::unplaced_lines;
use crate::process::child::{Ended, Process};
use crate::process::diagnosis::{last_lines, reason};
use crate::running::Excess;

/// A worker's process. Dropping it kills it, and then it was stopped, unless it had ended by itself or failed before.
pub(crate) struct Running {
    pub(crate) process: Process,
    /// Gone when the process is.
    pub(crate) attempt: Weak<OpenAttempt>,
}

impl Running {
    /// However it ends, it was of no use.
    pub(crate) fn has_failed(&mut self) {
        self.attempt = Weak::new();
    }

    fn is_unwanted(&self) {
        if let Some(attempt) = self.attempt.upgrade() {
            attempt.ends_as(AttemptOutcome::Stopped);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.is_unwanted();
    }
}

/// Asks it to end, and kills it after `grace`.
pub(crate) struct StopWorker {
    pub(crate) running: Running,
    pub(crate) grace: Duration,
}

#[async_trait]
impl Stop for StopWorker {
    async fn stop(self: Box<Self>) {
        self.running.is_unwanted();
        self.running.process.stop(self.grace).await;
    }
}

/// How it died, for people.
pub(crate) fn exit(ended: &Ended, excess: &Excess, data_dir: &Path) -> Exit {
    Exit {
        reason: excess.killed_for().unwrap_or_else(|| reason(ended).into()),
        last_lines: unplaced_lines(&last_lines(ended), data_dir),
    }
}
