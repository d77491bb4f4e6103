//! A folder of finished things by key. Each is made in a staging folder and renamed when whole, once for all who want
//! it at the same time, in this process or another on the same data folder.

use std::fs::{File, TryLockError};
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serving_core::LoadError;
use tokio_util::task::TaskTracker;

use crate::durable;
use crate::error::{RunnerError, disk};
use crate::names;
use crate::single_flight::SingleFlight;

/// In every finished thing: written last, so that nothing half-made has it. Its content is the maker's.
const MARKER: &str = ".sluicegate.json";
/// Starts the names of staging folders.
const STAGING: &str = ".staging-";
/// Advisory locks by key, against other processes on the same data folder.
const LOCKS: &str = ".locks";
/// Between two looks at a lock that another process holds.
const LOCK_PAUSE: Duration = Duration::from_millis(250);

/// The folder. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Shelf {
    root: Arc<Path>,
    vital: &'static str,
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

/// A thing that is in use stays. Cheap to clone; it is free to go when the last clone is dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hold {}

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
        let shelf = Self {
            root: root.into(),
            vital,
            flights: SingleFlight::new(tasks.clone()),
            tasks,
        };
        shelf.sweep().map_err(RunnerError::folder(&shelf.root))?;
        Ok(shelf)
    }

    /// Where the thing of this key is, or will be.
    pub(crate) fn place(&self, key: &str) -> PathBuf {
        self.root.join(key)
    }

    /// The finished thing of this key, if there is one that is still whole.
    pub(crate) async fn find(&self, key: &str) -> Option<Finished> {
        let path = self.root.join(key);
        let marker = tokio::fs::read_to_string(path.join(MARKER)).await.ok()?;
        let vital = tokio::fs::metadata(path.join(self.vital)).await.ok()?;
        vital.is_file().then(|| Finished {
            path,
            marker: marker.into(),
            hold: Hold::default(),
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
        if let Some(finished) = self.find(key).await {
            return Ok(finished);
        }
        let work = || self.clone().make(key.to_owned(), make);
        self.flights.run(key, work).await.unwrap_or_else(|| {
            Err(LoadError::transient(
                "the making of a folder broke off: the gateway's own log says why",
            ))
        })
    }

    async fn make<F, Made>(self, key: String, make: F) -> Result<Finished, LoadError>
    where
        F: FnOnce(Staging) -> Made + Send + 'static,
        Made: Future<Output = Result<String, LoadError>> + Send + 'static,
    {
        // These may have been removed under a running gateway.
        let locks = self.root.join(LOCKS);
        tokio::fs::create_dir_all(&locks)
            .await
            .map_err(disk("make", &locks))?;
        let _lock = self.lock(&key).await?;
        if let Some(finished) = self.find(&key).await {
            return Ok(finished);
        }
        let staging = self.staging(&key).await?;
        let marker = make(staging.clone()).await?;
        self.finish(&key, &staging, &marker).await?;
        Ok(Finished {
            path: self.root.join(&key),
            marker: marker.into(),
            hold: Hold::default(),
        })
    }

    /// After a loss of power, what has the marker has all of its content as well.
    async fn finish(&self, key: &str, staging: &Staging, marker: &str) -> Result<(), LoadError> {
        let (whole, place) = (staging.whole(), self.root.join(key));
        durable::everything_below(&whole).await?;
        durable::write(&whole.join(MARKER), marker).await?;
        // Something broken may be in the way, or somebody's copy.
        match tokio::fs::rename(&place, staging.path().join("replaced")).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(disk("replace", &place)(error));
            }
            _ => {}
        }
        tokio::fs::rename(&whole, &place)
            .await
            .map_err(disk("put into place", &place))?;
        durable::entries_of(&self.root).await
    }

    async fn staging(&self, key: &str) -> Result<Staging, LoadError> {
        let path = self.root.join(format!("{STAGING}{key}.{}", names::fresh()));
        tokio::fs::create_dir(&path)
            .await
            .map_err(disk("make", &path))?;
        Ok(Staging(Arc::new(Scratch {
            path,
            tasks: self.tasks.clone(),
        })))
    }

    fn lock_file(&self, key: &str) -> io::Result<File> {
        File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.root.join(LOCKS).join(key))
    }

    /// Held until dropped, and by the system's doing no longer than this process lives.
    async fn lock(&self, key: &str) -> Result<File, LoadError> {
        let file = self.lock_file(key).map_err(disk("lock", &self.root))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_PAUSE).await,
                Err(TryLockError::Error(error)) => return Err(disk("lock", &self.root)(error)),
            }
        }
    }

    fn sweep(&self) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.root)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some((key, _)) = name
                .to_str()
                .and_then(|name| name.strip_prefix(STAGING))
                .and_then(|name| name.rsplit_once('.'))
            else {
                continue;
            };
            match self.lock_file(key)?.try_lock() {
                Ok(()) => remove(&entry.path()),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Where one thing is being made. There as long as anybody holds it.
#[derive(Clone, Debug)]
pub(crate) struct Staging(Arc<Scratch>);

/// Removes a staging folder when its making ended, one way or the other.
#[derive(Debug)]
struct Scratch {
    path: PathBuf,
    tasks: TaskTracker,
}

impl Staging {
    /// The folder: room for whatever the making needs besides.
    pub(crate) fn path(&self) -> &Path {
        &self.0.path
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

/// A build that was just killed may still be writing for a moment, which makes the removal fail half-way.
fn remove(path: &Path) {
    for _ in 0..10 {
        match std::fs::remove_dir_all(path) {
            Ok(()) => return,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
    tracing::warn!(path = %path.display(), "cannot remove a staging folder; the next start tries again");
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::oneshot;
    use tokio::task::JoinSet;

    use super::*;

    fn shelf(root: &Path) -> Shelf {
        Shelf::open(root.join("things"), "content", TaskTracker::new()).unwrap()
    }

    async fn make(staging: Staging) -> Result<String, LoadError> {
        tokio::fs::create_dir(staging.whole()).await.unwrap();
        tokio::fs::write(staging.whole().join("content"), "whole")
            .await
            .unwrap();
        Ok("marker".to_owned())
    }

    fn staging_folders(shelf: &Shelf) -> usize {
        let is_staging = |name: std::ffi::OsString| name.to_string_lossy().starts_with(STAGING);
        let entries = std::fs::read_dir(&*shelf.root).unwrap();
        entries
            .filter(|entry| is_staging(entry.as_ref().unwrap().file_name()))
            .count()
    }

    async fn settled(shelf: &Shelf) {
        shelf.tasks.close();
        shelf.tasks.wait().await;
    }

    #[tokio::test]
    async fn a_thing_is_made_once_and_found_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = shelf(folder.path());
        assert_eq!(shelf.find("key").await, None);
        let made = shelf.find_or_make("key", make).await.unwrap();
        assert_eq!(
            std::fs::read_to_string(made.path.join("content")).unwrap(),
            "whole"
        );
        assert_eq!(&*made.marker, "marker");
        let again = shelf
            .find_or_make("key", async |_| panic!("it is there"))
            .await
            .unwrap();
        assert_eq!(again, made);
        settled(&shelf).await;
        assert_eq!(staging_folders(&shelf), 0);
    }

    #[tokio::test]
    async fn an_abandoned_making_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = shelf(folder.path());
        let (started, has_started) = oneshot::channel();
        let mut tasks = JoinSet::new();
        let making = shelf.clone();
        tasks.spawn(async move {
            let half = async |staging: Staging| {
                tokio::fs::create_dir(staging.whole()).await.unwrap();
                started.send(()).unwrap();
                std::future::pending().await
            };
            making.find_or_make("key", half).await
        });
        has_started.await.unwrap();
        assert_eq!(staging_folders(&shelf), 1);
        tasks.shutdown().await;
        settled(&shelf).await;
        assert_eq!(staging_folders(&shelf), 0);
        assert_eq!(shelf.find("key").await, None);
        assert!(shelf.find_or_make("key", make).await.is_ok());
    }

    #[test]
    fn what_a_killed_process_left_is_swept_at_the_next_start_and_never_counts() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join("things/.staging-key.0123/whole");
        std::fs::create_dir_all(&left).unwrap();
        let shelf = shelf(folder.path());
        assert_eq!(staging_folders(&shelf), 0);
    }

    #[test]
    fn the_staging_folder_of_a_process_that_is_at_work_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let other = shelf(folder.path());
        let lock = other.lock_file("key").unwrap();
        lock.try_lock().unwrap();
        std::fs::create_dir_all(other.root.join(".staging-key.0123")).unwrap();
        assert_eq!(staging_folders(&shelf(folder.path())), 1);
        drop(lock);
        assert_eq!(staging_folders(&shelf(folder.path())), 0);
    }

    #[tokio::test]
    async fn two_processes_on_one_data_folder_make_a_thing_once() {
        let folder = tempfile::tempdir().unwrap();
        // Locks belong to open files, so two shelves exclude each other as two processes do.
        let shelves = [shelf(folder.path()), shelf(folder.path())];
        let runs = Arc::new(AtomicU32::new(0));
        let mut wishes = JoinSet::new();
        for shelf in shelves.iter().cycle().take(10) {
            let (shelf, runs) = (shelf.clone(), Arc::clone(&runs));
            wishes.spawn(async move {
                let counted = async move |staging| {
                    runs.fetch_add(1, Ordering::Relaxed);
                    make(staging).await
                };
                shelf.find_or_make("key", counted).await.unwrap()
            });
        }
        wishes.join_all().await;
        assert_eq!(runs.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_thing_that_was_broken_after_it_was_finished_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = shelf(folder.path());
        let made = shelf.find_or_make("key", make).await.unwrap();
        std::fs::remove_file(made.path.join("content")).unwrap();
        std::os::unix::fs::symlink("/nowhere/python", made.path.join("content")).unwrap();
        assert_eq!(shelf.find("key").await, None);
        let again = shelf.find_or_make("key", make).await.unwrap();
        assert_eq!(
            std::fs::read_to_string(again.path.join("content")).unwrap(),
            "whole"
        );
    }

    #[tokio::test]
    async fn a_shelf_that_was_removed_is_there_again_with_the_next_thing() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = shelf(folder.path());
        shelf.find_or_make("key", make).await.unwrap();
        settled(&shelf).await;
        std::fs::remove_dir_all(&*shelf.root).unwrap();
        assert!(shelf.find_or_make("key", make).await.is_ok());
    }

    #[tokio::test]
    async fn something_without_a_marker_does_not_count_and_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = shelf(folder.path());
        std::fs::create_dir(shelf.root.join("key")).unwrap();
        std::fs::write(shelf.root.join("key/foreign"), "").unwrap();
        let made = shelf.find_or_make("key", make).await.unwrap();
        assert!(made.path.join("content").exists());
        assert!(!made.path.join("foreign").exists());
    }

    #[tokio::test]
    async fn a_failure_is_told_to_all_who_wait_and_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = shelf(folder.path());
        let failed = shelf
            .find_or_make("key", async |_| Err(LoadError::permanent("no")))
            .await;
        assert_eq!(failed.unwrap_err(), LoadError::permanent("no"));
        assert!(shelf.find_or_make("key", make).await.is_ok());
    }
}
