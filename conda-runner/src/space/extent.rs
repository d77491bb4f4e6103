//! What a folder takes of the disk, and what it shares with others through hard links.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Tells a file from others that have the same content: all its names have the same.
pub(super) type Inode = (u64, u64);

/// What a folder takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// Bytes of the files that have no name outside of it.
    pub(super) own: u64,
    /// The files that have one.
    pub(super) linked: Vec<Linked>,
}

/// A file with names inside and outside of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Linked {
    /// Which one.
    pub(super) inode: Inode,
    /// Its bytes.
    pub(super) bytes: u64,
    /// Its names, wherever they are.
    pub(super) links: u64,
    /// Its names in the folder.
    pub(super) here: u64,
}

impl Extent {
    /// Of everything below `folder`. What vanishes or cannot be read meanwhile does not count. Blocks on the disk.
    pub(super) fn of(folder: &Path) -> Self {
        let mut extent = Self::default();
        let mut seen: HashMap<Inode, Linked> = HashMap::new();
        // The walk fails only by itself: no visit does.
        let _ = walk(folder, &mut |_, metadata| {
            if metadata.nlink() < 2 {
                extent.own += metadata.len();
                return Ok(());
            }
            let inode = (metadata.dev(), metadata.ino());
            let linked = seen.entry(inode).or_insert(Linked {
                inode,
                bytes: metadata.len(),
                links: metadata.nlink(),
                here: 0,
            });
            linked.here += 1;
            Ok(())
        });
        for linked in seen.into_values() {
            if linked.links > linked.here {
                extent.linked.push(linked);
            } else {
                extent.own += linked.bytes;
            }
        }
        extent
    }

    /// Bytes of all files, each counted once.
    pub(super) fn size(&self) -> u64 {
        self.own + self.shared()
    }

    /// Bytes among them that are not free when the folder is gone.
    pub(super) fn shared(&self) -> u64 {
        self.linked.iter().map(|linked| linked.bytes).sum()
    }
}

/// Visits every regular file below `folder`, following no link. Folders that vanish are passed over.
pub(super) fn walk(
    folder: &Path,
    visit: &mut dyn FnMut(PathBuf, &std::fs::Metadata) -> io::Result<()>,
) -> io::Result<()> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            if metadata.is_dir() {
                folders.push(entry.path());
            } else if metadata.is_file() {
                visit(entry.path(), &metadata)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shared_where_a_file_has_a_name_outside() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        std::fs::create_dir_all(at("a/deep")).unwrap();
        std::fs::create_dir(at("b")).unwrap();
        std::fs::write(at("a/own"), [0; 10]).unwrap();
        std::fs::write(at("a/shared"), [0; 100]).unwrap();
        std::fs::hard_link(at("a/shared"), at("b/shared")).unwrap();
        // Two names, both inside: it goes with the folder.
        std::fs::write(at("a/twice"), [0; 1000]).unwrap();
        std::fs::hard_link(at("a/twice"), at("a/deep/again")).unwrap();
        std::os::unix::fs::symlink(at("b"), at("a/link")).unwrap();
        let extent = Extent::of(&at("a"));
        assert_eq!((extent.size(), extent.shared()), (1110, 100));
        assert_eq!(Extent::of(&at("nowhere")), Extent::default());
    }
}
