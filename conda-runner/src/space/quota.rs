//! Keeps the quotas: what nobody uses goes, least recently used first, once it is too much.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::ledger::Ledger;
use super::stock::{Cleared, Enough, Item, Stock};
use super::{logs, prune};
use crate::bytes::human;
use crate::data_folder::DataFolder;
use crate::shelf::{Removal, Shelf};

/// How long a look is believed when nothing seems to have changed: environments grow while they are compiled.
const BELIEVED: Duration = Duration::from_secs(3600);

/// What is remembered between two passes.
#[derive(Debug, Default)]
pub(super) struct Quotas {
    environments: Watched,
    models: Watched,
    logs: Complaint,
}

/// One shelf under a quota: measured only if there is a reason to, since there may be a million files.
#[derive(Debug, Default)]
struct Watched {
    seen: Option<(Sight, Instant)>,
    complaint: Complaint,
}

/// What decides whether something could be removed now.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sight {
    things: Vec<(String, bool)>,
    cache: Option<SystemTime>,
}

/// Said once, until the quota was met again.
#[derive(Debug, Default)]
struct Complaint {
    is_made: bool,
}

impl Quotas {
    /// Environments have grown, though nothing seems to have changed: they are measured with the next pass.
    pub(super) fn look_again(&mut self) {
        self.environments.seen = None;
    }

    /// One pass over everything; returns whether an environment or a package went. Blocks on the disk.
    pub(super) fn keep(&mut self, folder: &DataFolder) -> bool {
        let mut has_removed = false;
        let environments = self.environments(folder);
        let environments = environments.map(|removed| has_removed = removed);
        for (what, kept) in [
            ("environments", environments),
            ("models", self.models(folder)),
            ("logs", self.logs(folder)),
        ] {
            if let Err(error) = kept {
                tracing::warn!(what, %error, "cannot keep the quota");
            }
        }
        has_removed
    }

    /// Whether anything went.
    fn environments(&mut self, folder: &DataFolder) -> io::Result<bool> {
        let Some(limit) = folder.quotas.environments else {
            return Ok(false);
        };
        let cache = folder.packages();
        if self
            .environments
            .is_known(&Sight::of(&folder.shelf, &cache)?)
        {
            return Ok(false);
        }
        let mut stock = Stock::of_environments(&folder.shelf, &cache)?;
        if folder.is_offline {
            stock.downloads.clear();
        }
        let mut act = |item: &Item| prune::remove(folder, item);
        let is_enough = |ledger: &Ledger| ledger.total() <= limit;
        let cleared = stock.clear(&|_| true, &Enough::When(&is_enough), &mut act)?;
        tell("environments and packages", &cleared);
        self.environments.remember(&stock, &cleared, &cache);
        let complaint = &mut self.environments.complaint;
        complaint.about("environments and packages", stock.ledger.total(), limit);
        Ok(!cleared.keys.is_empty() || cleared.packages > 0)
    }

    fn models(&mut self, folder: &DataFolder) -> io::Result<()> {
        let Some(limit) = folder.quotas.models else {
            return Ok(());
        };
        let no_cache = Path::new("");
        if self.models.is_known(&Sight::of(&folder.models, no_cache)?) {
            return Ok(());
        }
        let mut stock = Stock::of_models(&folder.models)?;
        let mut act = |item: &Item| match item {
            Item::Thing(key) => folder.models.remove(key, || true),
            Item::Package(_) | Item::Download(_) => Ok(Removal::Absent),
        };
        let is_enough = |ledger: &Ledger| ledger.total() <= limit;
        let cleared = stock.clear(&|_| true, &Enough::When(&is_enough), &mut act)?;
        tell("model folders", &cleared);
        self.models.remember(&stock, &cleared, no_cache);
        let complaint = &mut self.models.complaint;
        complaint.about("model folders", stock.ledger.total(), limit);
        Ok(())
    }

    fn logs(&mut self, folder: &DataFolder) -> io::Result<()> {
        let Some(limit) = folder.quotas.logs else {
            return Ok(());
        };
        let cleared = logs::clear(folder.files.root(), limit, &folder.models)?;
        if cleared.files > 0 {
            let freed = human(cleared.freed);
            tracing::info!(files = cleared.files, freed, "removed old logs");
        }
        self.logs.about("logs", cleared.total, limit);
        Ok(())
    }
}

impl Watched {
    fn is_known(&self, sight: &Sight) -> bool {
        let seen = self.seen.as_ref();
        seen.is_some_and(|(seen, at)| seen == sight && at.elapsed() < BELIEVED)
    }

    /// What a pass has left, as it was found then: what was in use only at that moment is looked at again.
    fn remember(&mut self, stock: &Stock, cleared: &Cleared, cache: &Path) {
        let things = stock.things.iter();
        let mut things: Vec<_> = things
            .map(|thing| (thing.key.clone(), thing.in_use))
            .collect();
        things.sort();
        let sight = Sight {
            things,
            cache: modified(cache),
        };
        // A lock on the cache cannot be seen later: it is to be tried again.
        self.seen = (cleared.refused == 0).then(|| (sight, Instant::now()));
    }
}

impl Sight {
    fn of(shelf: &Shelf, cache: &Path) -> io::Result<Self> {
        let held = |key: String| {
            let is_held = shelf.is_held(&key);
            (key, is_held)
        };
        let keys = shelf.entries()?.into_iter().map(|entry| entry.key);
        Ok(Self {
            things: keys.map(held).collect(),
            cache: modified(cache),
        })
    }
}

fn modified(folder: &Path) -> Option<SystemTime> {
    std::fs::metadata(folder).ok()?.modified().ok()
}

impl Complaint {
    /// That it still takes `total` bytes, if that is more than `limit`.
    fn about(&mut self, what: &str, total: u64, limit: u64) {
        let is_due = total > limit && !self.is_made;
        self.is_made = total > limit;
        if is_due {
            tracing::warn!(
                "{what} take {}, more than their quota of {}: what is left is in use. Raise the quota, or serve less",
                human(total),
                human(limit)
            );
        }
    }
}

fn tell(what: &str, cleared: &Cleared) {
    if !cleared.keys.is_empty() || cleared.packages > 0 {
        tracing::info!(
            removed = ?cleared.keys,
            packages = cleared.packages,
            freed = human(cleared.freed),
            "{what} took more than their quota: removed what nobody uses"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::config::{RunnerConfig, SpaceConfig};

    #[tokio::test]
    async fn what_could_not_go_at_one_moment_goes_at_the_next_look() {
        let root = tempfile::tempdir().unwrap();
        let config = RunnerConfig {
            space: SpaceConfig {
                environments: Some(1),
                ..SpaceConfig::default()
            },
            ..RunnerConfig::new(root.path())
        };
        let folder = DataFolder::open(&config).unwrap();
        let package = folder.packages().join("pkgs/tool-1.0-0");
        std::fs::create_dir_all(package.join("info")).unwrap();
        std::fs::write(package.join("info/index.json"), "{}").unwrap();
        let lock = File::create(folder.packages().join("pkgs/.cache.lock")).unwrap();
        // Somebody installs.
        lock.lock().unwrap();
        let mut quotas = Quotas::default();
        quotas.keep(&folder);
        assert!(package.exists());
        drop(lock);
        quotas.keep(&folder);
        assert!(!package.exists());
    }

    #[tokio::test]
    async fn old_logs_go_where_there_is_a_quota_for_them_and_stay_where_there_is_none() {
        let root = tempfile::tempdir().unwrap();
        for (name, quota, stays) in [
            ("without", None, true),
            ("met", Some(100), true),
            ("passed", Some(99), false),
        ] {
            let config = RunnerConfig {
                space: SpaceConfig {
                    logs: quota,
                    ..SpaceConfig::default()
                },
                ..RunnerConfig::new(root.path().join(name))
            };
            let folder = DataFolder::open(&config).unwrap();
            let log = folder.files.root().join("environments/key/build.log");
            std::fs::create_dir_all(log.parent().unwrap()).unwrap();
            std::fs::write(&log, [0; 100]).unwrap();
            let file = File::options().write(true).open(&log).unwrap();
            file.set_modified(SystemTime::now() - 2 * BELIEVED).unwrap();
            // Logs are neither environments nor packages.
            assert!(!Quotas::default().keep(&folder));
            assert_eq!(log.exists(), stays, "{name}");
        }
    }

    fn with_wheel(root: &Path, is_offline: bool) -> (DataFolder, std::path::PathBuf) {
        let config = RunnerConfig {
            space: SpaceConfig {
                environments: Some(1),
                ..SpaceConfig::default()
            },
            offline: is_offline,
            ..RunnerConfig::new(root)
        };
        let folder = DataFolder::open(&config).unwrap();
        let wheel = folder.packages().join("uv/archive-v0/one");
        std::fs::create_dir_all(&wheel).unwrap();
        std::fs::write(wheel.join("tool.py"), [0; 100]).unwrap();
        (folder, wheel)
    }

    #[tokio::test]
    async fn what_uv_has_fetched_goes_unless_it_could_not_be_fetched_again() {
        let root = tempfile::tempdir().unwrap();
        let (offline, wheel) = with_wheel(&root.path().join("offline"), true);
        assert!(!Quotas::default().keep(&offline));
        assert!(wheel.exists());
        let all = prune::PruneWish::default();
        assert_eq!(prune::prune(&offline, &all).unwrap().freed, 0);
        assert!(wheel.exists());

        let (online, wheel) = with_wheel(&root.path().join("quota"), false);
        assert!(Quotas::default().keep(&online));
        assert!(!wheel.exists());
        let (online, wheel) = with_wheel(&root.path().join("prune"), false);
        assert_eq!(prune::prune(&online, &all).unwrap().freed, 100);
        assert!(!wheel.exists());
    }

    #[tokio::test]
    async fn what_a_build_may_need_stays_while_it_goes_on_and_is_looked_at_again() {
        let root = tempfile::tempdir().unwrap();
        let (folder, wheel) = with_wheel(root.path(), false);
        let (started, has_started) = tokio::sync::oneshot::channel();
        let mut making = tokio::task::JoinSet::new();
        let shelf = folder.shelf.clone();
        making.spawn(async move {
            let make = async |_| {
                started.send(()).unwrap();
                std::future::pending().await
            };
            shelf.find_or_make("key", make).await
        });
        has_started.await.unwrap();
        let mut quotas = Quotas::default();
        quotas.keep(&folder);
        assert!(wheel.exists());
        making.shutdown().await;
        folder.tasks.close();
        folder.tasks.wait().await;
        quotas.keep(&folder);
        assert!(!wheel.exists());
    }

    #[tokio::test]
    async fn an_environment_that_has_grown_is_measured_again() {
        let root = tempfile::tempdir().unwrap();
        let (folder, wheel) = with_wheel(root.path(), false);
        let mut quotas = Quotas::default();
        assert!(quotas.keep(&folder));
        // Nothing that a pass looks at first has changed.
        std::fs::create_dir_all(&wheel).unwrap();
        std::fs::write(wheel.join("tool.py"), [0; 100]).unwrap();
        let sight = Sight::of(&folder.shelf, &folder.packages()).unwrap();
        quotas.environments.seen = Some((sight, Instant::now()));
        quotas.keep(&folder);
        assert!(wheel.exists());
        quotas.look_again();
        quotas.keep(&folder);
        assert!(!wheel.exists());
    }
}
