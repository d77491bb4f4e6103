//! A folder of finished things by key. Each is made in a staging folder and renamed when whole, once for all who want
//! it at the same time, in this process or another on the same data folder.

mod anew;
mod entry;
mod hold;
mod removal;
mod staging;
mod uses;

use std::fs::{File, TryLockError};
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serving_core::LoadError;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

pub(crate) use self::entry::Entry;
pub(crate) use self::hold::Hold;
pub(crate) use self::removal::Removal;
pub(crate) use self::staging::Staging;
pub(crate) use self::uses::InUse;

use self::hold::Holds;
use crate::durable;
use crate::error::{RunnerError, disk};
use crate::single_flight::SingleFlight;

/// In every finished thing: written last, so that nothing half-made has it. Its content is the maker's.
pub(crate) const MARKER: &str = ".sluicegate.json";
/// Advisory locks by key: whoever makes the thing has it, against other processes on the same data folder.
const LOCKS: &str = ".locks";
/// Between two looks at a lock that another process holds.
const LOCK_PAUSE: Duration = Duration::from_millis(250);
/// How long another process is waited for: no build is given longer.
const LOCK_PATIENCE: Duration = Duration::from_secs(3600);

/// The folder. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Shelf {
    root: Arc<Path>,
    vital: &'static str,
    holds: Holds,
    flights: SingleFlight<Result<Finished, LoadError>>,
    tasks: TaskTracker,
}

/// A finished thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finished {
    /// Its folder.
    pub(crate) path: PathBuf,
    /// What its maker wrote down about it.
    pub(crate) marker: Arc<str>,
    /// Keeps it from being pruned, by this process or another.
    pub(crate) hold: Hold,
}

impl Shelf {
    /// The shelf at `root`, which is made if need be. A thing is only whole as long as it has the file `vital`: others
    /// may break it after it was finished, such as by removing the Python that an environment's is a link to. Sweeps
    /// what interrupted makers left, except where another process is at work. Blocks on the disk; `tasks` gets the
    /// making of things and the clearing up.
    pub(crate) fn open(
        root: PathBuf,
        vital: &'static str,
        tasks: TaskTracker,
    ) -> Result<Self, RunnerError> {
        let locks = root.join(LOCKS);
        std::fs::create_dir_all(&locks).map_err(RunnerError::folder(&locks))?;
        let root: Arc<Path> = root.into();
        let shelf = Self {
            holds: Holds::new(Arc::clone(&root)),
            root,
            vital,
            flights: SingleFlight::new(tasks.clone()),
            tasks,
        };
        shelf.sweep().map_err(RunnerError::folder(&shelf.root))?;
        Ok(shelf)
    }

    /// The folder itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where the thing of this key is, or would be.
    pub(crate) fn place(&self, key: &str) -> PathBuf {
        self.root.join(key)
    }

    /// The finished thing of this key, if there is one that is still whole.
    pub(crate) async fn find(&self, key: &str) -> Option<Finished> {
        let path = self.place(key);
        // Not even a lock file is left of what was only asked for.
        tokio::fs::metadata(path.join(MARKER)).await.ok()?;
        let hold = match self.holds.take(key).await {
            Ok(hold) => hold,
            Err(error) => {
                tracing::warn!(key, %error, "cannot keep others from removing what is asked for");
                return None;
            }
        };
        // Only now: what was seen without the hold may have gone since.
        let marker = tokio::fs::read_to_string(path.join(MARKER)).await.ok()?;
        let vital = tokio::fs::metadata(path.join(self.vital)).await.ok()?;
        vital.is_file().then(|| Finished {
            path,
            marker: marker.into(),
            hold,
        })
    }

    /// Finds the thing of this key, or makes it: `make` gets a staging folder that exists and is empty, makes the
    /// thing in its sub-folder [`Staging::whole`] and returns what is to be written down about it. It goes on without
    /// whoever called, as long as anybody waits for the thing.
    pub(crate) async fn find_or_make<F, Made>(
        &self,
        key: &str,
        make: F,
    ) -> Result<Finished, LoadError>
    where
        F: FnOnce(Staging) -> Made + Send + 'static,
        Made: Future<Output = Result<String, LoadError>> + Send + 'static,
    {
        self.find_or_make_telling(key, || {}, make).await
    }

    /// The same; `waiting` is called if another process is making it, for which this one waits.
    pub(crate) async fn find_or_make_telling<F, Made>(
        &self,
        key: &str,
        waiting: impl FnOnce() + Send + 'static,
        make: F,
    ) -> Result<Finished, LoadError>
    where
        F: FnOnce(Staging) -> Made + Send + 'static,
        Made: Future<Output = Result<String, LoadError>> + Send + 'static,
    {
        if let Some(finished) = self.find(key).await {
            return Ok(finished);
        }
        let work = || self.clone().make(key.to_owned(), waiting, make);
        self.flights.run(key, work).await.unwrap_or_else(|| {
            Err(LoadError::transient(
                "the making of a folder broke off: the gateway's own log says why",
            ))
        })
    }

    async fn make<F, Made>(
        self,
        key: String,
        waiting: impl FnOnce() + Send,
        make: F,
    ) -> Result<Finished, LoadError>
    where
        F: FnOnce(Staging) -> Made + Send + 'static,
        Made: Future<Output = Result<String, LoadError>> + Send + 'static,
    {
        // These may have been removed under a running gateway.
        let locks = self.root.join(LOCKS);
        tokio::fs::create_dir_all(&locks)
            .await
            .map_err(disk("make", &locks))?;
        let _lock = self.lock(&key, waiting).await?;
        if let Some(finished) = self.find(&key).await {
            return Ok(finished);
        }
        let staging = Staging::new(&self.root, &key, self.tasks.clone()).await?;
        let marker = make(staging.clone()).await?;
        // Before it can be seen: it has a user from its first moment on.
        let hold = self
            .holds
            .take(&key)
            .await
            .map_err(disk("hold", &self.place(&key)))?;
        Self::settle(&staging, &marker).await?;
        self.put(&key, &staging).await?;
        Ok(Finished {
            path: self.place(&key),
            marker: marker.into(),
            hold,
        })
    }

    /// After a loss of power, what has the marker has all of its content as well.
    async fn settle(staging: &Staging, marker: &str) -> Result<(), LoadError> {
        let whole = staging.whole();
        durable::everything_below(&whole).await?;
        durable::write(&whole.join(MARKER), marker).await
    }

    /// Puts it into its place. What is there goes away with the staging folder.
    async fn put(&self, key: &str, staging: &Staging) -> Result<(), LoadError> {
        let (whole, place) = (staging.whole(), self.place(key));
        let replaced = staging.path().join("replaced");
        // Something broken may be in the way, or somebody's copy.
        match tokio::fs::rename(&place, &replaced).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(disk("replace", &place)(error));
            }
            _ => {}
        }
        if let Err(error) = tokio::fs::rename(&whole, &place).await {
            // Better the old one than none.
            let _ = tokio::fs::rename(&replaced, &place).await;
            return Err(disk("put into place", &place)(error));
        }
        durable::entries_of(&self.root).await
    }

    fn lock_file(&self, key: &str) -> io::Result<File> {
        File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.root.join(LOCKS).join(key))
    }

    /// Held until dropped, and by the system's doing no longer than this process lives.
    async fn lock(&self, key: &str, waiting: impl FnOnce() + Send) -> Result<File, LoadError> {
        let file = self.lock_file(key).map_err(disk("lock", &self.root))?;
        let deadline = Instant::now() + LOCK_PATIENCE;
        // Who only clears up has it for a moment, which is not worth a word.
        let (mut is_second, mut waiting) = (false, Some(waiting));
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                    return Err(LoadError::transient(format!(
                        "another process on the same data folder has been making {} for an hour, and is waited for no \
                         longer: look for another gateway or a command with this data folder, and stop it",
                        self.place(key).display()
                    )));
                }
                Err(TryLockError::WouldBlock) => {
                    if std::mem::replace(&mut is_second, true)
                        && let Some(tell) = waiting.take()
                    {
                        tell();
                    }
                    tokio::time::sleep(LOCK_PAUSE).await;
                }
                Err(TryLockError::Error(error)) => return Err(disk("lock", &self.root)(error)),
            }
        }
    }

    /// Whether something is being made, in whichever process. Blocks on the disk.
    pub(crate) fn is_making(&self) -> io::Result<bool> {
        for entry in std::fs::read_dir(&*self.root)? {
            let name = entry?.file_name();
            let Some(key) = name.to_str().and_then(staging::key_of) else {
                continue;
            };
            match self.lock_file(key)?.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(true),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Removes the staging folders that nobody works in any more. Blocks on the disk.
    pub(crate) fn sweep(&self) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.root)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(key) = name.to_str().and_then(staging::key_of) else {
                continue;
            };
            match self.lock_file(key)?.try_lock() {
                Ok(()) => staging::sweep(&entry.path()),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
