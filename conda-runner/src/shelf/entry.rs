//! What is on a shelf.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serving_core::ServableId;

use super::{MARKER, Shelf, uses};

/// A finished thing as it is found on the disk, held by nobody who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its key.
    pub(crate) key: String,
    /// Its folder.
    pub(crate) path: PathBuf,
    /// What its maker wrote down about it; `None` if that cannot be read any more.
    pub(crate) marker: Option<String>,
    /// Whether it still has what it is good for nothing without.
    pub(crate) is_whole: bool,
    /// When it was put here.
    pub(crate) finished: SystemTime,
    /// When it was last used, or put here.
    pub(crate) last_used: SystemTime,
}

impl Shelf {
    /// All finished things, in the order of their keys. Blocks on the disk.
    pub(crate) fn entries(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(&self.root)? {
            let name = entry?.file_name();
            // What has another name than a key is none of ours.
            let Some(key) = name.to_str().filter(|name| !name.starts_with('.')) else {
                continue;
            };
            entries.extend(self.entry(key));
        }
        entries.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(entries)
    }

    /// The finished thing of this key, whole or broken; `None` if there is none. Blocks on the disk.
    pub(crate) fn entry(&self, key: &str) -> Option<Entry> {
        let path = self.place(key);
        let marker = path.join(MARKER);
        let finished = std::fs::symlink_metadata(&marker).ok()?.modified().ok()?;
        let last_use = uses::last_use(&self.root, key);
        Some(Entry {
            key: key.to_owned(),
            marker: std::fs::read_to_string(&marker).ok(),
            is_whole: is_file(&path.join(self.vital)),
            path,
            finished,
            last_used: last_use.map_or(finished, |last_use| last_use.max(finished)),
        })
    }

    /// The versions that have it in use, in whichever process. Blocks on the disk.
    pub(crate) fn users(&self, key: &str) -> Vec<ServableId> {
        uses::users(&self.root, key)
    }

    /// Whether it is in use, in whichever process: by a version, or because something is being done with it. Blocks on
    /// the disk.
    pub(crate) fn is_held(&self, key: &str) -> bool {
        self.holds.is_held(key)
    }

    /// Notes that what this process uses is used now, so that it is known after a sudden end as well. Blocks on the
    /// disk.
    pub(crate) fn touch_used(&self) {
        self.holds.held_here().touch();
    }
}

fn is_file(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file())
}
