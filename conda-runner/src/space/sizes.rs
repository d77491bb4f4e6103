//! Sizes of environments, measured once while nothing changes: each has tens of thousands of files.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::extent::Extent;
use crate::shelf::Entry;

/// How long an environment grows after it was finished: its files are compiled in the background.
const GROWTH: Duration = Duration::from_secs(3600);

/// What was measured, by key.
#[derive(Debug, Default)]
pub(super) struct Sizes(Mutex<HashMap<String, Measured>>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Measured {
    stamp: Stamp,
    size: u64,
    shared: u64,
}

/// Changes with everything that changes a size: another build, or a shelf or cache with which files are shared.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    finished: SystemTime,
    shelf: Option<SystemTime>,
    cache: Option<SystemTime>,
}

impl Sizes {
    /// Bytes of all files of `entry`, and bytes among them of files that others hold as well. `cache` is the package
    /// cache. Blocks on the disk.
    pub(super) fn of(&self, entry: &Entry, cache: &Path) -> (u64, u64) {
        let stamp = Stamp {
            finished: entry.finished,
            shelf: entry.path.parent().and_then(modified),
            cache: modified(cache),
        };
        let known = self.lock().get(&entry.key).cloned();
        if let Some(known) = known.filter(|known| known.stamp == stamp) {
            return (known.size, known.shared);
        }
        let extent = Extent::of(&entry.path);
        let (size, shared) = (extent.size(), extent.shared());
        let is_grown = entry.finished.elapsed().is_ok_and(|age| age > GROWTH);
        if is_grown {
            let measured = Measured {
                stamp,
                size,
                shared,
            };
            self.lock().insert(entry.key.clone(), measured);
        }
        (size, shared)
    }

    /// Forgets all but these.
    pub(super) fn keep(&self, entries: &[Entry]) {
        let is_there = |key: &str| entries.iter().any(|entry| entry.key == key);
        self.lock().retain(|key, _| is_there(key));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Measured>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn modified(folder: &Path) -> Option<SystemTime> {
    std::fs::metadata(folder).ok()?.modified().ok()
}
