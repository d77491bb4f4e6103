//! The environments, models and logs on the disk: what there is, who uses it, and what may go.

mod downloads;
mod error;
mod extent;
mod held;
mod info;
mod keeper;
mod kept;
mod ledger;
mod logs;
mod pack;
mod packages;
mod prune;
mod quota;
mod room;
mod sizes;
mod stock;

use std::cmp::Reverse;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Weak};

use serving_core::{LoadError, Progress};
use tokio::sync::Mutex;

pub use self::error::SpaceError;
pub use self::held::HeldEnvironment;
pub use self::info::EnvironmentInfo;
pub use self::kept::{Kept, KeptBecause};
pub use self::prune::{PruneWish, Pruned};

pub(crate) use self::keeper::Keeper;
pub(crate) use self::room::room;

use self::info::Derived;
use self::prune::one_of;
use self::quota::Quotas;
use self::sizes::Sizes;
use crate::config::{EnvManager, RunnerConfig};
use crate::data_folder::{DataFolder, absolute};
use crate::error::RunnerError;
use crate::shelf::{Entry, Hold};

/// The environments of one data folder. Cheap to clone. Several processes may have one on the same folder.
#[derive(Clone)]
pub struct RunnerEnvironments(Arc<Inner>);

struct Inner {
    folder: Arc<DataFolder>,
    sizes: Sizes,
    /// Removing takes turns: two at once would each count on what the other one removes.
    removing: Arc<Mutex<()>>,
}

impl RunnerEnvironments {
    /// The environments below `config.data_dir`, without a runner: for the command line and for images. Blocks on the
    /// disk.
    pub fn open(config: RunnerConfig) -> Result<Self, RunnerError> {
        let folder = DataFolder::open(&absolute(config)?)?;
        Ok(Self::of(Arc::new(folder)))
    }

    /// The same for those who only look, or remove: refuses to make a data folder where there is none. Blocks on the
    /// disk.
    pub fn open_existing(config: RunnerConfig) -> Result<Self, RunnerError> {
        let config = absolute(config)?;
        DataFolder::exists(&config)?;
        Ok(Self::of(Arc::new(DataFolder::open(&config)?)))
    }

    /// Those of a data folder that is open already.
    pub(crate) fn of(folder: Arc<DataFolder>) -> Self {
        Self(Arc::new(Inner {
            folder,
            sizes: Sizes::default(),
            removing: Arc::default(),
        }))
    }

    /// All of them, most recently used first.
    pub async fn list(&self) -> Result<Vec<EnvironmentInfo>, SpaceError> {
        let list = |inner: &Inner| {
            let mut entries = inner.entries()?;
            inner.sizes.keep(&entries);
            entries.sort_by_key(|entry| Reverse(entry.last_used));
            let derived = Derived::among(&entries);
            let infos = entries.into_iter().map(|entry| EnvironmentInfo {
                packages: Vec::new(),
                ..inner.info(entry, &derived)
            });
            Ok(infos.collect())
        };
        self.blocking(list).await
    }

    /// The one whose key is, or begins with, `key`.
    pub async fn find(&self, key: &str) -> Result<EnvironmentInfo, SpaceError> {
        let key = key.to_owned();
        self.blocking(move |inner| inner.find(&key)).await
    }

    /// Keeps the environment of this whole key in its place for as long as the result lives; `None` if there is no whole
    /// one.
    pub async fn hold(&self, key: &str) -> Option<HeldEnvironment> {
        let found = self.0.folder.shelf.find(key).await?;
        Some(HeldEnvironment(found.hold))
    }

    /// The log of its build, oldest lines first; empty if there is none any more. A key of which there is no
    /// environment, since its build failed, has to be given as a whole.
    pub async fn build_log(&self, key: &str) -> Result<String, SpaceError> {
        let key = key.to_owned();
        let read = move |inner: &Inner| {
            let key = match inner.find_entry(&key) {
                Ok(entry) => entry.key,
                Err(SpaceError::Unknown(_)) if is_key(&key) => key,
                Err(error) => return Err(error),
            };
            let files = inner.folder.environments.build_log(&key);
            let texts: Vec<Vec<u8>> = files
                .iter()
                .filter_map(|file| std::fs::read(file).ok())
                .collect();
            Ok(String::from_utf8_lossy(&texts.concat()).into_owned())
        };
        self.blocking(read).await
    }

    /// Builds what the model in `folder` declares, or finds it built. `fresh` forgets what was chosen before and
    /// solves anew.
    pub async fn build(
        &self,
        folder: &Path,
        manager: EnvManager,
        fresh: bool,
        progress: &Progress,
    ) -> Result<EnvironmentInfo, SpaceError> {
        let environments = &self.0.folder.environments;
        let built = environments
            .build_folder(folder, manager, fresh, progress)
            .await?;
        let (key, holds) = (built.key.clone(), built.hold.clone());
        let info = self.blocking(move |inner| {
            // Somebody wants it, so it is not the first to go.
            holds.iter().for_each(Hold::touch);
            inner.find(&key)
        });
        let info = info.await?;
        if self.0.folder.quotas.environments.is_some() {
            self.pass(Quotas::default()).await;
        }
        // Not before: nobody else may be using it yet.
        drop(built);
        Ok(info)
    }

    /// Removes environments that nobody uses, and whatever else only they needed.
    pub async fn prune(&self, wish: &PruneWish) -> Result<Pruned, SpaceError> {
        let turn = Arc::clone(&self.0.removing).lock_owned().await;
        let wish = wish.clone();
        let prune = move |inner: &Inner| {
            // It ends with the work, which goes on if whoever asked for it has gone.
            let _turn = turn;
            let pruned = prune::prune(&inner.folder, &wish);
            inner.sizes.forget();
            pruned
        };
        self.blocking(prune).await
    }

    /// Packs an environment into one new file: a tar archive, compressed with zstd. An environment that uses the
    /// Python of another one is packed with that one.
    pub async fn export(&self, key: &str, into: &Path) -> Result<(), SpaceError> {
        let key = self.find(key).await?.key;
        pack::export(&self.0.folder, &key, into).await
    }

    /// Takes in what [`RunnerEnvironments::export`] wrote, on this machine or another of the same platform. It is not
    /// asked who packed it: import only what you would run.
    pub async fn import(&self, from: &Path) -> Result<EnvironmentInfo, SpaceError> {
        let key = pack::import(&self.0.folder, from).await?;
        self.find(&key).await
    }

    /// Resolves when nothing is done in the background any more: what was built has been compiled. For the end of a
    /// program that builds.
    pub async fn idle(&self) {
        let folder = &self.0.folder;
        folder.environments.compiled().await;
        folder.tasks.close();
        folder.tasks.wait().await;
        folder.tasks.reopen();
    }

    /// Keeps the quotas once, and does what else is to be done now and then.
    async fn pass(&self, mut quotas: Quotas) -> Quotas {
        let turn = Arc::clone(&self.0.removing).lock_owned().await;
        let inner = Arc::clone(&self.0);
        let pass = move || {
            let _turn = turn;
            inner.tidy();
            if quotas.keep(&inner.folder) {
                inner.sizes.forget();
            }
            quotas
        };
        // A panic was told by the runtime; the next pass begins without memory.
        let done = self.0.folder.tasks.spawn_blocking(pass).await;
        done.unwrap_or_default()
    }

    async fn blocking<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<R, SpaceError> + Send + 'static,
    ) -> Result<R, SpaceError> {
        let inner = Arc::clone(&self.0);
        let tasks = &self.0.folder.tasks;
        let done = tasks.spawn_blocking(move || work(&inner)).await;
        done.unwrap_or_else(|error| Err(LoadError::transient(error.to_string()).into()))
    }

    fn downgrade(&self) -> WeakEnvironments {
        WeakEnvironments(Arc::downgrade(&self.0))
    }
}

impl fmt::Debug for RunnerEnvironments {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shelf = self.0.folder.shelf.root();
        formatter
            .debug_tuple("RunnerEnvironments")
            .field(&shelf)
            .finish()
    }
}

/// Does not keep the data folder open.
struct WeakEnvironments(Weak<Inner>);

impl WeakEnvironments {
    fn upgrade(&self) -> Option<RunnerEnvironments> {
        self.0.upgrade().map(RunnerEnvironments)
    }
}

impl Inner {
    fn find(&self, key: &str) -> Result<EnvironmentInfo, SpaceError> {
        let entries = self.entries()?;
        let entry = one_of(&entries, key)?.clone();
        Ok(self.info(entry, &Derived::among(&entries)))
    }

    fn find_entry(&self, key: &str) -> Result<Entry, SpaceError> {
        one_of(&self.entries()?, key).cloned()
    }

    fn entries(&self) -> Result<Vec<Entry>, SpaceError> {
        let shelf = &self.folder.shelf;
        Ok(shelf.entries().map_err(RunnerError::folder(shelf.root()))?)
    }

    fn info(&self, entry: Entry, derived: &Derived) -> EnvironmentInfo {
        let shelf = &self.folder.shelf;
        let (size, shared) = self.sizes.of(&entry);
        EnvironmentInfo {
            size,
            shared,
            base_of: derived.from(&entry.key),
            ..EnvironmentInfo::of(shelf, entry)
        }
    }

    /// Notes what is in use, and removes what killed processes left.
    fn tidy(&self) {
        for shelf in [&self.folder.shelf, &self.folder.models] {
            shelf.touch_used();
            if let Err(error) = shelf.sweep() {
                tracing::warn!(folder = %shelf.root().display(), %error, "cannot sweep");
            }
        }
        packages::sweep(&self.folder.packages());
    }
}

/// Whether it is a whole key, and so the name of a folder.
fn is_key(key: &str) -> bool {
    key.len() == 32 && key.bytes().all(|byte| byte.is_ascii_hexdigit())
}

// Other systems have no call for a pipe with a name that rustix knows.
#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs::File;

    use rustix::fs::{CWD, FileType, Mode, mknodat};
    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test]
    async fn a_removal_keeps_its_turn_when_whoever_asked_for_it_has_gone() {
        let root = tempfile::tempdir().unwrap();
        let space = RunnerEnvironments::open(RunnerConfig::new(root.path())).unwrap();
        // Whoever reads this marker waits until somebody has written it.
        let marker = root.path().join("environments/key/.sluicegate.json");
        std::fs::create_dir(marker.parent().unwrap()).unwrap();
        mknodat(CWD, &marker, FileType::Fifo, Mode::RWXU, 0).unwrap();
        let mut asking = JoinSet::new();
        let asked = space.clone();
        asking.spawn(async move { asked.prune(&PruneWish::default()).await });
        let writing = marker.clone();
        let writer = tokio::task::spawn_blocking(move || File::options().write(true).open(writing));
        let writer = writer.await.unwrap().unwrap();
        asking.shutdown().await;
        assert!(
            space.0.removing.try_lock().is_err(),
            "another one could begin"
        );
        std::fs::write(root.path().join("written"), "{}").unwrap();
        std::fs::rename(root.path().join("written"), &marker).unwrap();
        drop(writer);
        let _next = space.0.removing.lock().await;
        assert!(!marker.exists());
    }
}
