//! Attempts: each try to build a version, and each start of a worker, has a log of its own and a record of how it went.
//!
//! The log is `worker-3.log`, the record beside it `worker-3.attempt`: a line when it begins, a line when it ends. While
//! it goes on, its process holds a lock on the record, which ends with the process: so whoever looks, from whichever
//! process, can tell what goes on from what was cut off.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::process::logs::{Log, LogWriter};
use crate::process::pieces::{self, LogPiece, pieces};

/// Ended attempts of a kind that are kept of a version, besides the last one that failed.
const KEPT: usize = 5;
/// How often the next number may turn out to be taken by another process.
const TRIES: u32 = 100;
/// What the name of a record ends with.
const RECORD: &str = ".attempt";

/// What a log tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogKind {
    /// Fetching the model and building its environment.
    Build,
    /// What the workers print.
    Worker,
}

/// How far an attempt has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AttemptOutcome {
    /// It goes on.
    Running,
    /// What was to be built is there.
    Succeeded,
    /// It came to nothing, or a worker ended by itself.
    Failed,
    /// It was ended because it was not wanted any more.
    Stopped,
    /// The process that it belonged to is gone and has left no word.
    Interrupted,
}

/// One attempt, as far as it is still on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedAttempt {
    /// Counts from 1, for each version and kind.
    pub number: u64,
    /// When it began.
    pub started: SystemTime,
    /// When it ended; of one that was interrupted, when it was last heard of.
    pub ended: Option<SystemTime>,
    /// How far it has come.
    pub outcome: AttemptOutcome,
    /// The files of its log, oldest first.
    pub pieces: Vec<LogPiece>,
}

/// An attempt that goes on; when it is dropped, it ends as it was last said to.
#[derive(Debug)]
pub(crate) struct OpenAttempt {
    log: Log,
    /// `None` if the disk did not take one, and once it is dropped.
    record: Option<File>,
    writer: LogWriter,
    outcome: Mutex<AttemptOutcome>,
}

#[derive(Serialize, Deserialize)]
struct Begun {
    started: u64,
}

#[derive(Serialize, Deserialize)]
struct Over {
    ended: u64,
    outcome: AttemptOutcome,
}

impl LogKind {
    pub(crate) const ALL: [Self; 2] = [Self::Build, Self::Worker];

    fn word(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Worker => "worker",
        }
    }
}

impl OpenAttempt {
    /// Begins the next attempt of the version whose logs are in `folder`, which ends as `outcome` unless something
    /// else is said meanwhile; forgets old ones. A disk that takes no record stops nothing. Blocks on the disk.
    pub(crate) fn begin(
        folder: &Path,
        kind: LogKind,
        outcome: AttemptOutcome,
        writer: &LogWriter,
    ) -> Self {
        let (number, record) = match record_next(folder, kind) {
            Ok((number, record)) => (number, Some(record)),
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "cannot note that an attempt begins");
                let last = numbers(folder, kind).unwrap_or_default().pop_last();
                (last.unwrap_or(1), None)
            }
        };
        if let Err(error) = forget(folder, kind) {
            tracing::debug!(folder = %folder.display(), %error, "cannot remove old logs");
        }
        Self {
            log: writer.log(log_path(folder, kind, number)),
            record,
            writer: writer.clone(),
            outcome: Mutex::new(outcome),
        }
    }

    /// What it prints goes here.
    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// Says how it will have ended when it is dropped.
    pub(crate) fn ends_as(&self, outcome: AttemptOutcome) {
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = outcome;
    }
}

impl Drop for OpenAttempt {
    fn drop(&mut self) {
        let Some(record) = self.record.take() else {
            return;
        };
        let over = Over {
            ended: milliseconds(SystemTime::now()),
            outcome: *self
                .outcome
                .get_mut()
                .unwrap_or_else(PoisonError::into_inner),
        };
        // Behind all lines of its log: who reads that it has ended finds them all.
        self.writer.finish(record, line(&over));
    }
}

/// All attempts of a kind that are on the disk, oldest first. Blocks on the disk.
pub(crate) fn attempts(folder: &Path, kind: LogKind) -> io::Result<Vec<LoggedAttempt>> {
    let numbers = numbers(folder, kind)?.into_iter();
    let attempts = numbers.filter_map(|number| attempt(folder, kind, number).transpose());
    attempts.collect()
}

/// The log of an attempt that `name` is a file of, or the record.
pub(crate) fn parse(name: &str) -> Option<(LogKind, u64)> {
    let base = match name.strip_suffix(RECORD) {
        Some(base) => base,
        None => pieces::split(name)?.0.strip_suffix(".log")?,
    };
    let (word, number) = base.split_once('-')?;
    let kind = LogKind::ALL.into_iter().find(|kind| kind.word() == word)?;
    Some((kind, number.parse().ok()?))
}

/// Removes an attempt, its record last.
pub(crate) fn remove(folder: &Path, kind: LogKind, attempt: &LoggedAttempt) -> io::Result<()> {
    for piece in &attempt.pieces {
        remove_file(&piece.path)?;
    }
    remove_file(&record_path(folder, kind, attempt.number))
}

pub(crate) fn record_path(folder: &Path, kind: LogKind, number: u64) -> PathBuf {
    folder.join(format!("{}-{number}{RECORD}", kind.word()))
}

pub(crate) fn log_path(folder: &Path, kind: LogKind, number: u64) -> PathBuf {
    folder.join(format!("{}-{number}.log", kind.word()))
}

fn remove_file(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn numbers(folder: &Path, kind: LogKind) -> io::Result<BTreeSet<u64>> {
    let names = pieces::names(folder)?;
    let found = names.iter().filter_map(|name| parse(name));
    let found = found.filter(|(of, _)| *of == kind);
    Ok(found.map(|(_, number)| number).collect())
}

/// One attempt; `None` if it is gone.
fn attempt(folder: &Path, kind: LogKind, number: u64) -> io::Result<Option<LoggedAttempt>> {
    let record = record_path(folder, kind, number);
    // Whether it goes on is asked before its end is looked for, which may come in between.
    let goes_on = is_locked(&record)?;
    let text = match std::fs::read_to_string(&record) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        text => text?,
    };
    let mut lines = text.lines();
    let begun: Option<Begun> = lines
        .next()
        .and_then(|line| serde_json::from_str(line).ok());
    let over: Option<Over> = lines
        .next()
        .and_then(|line| serde_json::from_str(line).ok());
    let pieces = pieces(&log_path(folder, kind, number))?;
    let heard_of = || {
        let last = pieces.last().map_or(&record, |piece| &piece.path);
        last.metadata().and_then(|metadata| metadata.modified())
    };
    let (ended, outcome) = match over {
        Some(over) => (Some(time(over.ended)), over.outcome),
        None if goes_on => (None, AttemptOutcome::Running),
        None => match heard_of() {
            Ok(heard_of) => (Some(heard_of), AttemptOutcome::Interrupted),
            // Removed meanwhile.
            Err(_) => return Ok(None),
        },
    };
    let started = begun.map(|begun| time(begun.started));
    Ok(Some(LoggedAttempt {
        number,
        started: started.or(ended).unwrap_or(SystemTime::UNIX_EPOCH),
        ended,
        outcome,
        pieces,
    }))
}

/// The record of the next attempt, locked from its first moment on, with its number.
fn record_next(folder: &Path, kind: LogKind) -> io::Result<(u64, File)> {
    std::fs::create_dir_all(folder)?;
    let new = folder.join(format!(".{}-{:016x}.new", kind.word(), unique()));
    let mut record = File::options().create_new(true).append(true).open(&new)?;
    let begun = Begun {
        started: milliseconds(SystemTime::now()),
    };
    let named = record
        .try_lock()
        .map_err(io::Error::from)
        .and_then(|()| record.write_all(line(&begun).as_bytes()))
        .and_then(|()| name_next(folder, kind, &new));
    std::fs::remove_file(&new)?;
    Ok((named?, record))
}

/// Gives `new` the name of the next record, which no other process has taken.
fn name_next(folder: &Path, kind: LogKind, new: &Path) -> io::Result<u64> {
    let last = numbers(folder, kind)?.pop_last().unwrap_or(0);
    let mut number = last.saturating_add(1);
    for _ in 0..TRIES {
        match std::fs::hard_link(new, record_path(folder, kind, number)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            linked => return linked.map(|()| number),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Tells apart what is begun at the same time, in this process and in others.
fn unique() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}

fn is_locked(record: &Path) -> io::Result<bool> {
    let file = match File::open(record) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        file => file?,
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Removes the oldest attempts, but never one that goes on nor the last one that failed.
fn forget(folder: &Path, kind: LogKind) -> io::Result<()> {
    let attempts = attempts(folder, kind)?;
    let failed = last_failed(&attempts);
    let goes = |attempt: &&LoggedAttempt| {
        attempt.outcome != AttemptOutcome::Running && Some(attempt.number) != failed
    };
    for attempt in attempts.iter().filter(goes).rev().skip(KEPT) {
        remove(folder, kind, attempt)?;
    }
    Ok(())
}

/// The number of the last one that failed.
pub(crate) fn last_failed(attempts: &[LoggedAttempt]) -> Option<u64> {
    let failed = |attempt: &&LoggedAttempt| attempt.outcome == AttemptOutcome::Failed;
    attempts.iter().rfind(failed).map(|attempt| attempt.number)
}

fn line(value: &impl Serialize) -> String {
    // Numbers and words can always be written.
    let mut line = serde_json::to_string(value).unwrap_or_default();
    line.push('\n');
    line
}

fn milliseconds(time: SystemTime) -> u64 {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn time(milliseconds: u64) -> SystemTime {
    let since = Duration::from_millis(milliseconds);
    SystemTime::UNIX_EPOCH
        .checked_add(since)
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use AttemptOutcome::{Failed, Interrupted, Running, Stopped, Succeeded};

    struct Place {
        folder: tempfile::TempDir,
        writer: LogWriter,
    }

    impl Place {
        fn new() -> Self {
            Self {
                folder: tempfile::tempdir().unwrap(),
                writer: LogWriter::start(1 << 20).unwrap(),
            }
        }

        fn begin(&self) -> OpenAttempt {
            OpenAttempt::begin(self.folder.path(), LogKind::Build, Stopped, &self.writer)
        }

        async fn ended(&self, outcome: AttemptOutcome) {
            let attempt = self.begin();
            attempt.log().line("a line").await;
            attempt.ends_as(outcome);
            let log = attempt.log().clone();
            drop(attempt);
            log.written().await;
        }

        fn seen(&self) -> Vec<(u64, AttemptOutcome)> {
            let attempts = attempts(self.folder.path(), LogKind::Build).unwrap();
            let seen = attempts.iter();
            seen.map(|attempt| (attempt.number, attempt.outcome))
                .collect()
        }
    }

    #[tokio::test]
    async fn each_attempt_has_a_log_of_its_own_and_says_how_it_went() {
        let place = Place::new();
        place.ended(Failed).await;
        let running = place.begin();
        running.log().line("first").await;
        running.log().written().await;
        assert_eq!(place.seen(), [(1, Failed), (2, Running)]);
        let seen = attempts(place.folder.path(), LogKind::Build).unwrap();
        assert!(seen[0].ended.is_some() && seen[1].ended.is_none());
        assert_eq!(
            std::fs::read_to_string(&seen[0].pieces[0].path).unwrap(),
            "a line\n"
        );
        assert_eq!(
            std::fs::read_to_string(&seen[1].pieces[0].path).unwrap(),
            "first\n"
        );
        running.ends_as(Succeeded);
        let log = running.log().clone();
        drop(running);
        log.written().await;
        assert_eq!(place.seen(), [(1, Failed), (2, Succeeded)]);
        assert!(
            attempts(place.folder.path(), LogKind::Worker)
                .unwrap()
                .is_empty()
        );
    }

    #[tokio::test]
    async fn the_last_failed_attempt_outlives_any_number_of_later_ones() {
        let place = Place::new();
        place.ended(Failed).await;
        place.ended(Failed).await;
        let running = place.begin();
        for _ in 0..10 {
            place.ended(Succeeded).await;
        }
        let mut kept = vec![(2, Failed), (3, Running)];
        // One more than is kept: it was not there yet when the last one began.
        kept.extend((8..=13).map(|number| (number, Succeeded)));
        assert_eq!(place.seen(), kept);
        drop(running);
    }

    #[tokio::test]
    async fn what_a_killed_process_left_is_interrupted_and_its_number_is_not_used_again() {
        let place = Place::new();
        place.ended(Succeeded).await;
        let record = record_path(place.folder.path(), LogKind::Build, 2);
        std::fs::write(&record, "{\"started\": 17").unwrap();
        assert_eq!(place.seen(), [(1, Succeeded), (2, Interrupted)]);
        place.ended(Succeeded).await;
        assert_eq!(place.seen().last(), Some(&(3, Succeeded)));
    }

    #[tokio::test]
    async fn those_who_begin_at_the_same_time_get_different_numbers() {
        let place = Place::new();
        let open: Vec<OpenAttempt> = std::thread::scope(|scope| {
            let begin = || scope.spawn(|| place.begin());
            let threads: Vec<_> = (0..8).map(|_| begin()).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        let seen = place.seen();
        assert_eq!(
            seen,
            (1..=8).map(|number| (number, Running)).collect::<Vec<_>>()
        );
        drop(open);
    }

    #[test]
    fn files_are_told_by_their_names() {
        for (name, meant) in [
            ("build-1.log", Some((LogKind::Build, 1))),
            ("worker-12.log.1048576", Some((LogKind::Worker, 12))),
            ("worker-3.attempt", Some((LogKind::Worker, 3))),
            ("worker.log", None),
            ("worker.log.1", None),
            ("other-1.log", None),
            (".build-00.new", None),
        ] {
            assert_eq!(parse(name), meant, "{name}");
        }
    }
}
