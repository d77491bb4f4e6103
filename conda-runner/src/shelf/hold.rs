//! Holds: who has a thing in use says so with a shared lock that every process sees, and that ends with its process.

use std::collections::HashMap;
use std::fmt;
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// The lock files by key. Not in the things themselves: those are renamed and removed.
const HOLDS: &str = ".holds";
/// Between two looks at a lock that a removal has: it keeps it no longer than a rename takes.
const PAUSE: Duration = Duration::from_millis(10);
/// How long a removal may keep it on a slow disk.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a lock file may turn out to be one that was just removed.
const ATTEMPTS: usize = 100;

/// A thing that is in use stays. Cheap to clone; it is free to go when the last clone is dropped.
#[derive(Clone, Default)]
pub(crate) struct Hold(pub(super) Vec<Arc<Held>>);

/// One thing that this process holds.
pub(super) struct Held {
    /// The root of its shelf.
    pub(super) root: Arc<Path>,
    pub(super) key: String,
    /// Locked, shared, until closed.
    _lock: File,
}

/// All holds of this process on one shelf. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Holds {
    root: Arc<Path>,
    held: Arc<Mutex<HashMap<String, Weak<Held>>>>,
}

/// Nobody else has the thing in use, and nobody can take it, until this is dropped.
#[derive(Debug)]
pub(super) struct Seized {
    path: PathBuf,
    _lock: File,
}

impl Hold {
    /// Holds what both hold: an environment, and the one whose interpreter it uses.
    #[must_use]
    pub(crate) fn join(mut self, other: Self) -> Self {
        for held in other.0 {
            if !self.0.iter().any(|known| Arc::ptr_eq(known, &held)) {
                self.0.push(held);
            }
        }
        self
    }
}

/// Two holds are equal if they hold the same things.
impl PartialEq for Hold {
    fn eq(&self, other: &Self) -> bool {
        let names = |hold: &Self| -> Vec<(Arc<Path>, String)> {
            let name = |held: &Arc<Held>| (Arc::clone(&held.root), held.key.clone());
            hold.0.iter().map(name).collect()
        };
        names(self) == names(other)
    }
}

impl Eq for Hold {}

impl fmt::Debug for Hold {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.0.iter().map(|held| &held.key);
        formatter.debug_set().entries(keys).finish()
    }
}

impl Holds {
    /// Holds of the things on the shelf at `root`.
    pub(super) fn new(root: Arc<Path>) -> Self {
        Self {
            root,
            held: Arc::default(),
        }
    }

    /// Holds the thing of this key, whether it exists or not. Waits while it is being removed.
    pub(super) async fn take(&self, key: &str) -> io::Result<Hold> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (holds, owned) = (self.clone(), key.to_owned());
            let attempt = tokio::task::spawn_blocking(move || holds.try_take(&owned));
            if let Some(held) = attempt.await.map_err(io::Error::other)?? {
                return Ok(Hold(vec![held]));
            }
            let pause = tokio::time::sleep(PAUSE);
            if timeout_at(deadline, pause).await.is_err() {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "somebody is removing it and does not come to an end",
                ));
            }
        }
    }

    /// `None` while somebody has seized it.
    fn try_take(&self, key: &str) -> io::Result<Option<Arc<Held>>> {
        // One lock for all of this process who use the thing: there may be hundreds of them.
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = held.get(key).and_then(Weak::upgrade) {
            return Ok(Some(known));
        }
        let Some(lock) = locked(&self.path(key), File::try_lock_shared)? else {
            return Ok(None);
        };
        let new = Arc::new(Held {
            root: Arc::clone(&self.root),
            key: key.to_owned(),
            _lock: lock,
        });
        held.retain(|_, known| known.strong_count() > 0);
        held.insert(key.to_owned(), Arc::downgrade(&new));
        Ok(Some(new))
    }

    /// Takes the thing for its removal; `None` if it is in use. Blocks on the disk, but never waits.
    pub(super) fn seize(&self, key: &str) -> io::Result<Option<Seized>> {
        if self.is_held_here(key) {
            return Ok(None);
        }
        let path = self.path(key);
        let lock = locked(&path, File::try_lock)?;
        Ok(lock.map(|lock| Seized { path, _lock: lock }))
    }

    /// Whether anybody has it in use, in whichever process. Blocks on the disk, but never waits.
    pub(super) fn is_held(&self, key: &str) -> bool {
        if self.is_held_here(key) {
            return true;
        }
        // Without a lock file nobody has it: it is made with the first hold.
        match File::open(self.path(key)) {
            Ok(file) => file.try_lock().is_err(),
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    /// What this process holds.
    pub(super) fn held_here(&self) -> Hold {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        Hold(held.values().filter_map(Weak::upgrade).collect())
    }

    fn is_held_here(&self, key: &str) -> bool {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(key).is_some_and(|held| held.strong_count() > 0)
    }

    fn path(&self, key: &str) -> PathBuf {
        self.root.join(HOLDS).join(key)
    }
}

impl Seized {
    /// Removes the lock file: the thing is gone. Whoever waits for this very file sees that, and takes a new one.
    pub(super) fn forget(self) {
        // One that stays costs an empty file.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The file at `path`, made if need be, once it is locked; `None` if somebody else's lock is in the way.
fn locked(
    path: &Path,
    lock: impl Fn(&File) -> Result<(), TryLockError>,
) -> io::Result<Option<File>> {
    for _ in 0..ATTEMPTS {
        let file = opened(path)?;
        match lock(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // A lock on a file that was removed in the meantime locks nobody out.
        match std::fs::metadata(path) {
            Ok(current) if current.ino() == file.metadata()?.ino() => return Ok(Some(file)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn opened(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.create(true).truncate(false).write(true);
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            options.open(path)
        }
        opened => opened,
    }
}
