//! The runner's log files as the planes see them.

use std::io;

use conda_runner::{LoggedAttempt, RunnerFiles};
use serving_core::ServableId;

use crate::ports::{Attempt, AttemptOutcome, LogKind, LogPiece, WorkerFiles};

pub(super) struct FilesPort(RunnerFiles);

impl FilesPort {
    pub(super) fn new(files: RunnerFiles) -> Self {
        Self(files)
    }
}

impl WorkerFiles for FilesPort {
    fn attempts(&self, id: &ServableId, kind: LogKind) -> io::Result<Vec<Attempt>> {
        let kind = match kind {
            LogKind::Build => conda_runner::LogKind::Build,
            LogKind::Worker => conda_runner::LogKind::Worker,
        };
        let attempts = self.0.attempts(id, kind)?;
        Ok(attempts.into_iter().map(attempt).collect())
    }

    fn note(&self, id: &ServableId, text: &str) {
        self.0.note(id, text);
    }
}

fn attempt(seen: LoggedAttempt) -> Attempt {
    use conda_runner::AttemptOutcome as Seen;
    let pieces = seen.pieces.into_iter().map(|piece| LogPiece {
        path: piece.path,
        start: piece.start,
    });
    Attempt {
        number: seen.number,
        started: seen.started,
        ended: seen.ended,
        outcome: match seen.outcome {
            Seen::Running => AttemptOutcome::Running,
            Seen::Succeeded => AttemptOutcome::Succeeded,
            Seen::Failed => AttemptOutcome::Failed,
            Seen::Stopped => AttemptOutcome::Stopped,
            Seen::Interrupted => AttemptOutcome::Interrupted,
        },
        pieces: pieces.collect(),
    }
}
