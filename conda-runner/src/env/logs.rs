//! The logs of builds, by the key of their environment: whoever asked for it, and also of attempts that failed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::process::logs::{Log, LogWriter};
use crate::process::pieces::pieces;

/// Where they are. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct BuildLogs {
    root: Arc<Path>,
    writer: LogWriter,
}

impl BuildLogs {
    /// Logs below `root`, which is made with the first one.
    pub(crate) fn new(root: PathBuf, writer: LogWriter) -> Self {
        Self {
            root: root.into(),
            writer,
        }
    }

    /// The log of all attempts to build the environment of this key.
    pub(crate) fn of(&self, key: &str) -> Log {
        self.writer.log(self.path(key))
    }

    /// Its files, oldest first, the current one last. Blocks on the disk.
    pub(crate) fn files(&self, key: &str) -> Vec<PathBuf> {
        let pieces = pieces(&self.path(key)).unwrap_or_default();
        pieces.into_iter().map(|piece| piece.path).collect()
    }

    fn path(&self, key: &str) -> PathBuf {
        self.root.join(key).join("build.log")
    }
}
