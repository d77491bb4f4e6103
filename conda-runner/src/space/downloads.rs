//! The caches of uv and pip: what is in them, and what of it may go.
//!
//! uv unpacks each wheel into a folder of its own below `archive-v0`, and links the files of environments to it; what it
//! knows about wheels may name one that is gone: it is fetched again. pip copies, and its cache is one piece.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::extent::Extent;
use super::packages::{self, CachedPackage};
use crate::shelf::Removal;

/// The folders of both below the folder of all packages.
pub(super) const FOLDERS: [&str; 2] = [UV, PIP];
const UV: &str = "uv";
const PIP: &str = "pip";
/// The unpacked wheels of uv.
const ARCHIVES: &str = "archive-v0";
/// Whoever runs uv has it shared, from its first look at the cache to its end.
const LOCK: &str = ".lock";

/// What both have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Downloads {
    /// What can go by itself, in no order.
    pub(super) pieces: Vec<(CachedPackage, Extent)>,
    /// Bytes of everything else.
    pub(super) rest: u64,
}

/// What is below the folder `root` of all packages. Blocks on the disk.
pub(super) fn look(root: &Path) -> Downloads {
    let mut downloads = Downloads::default();
    let uv = root.join(UV);
    for path in children(&uv) {
        if path.file_name().is_some_and(|name| name == ARCHIVES) {
            let archives = children(&path);
            downloads.pieces.extend(archives.filter_map(piece));
        } else {
            let metadata = std::fs::symlink_metadata(&path);
            downloads.rest += match metadata {
                Ok(metadata) if metadata.is_dir() => Extent::of(&path).own,
                Ok(metadata) => metadata.len(),
                Err(_) => 0,
            };
        }
    }
    downloads.pieces.extend(piece(root.join(PIP)));
    downloads
}

/// Removes the piece at `path`, unless uv is at work. Blocks on the disk.
pub(super) fn remove(root: &Path, path: &Path) -> io::Result<Removal> {
    let uv = root.join(UV);
    let lock = if path.starts_with(&uv) {
        let mut options = File::options();
        options.create(true).truncate(false).write(true);
        let file = options.open(uv.join(LOCK))?;
        match file.try_lock() {
            Ok(()) => Some(file),
            Err(TryLockError::WouldBlock) => return Ok(Removal::InUse),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    } else {
        None
    };
    // Half of a wheel never has its name.
    let aside = packages::aside(root);
    match std::fs::rename(path, &aside) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Removal::Absent),
        Err(error) => return Err(error),
    }
    drop(lock);
    std::fs::remove_dir_all(&aside)?;
    Ok(Removal::Removed)
}

fn piece(path: PathBuf) -> Option<(CachedPackage, Extent)> {
    let metadata = std::fs::symlink_metadata(&path).ok()?;
    if !metadata.is_dir() {
        return None;
    }
    let extent = Extent::of(&path);
    let unpacked = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    Some((CachedPackage { path, unpacked }, extent))
}

fn children(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: PathBuf, bytes: usize) -> PathBuf {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, vec![0; bytes]).unwrap();
        path
    }

    #[test]
    fn each_wheel_of_uv_is_a_piece_and_the_whole_of_pip_another() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        assert_eq!(look(root), Downloads::default());
        let wheel = write(root.join("uv/archive-v0/one/tool.py"), 100);
        write(root.join("uv/archive-v0/two/other.py"), 10);
        write(root.join("uv/wheels-v8/pypi/one.msgpack"), 3);
        write(root.join("uv/CACHEDIR.TAG"), 4);
        write(root.join("pip/http-v2/a/b/body"), 1000);
        std::fs::hard_link(&wheel, root.join("linked")).unwrap();
        let downloads = look(root);
        let mut pieces = downloads.pieces;
        pieces.sort_by_key(|(_, extent)| extent.size());
        let seen: Vec<_> = pieces
            .iter()
            .map(|(piece, extent)| {
                let name = piece.path.strip_prefix(root).unwrap();
                (name.to_str().unwrap(), extent.size(), extent.shared())
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("uv/archive-v0/two", 10, 0),
                ("uv/archive-v0/one", 100, 100),
                ("pip", 1000, 0)
            ]
        );
        assert_eq!(downloads.rest, 7);
    }

    #[test]
    fn a_wheel_stays_while_uv_is_at_work() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        write(root.join("uv/archive-v0/one/tool.py"), 100);
        let piece = root.join("uv/archive-v0/one");
        let lock = File::create(root.join("uv/.lock")).unwrap();
        lock.lock_shared().unwrap();
        assert_eq!(remove(root, &piece).unwrap(), Removal::InUse);
        assert!(piece.join("tool.py").exists());
        drop(lock);
        assert_eq!(remove(root, &piece).unwrap(), Removal::Removed);
        assert_eq!(remove(root, &piece).unwrap(), Removal::Absent);
        assert_eq!(look(root).pieces, []);
    }
}
