//! Sizes of environments, measured now and then: each has tens of thousands of files.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::extent::Extent;
use crate::shelf::Entry;

/// How long an environment grows after it was finished: its files are compiled in the background.
const GROWTH: Duration = Duration::from_secs(3600);
/// How long a size is believed meanwhile.
const BELIEVED_GROWING: Duration = Duration::from_secs(60);
/// How long it is afterwards: what others share with it still changes with them.
const BELIEVED: Duration = Duration::from_secs(3600);

/// What was measured, by key.
#[derive(Debug, Default)]
pub(super) struct Sizes(Mutex<HashMap<String, Measured>>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Measured {
    /// Of which build it is.
    finished: SystemTime,
    until: Instant,
    size: u64,
    shared: u64,
}

impl Sizes {
    /// Bytes of all files of `entry`, and bytes among them of files that others hold as well: as they were an hour ago
    /// at most. Blocks on the disk.
    pub(super) fn of(&self, entry: &Entry) -> (u64, u64) {
        let known = self.lock().get(&entry.key).cloned();
        let is_right =
            |known: &Measured| known.finished == entry.finished && Instant::now() < known.until;
        if let Some(known) = known.filter(is_right) {
            return (known.size, known.shared);
        }
        let extent = Extent::of(&entry.path);
        let (size, shared) = (extent.size(), extent.shared());
        let is_grown = entry.finished.elapsed().is_ok_and(|age| age > GROWTH);
        let measured = Measured {
            finished: entry.finished,
            until: Instant::now() + if is_grown { BELIEVED } else { BELIEVED_GROWING },
            size,
            shared,
        };
        self.lock().insert(entry.key.clone(), measured);
        (size, shared)
    }

    /// Forgets all: something has gone with which they may have shared files, or they have grown.
    pub(super) fn forget(&self) {
        self.lock().clear();
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn entry(folder: &Path, finished: SystemTime) -> Entry {
        Entry {
            key: "key".to_owned(),
            path: folder.to_owned(),
            marker: None,
            is_whole: true,
            finished,
            last_used: finished,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_size_is_measured_again_after_another_build_or_a_while_and_not_because_others_are_built()
     {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("environments/key");
        std::fs::create_dir_all(&folder).unwrap();
        let sizes = Sizes::default();
        let long_ago = SystemTime::now() - GROWTH * 2;
        let write = |bytes: usize| std::fs::write(folder.join("file"), vec![0; bytes]).unwrap();
        write(1);
        assert_eq!(sizes.of(&entry(&folder, long_ago)), (1, 0));
        write(2);
        // Something else appears on the shelf.
        std::fs::create_dir(root.path().join("environments/other")).unwrap();
        assert_eq!(sizes.of(&entry(&folder, long_ago)), (1, 0));
        tokio::time::advance(BELIEVED).await;
        assert_eq!(sizes.of(&entry(&folder, long_ago)), (2, 0));
        write(3);
        let now = SystemTime::now();
        assert_eq!(sizes.of(&entry(&folder, now)), (3, 0));
        write(4);
        assert_eq!(sizes.of(&entry(&folder, now)), (3, 0));
        tokio::time::advance(BELIEVED_GROWING).await;
        assert_eq!(sizes.of(&entry(&folder, now)), (4, 0));
        write(5);
        sizes.forget();
        assert_eq!(sizes.of(&entry(&folder, now)), (5, 0));
    }
}
