//! The logs of each version: where they are, and how others add to them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serving_core::ServableId;

use crate::names;
use crate::process::logs::{self, Log, LogWriter};

/// What a log tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogKind {
    /// Fetching the model and building its environment.
    Build,
    /// What the workers print.
    Worker,
}

/// The logs of all versions. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RunnerFiles {
    root: Arc<Path>,
    writer: LogWriter,
}

impl RunnerFiles {
    pub(crate) fn new(root: PathBuf, writer: LogWriter) -> Self {
        Self {
            root: root.into(),
            writer,
        }
    }

    /// The files of one log of a version, oldest first, the current one last. They need not exist.
    pub fn logs(&self, id: &ServableId, kind: LogKind) -> Vec<PathBuf> {
        logs::files(&self.path(id, kind))
    }

    /// Appends `text` as lines of its own to the version's worker log. Never waits: when the disk does not keep up,
    /// the text is dropped.
    pub fn note(&self, id: &ServableId, text: &str) {
        self.log(id, LogKind::Worker).note(text.trim_end());
    }

    pub(crate) fn log(&self, id: &ServableId, kind: LogKind) -> Log {
        self.writer.log(self.path(id, kind))
    }

    fn path(&self, id: &ServableId, kind: LogKind) -> PathBuf {
        let name = match kind {
            LogKind::Build => "build.log",
            LogKind::Worker => "worker.log",
        };
        folder(&self.root, id).join(name)
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
