//! Where one thing is being made, or is being taken apart: a folder that never counts as the thing.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serving_core::LoadError;
use tokio_util::task::TaskTracker;

use super::hold::Hold;
use crate::error::disk;
use crate::names;

/// Starts the names of staging folders; the key follows, a dot, and a name of its own.
pub(super) const STAGING: &str = ".staging-";
/// In a staging folder: locked as long as anybody needs what is in it.
const NEEDED: &str = ".needed";

/// Where one thing is being made. There as long as anybody holds it.
#[derive(Clone, Debug)]
pub(crate) struct Staging(Arc<Scratch>);

/// Removes a staging folder when its making ended, one way or the other.
#[derive(Debug)]
struct Scratch {
    path: PathBuf,
    tasks: TaskTracker,
    holds: Mutex<Vec<Hold>>,
    /// The lock ends after the removal has begun: nothing else in the folder is touched by then.
    _needed: File,
}

impl Staging {
    /// A new one on the shelf at `root`; whoever makes it has the lock of `key`.
    pub(super) async fn new(root: &Path, key: &str, tasks: TaskTracker) -> Result<Self, LoadError> {
        let path = path_for(root, key);
        let make = {
            let path = path.clone();
            move || {
                std::fs::create_dir(&path)?;
                let needed = File::create(path.join(NEEDED))?;
                needed.lock()?;
                Ok(needed)
            }
        };
        let needed = tokio::task::spawn_blocking(make)
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(disk("make", &path))?;
        Ok(Self(Arc::new(Scratch {
            path,
            tasks,
            holds: Mutex::default(),
            _needed: needed,
        })))
    }

    /// The folder: room for whatever the making needs besides.
    pub(crate) fn path(&self) -> &Path {
        &self.0.path
    }

    /// Holds what the thing is made from until the thing itself is in its place, or is given up.
    pub(crate) fn keep(&self, hold: Hold) {
        let mut holds = self.0.holds.lock().unwrap_or_else(PoisonError::into_inner);
        holds.push(hold);
    }

    /// Where the thing itself has to be in the end. Does not exist at first.
    pub(crate) fn whole(&self) -> PathBuf {
        self.path().join("whole")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let path = std::mem::take(&mut self.path);
        // Without a runtime the process is about to end: the next start sweeps.
        if tokio::runtime::Handle::try_current().is_ok() {
            self.tasks.spawn_blocking(move || remove(&path));
        }
    }
}

/// A path for a staging folder that does not exist yet.
pub(super) fn path_for(root: &Path, key: &str) -> PathBuf {
    root.join(format!("{STAGING}{key}.{}", names::fresh()))
}

/// The key that the staging folder of this name is for; `None` if it is no staging folder's name.
pub(super) fn key_of(name: &str) -> Option<&str> {
    let (key, _) = name.strip_prefix(STAGING)?.rsplit_once('.')?;
    Some(key)
}

/// Removes the folder at `path` unless somebody needs what is in it, though its making has ended.
pub(super) fn sweep(path: &Path) {
    let needed = File::open(path.join(NEEDED));
    if needed.is_ok_and(|file| file.try_lock_shared().is_err()) {
        return;
    }
    remove(path);
}

/// A build that was just killed may still be writing for a moment, which makes the removal fail half-way.
pub(super) fn remove(path: &Path) {
    for _ in 0..10 {
        match std::fs::remove_dir_all(path) {
            Ok(()) => return,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
    tracing::warn!(path = %path.display(), "cannot remove a staging folder; the next start tries again");
}
