//! Logs of attempts that tests write.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Mutex;

use gateway::ports::{Attempt, AttemptOutcome, LogKind, LogPiece, WorkerFiles};
use serving_core::{ServableId, Version};

use super::harness::now;

/// The logs of version 1 of each model are the same; no other version has any.
pub(crate) struct ScriptedFiles {
    folder: PathBuf,
    attempts: Mutex<BTreeMap<(&'static str, u64), Attempt>>,
}

impl ScriptedFiles {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            attempts: Mutex::default(),
        }
    }

    /// Adds to the log of a worker's attempt, which begins with it.
    pub(crate) fn worker(&self, number: u64, text: impl AsRef<[u8]>) {
        self.write(LogKind::Worker, number, text);
    }

    /// Adds to the log of an attempt, which begins with it.
    pub(crate) fn write(&self, kind: LogKind, number: u64, text: impl AsRef<[u8]>) {
        self.change(kind, number, |attempt| {
            let current = &attempt.pieces.last().unwrap().path;
            let mut file = File::options().append(true).open(current).unwrap();
            file.write_all(text.as_ref()).unwrap();
        });
    }

    /// The log goes on in a new file.
    pub(crate) fn rotate(&self, number: u64) {
        self.change(LogKind::Worker, number, |attempt| {
            let last = attempt.pieces.last().unwrap();
            let end = last.start + fs::metadata(&last.path).unwrap().len();
            attempt.pieces.push(self.piece("worker", number, end));
        });
    }

    /// The oldest file of the log is removed.
    pub(crate) fn forget_oldest(&self, number: u64) {
        self.change(LogKind::Worker, number, |attempt| {
            fs::remove_file(attempt.pieces.remove(0).path).unwrap();
        });
    }

    pub(crate) fn end(&self, kind: LogKind, number: u64, outcome: AttemptOutcome) {
        self.change(kind, number, |attempt| {
            attempt.outcome = outcome;
            attempt.ended = Some(now());
        });
    }

    fn change(&self, kind: LogKind, number: u64, change: impl FnOnce(&mut Attempt)) {
        let mut attempts = self.attempts.lock().unwrap();
        let begun = || Attempt {
            number,
            started: now(),
            ended: None,
            outcome: AttemptOutcome::Running,
            pieces: vec![self.piece(kind.as_str(), number, 0)],
        };
        change(
            attempts
                .entry((kind.as_str(), number))
                .or_insert_with(begun),
        );
    }

    fn piece(&self, kind: &str, number: u64, start: u64) -> LogPiece {
        let path = self.folder.join(format!("{kind}-{number}.log.{start}"));
        fs::write(&path, "").unwrap();
        LogPiece { path, start }
    }
}

impl WorkerFiles for ScriptedFiles {
    fn attempts(&self, id: &ServableId, kind: LogKind) -> io::Result<Vec<Attempt>> {
        if id.version != Version(1) {
            return Ok(Vec::new());
        }
        let attempts = self.attempts.lock().unwrap();
        let of_kind = attempts
            .iter()
            .filter(|((word, _), _)| *word == kind.as_str());
        Ok(of_kind.map(|(_, attempt)| attempt.clone()).collect())
    }

    fn note(&self, _: &ServableId, _: &str) {}
}
