//! Who has a thing in use, told to every process, and when it was last used, which outlives them.

use std::fmt;
use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use serving_core::{LoadError, ServableId};

use super::hold::{Held, Hold};
use crate::error::disk;
use crate::names;

/// A folder for each key, with a small file for each user.
const USES: &str = ".uses";
/// In the folder of a key: its time of change is the last use.
const LAST: &str = ".last";

/// A version has things in use. Cheap to clone; it has them no longer when the last clone is dropped.
#[derive(Clone, Debug, Default)]
pub(crate) struct InUse(Vec<Arc<Registration>>);

/// The file that says so: locked as long as it is true, so that nobody believes it after its process was killed.
struct Registration {
    held: Arc<Held>,
    path: PathBuf,
    _lock: File,
}

impl Hold {
    /// Tells every process that `id` has in use what is held.
    pub(crate) async fn used_by(&self, id: &ServableId) -> Result<InUse, LoadError> {
        let mut registrations = Vec::new();
        for held in &self.0 {
            let folder = folder(&held.root, &held.key);
            let (held, id) = (Arc::clone(held), id.clone());
            let register = move || Registration::new(held, &id).map(Arc::new);
            let registered = tokio::task::spawn_blocking(register).await;
            let registration = registered
                .unwrap_or_else(|error| Err(io::Error::other(error)))
                .map_err(disk("write to", &folder))?;
            registrations.push(registration);
        }
        Ok(InUse(registrations))
    }

    /// Notes that what is held is used now. A failure only makes it look less recently used. Blocks on the disk.
    pub(crate) fn touch(&self) {
        self.0.iter().for_each(|held| touch(held));
    }
}

impl InUse {
    /// Notes that it is used now.
    pub(crate) async fn touch(&self) {
        let used = self.clone();
        let touched = tokio::task::spawn_blocking(move || {
            used.0.iter().for_each(|used| touch(&used.held));
        });
        // It fails only when the runtime ends.
        let _ = touched.await;
    }
}

impl Registration {
    fn new(held: Arc<Held>, id: &ServableId) -> io::Result<Self> {
        let folder = folder(&held.root, &held.key);
        std::fs::create_dir_all(&folder)?;
        let name = names::fresh();
        // Its name shows it only once it is locked: a visible file that is not locked is a dead one's.
        let hidden = folder.join(format!(".{name}"));
        let mut file = File::options()
            .create_new(true)
            .read(true)
            .write(true)
            .open(&hidden)?;
        file.lock()?;
        file.write_all(serde_json::to_string(id)?.as_bytes())?;
        let path = folder.join(name);
        std::fs::rename(&hidden, &path)?;
        touch(&held);
        Ok(Self {
            held,
            path,
            _lock: file,
        })
    }
}

impl Drop for Registration {
    /// Two small calls on the disk: they are not worth a thread.
    fn drop(&mut self) {
        // One that stays is not locked any more, and is swept.
        let _ = std::fs::remove_file(&self.path);
        touch(&self.held);
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("Registration")
            .field(&self.path)
            .finish()
    }
}

/// Who has the thing of this key in use, in whichever process; sorted. Sweeps what dead processes left.
pub(super) fn users(root: &Path, key: &str) -> Vec<ServableId> {
    let Ok(entries) = std::fs::read_dir(folder(root, key)) else {
        return Vec::new();
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let is_visible = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| !name.starts_with('.'))
    };
    let mut users: Vec<ServableId> = paths
        .filter(is_visible)
        .filter_map(|path| user(&path))
        .collect();
    users.sort();
    users.dedup();
    users
}

/// When the thing of this key was last used, if it ever was.
pub(super) fn last_use(root: &Path, key: &str) -> Option<SystemTime> {
    let last = folder(root, key).join(LAST);
    std::fs::metadata(last).ok()?.modified().ok()
}

/// Forgets all about the uses of a thing that is gone.
pub(super) fn forget(root: &Path, key: &str) {
    // What stays says something about a thing that nobody finds.
    let _ = std::fs::remove_dir_all(folder(root, key));
}

/// The user that the file tells of, if it is alive.
fn user(path: &Path) -> Option<ServableId> {
    let mut file = File::open(path).ok()?;
    match file.try_lock_shared() {
        Ok(()) => {
            let _ = std::fs::remove_file(path);
            None
        }
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            file.read_to_string(&mut text).ok()?;
            serde_json::from_str(&text).ok()
        }
        Err(TryLockError::Error(_)) => None,
    }
}

fn touch(held: &Held) {
    let folder = folder(&held.root, &held.key);
    let touched = std::fs::create_dir_all(&folder)
        .and_then(|()| {
            let last = folder.join(LAST);
            let mut options = File::options();
            options.create(true).truncate(false).write(true).open(last)
        })
        .and_then(|file| file.set_modified(SystemTime::now()));
    if let Err(error) = touched {
        tracing::debug!(folder = %folder.display(), %error, "cannot note that something is in use");
    }
}

fn folder(root: &Path, key: &str) -> PathBuf {
    root.join(USES).join(key)
}
