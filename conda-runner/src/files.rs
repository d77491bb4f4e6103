//! The logs of each version: where they are, and how others add to them.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serving_core::ServableId;

use crate::attempts::{self, AttemptOutcome, LogKind, LoggedAttempt, OpenAttempt};
use crate::names;
use crate::process::logs::{Log, LogWriter};

/// The logs of all versions. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RunnerFiles {
    root: Arc<Path>,
    writer: LogWriter,
    workers: Arc<Mutex<Workers>>,
}

/// Workers that may be running, of each version in the order of their starts.
type Workers = HashMap<ServableId, Vec<Weak<OpenAttempt>>>;

impl RunnerFiles {
    pub(crate) fn new(root: PathBuf, writer: LogWriter) -> Self {
        Self {
            root: root.into(),
            writer,
            workers: Arc::default(),
        }
    }

    /// The attempts of a kind that are on the disk, oldest first: each try to build the version, each start of one of
    /// its workers. Blocks on the disk.
    pub fn attempts(&self, id: &ServableId, kind: LogKind) -> io::Result<Vec<LoggedAttempt>> {
        attempts::attempts(&folder(&self.root, id), kind)
    }

    /// Appends `text` as lines of its own to the log of the version's worker, of the last one that started if there
    /// are several. Never waits: when the disk does not keep up, or no worker is left, the text is dropped.
    pub fn note(&self, id: &ServableId, text: &str) {
        let newest = {
            let workers = self.workers();
            let started = workers.get(id).into_iter().flatten();
            started.rev().find_map(Weak::upgrade)
        };
        if let Some(attempt) = newest {
            attempt.log().note(text.trim_end());
        } else {
            tracing::debug!(%id, "dropped a note: no worker is left");
        }
    }

    /// The next attempt to build the version. It was stopped, unless something else is said before it is dropped.
    pub(crate) async fn begin_build(&self, id: &ServableId) -> OpenAttempt {
        self.begin(id, LogKind::Build, AttemptOutcome::Stopped)
            .await
    }

    /// The next worker of the version. It failed, unless something else is said before it is dropped.
    pub(crate) async fn begin_worker(&self, id: &ServableId) -> Arc<OpenAttempt> {
        let begun = self
            .begin(id, LogKind::Worker, AttemptOutcome::Failed)
            .await;
        let attempt = Arc::new(begun);
        let mut workers = self.workers();
        workers.retain(|_, started| {
            started.retain(|worker| worker.strong_count() > 0);
            !started.is_empty()
        });
        let started = workers.entry(id.clone()).or_default();
        started.push(Arc::downgrade(&attempt));
        attempt
    }

    /// The log of the templates of this key, one after the other.
    pub(crate) fn of_template(&self, key: &str) -> Log {
        self.writer.log(template_log(&self.root, key))
    }

    async fn begin(&self, id: &ServableId, kind: LogKind, outcome: AttemptOutcome) -> OpenAttempt {
        let (folder, writer) = (folder(&self.root, id), self.writer.clone());
        let begin = move || OpenAttempt::begin(&folder, kind, outcome, &writer);
        // Nothing in it panics, and it is never cancelled.
        match tokio::task::spawn_blocking(begin.clone()).await {
            Ok(attempt) => attempt,
            Err(_) => begin(),
        }
    }

    fn workers(&self) -> std::sync::MutexGuard<'_, Workers> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All logs are below it.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }
}

/// Where the logs of a version are, with all logs below `root`.
pub(crate) fn folder(root: &Path, id: &ServableId) -> PathBuf {
    root.join(names::of_model(&id.model))
        .join(id.version.to_string())
}

/// Where the log of a template is, with all logs below `root`.
pub(crate) fn template_log(root: &Path, key: &str) -> PathBuf {
    root.join("templates").join(key).join("template.log")
}
