//! The cache of conda packages: what is unpacked in it, and what of it may go.

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::downloads;
use super::extent::Extent;
use crate::names;
use crate::shelf::Removal;

/// What makes a folder an unpacked package: every conda package has it.
const INDEX: &str = "info/index.json";
/// How deep packages lie below the cache at most.
const DEPTH: u32 = 3;
/// The lock of rattler's cache: whoever installs has it from the first download to the last link.
const LOCK: &str = ".cache.lock";
/// Starts the names of packages that are being removed.
const REMOVED: &str = ".removed-";

/// One unpacked package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CachedPackage {
    /// Its folder.
    pub(super) path: PathBuf,
    /// When it was unpacked.
    pub(super) unpacked: SystemTime,
}

/// What is in a package cache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cache {
    /// The packages, in no order.
    pub(super) packages: Vec<CachedPackage>,
    /// Bytes of everything else: lists of packages, for example.
    pub(super) rest: u64,
}

/// What is in the cache at `root`. Blocks on the disk.
pub(super) fn look(root: &Path) -> Cache {
    let mut cache = Cache::default();
    let mut folders = vec![(root.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let (path, Ok(metadata)) = (entry.path(), entry.metadata()) else {
                continue;
            };
            if depth == 0 && is_download(&path) {
                continue;
            }
            if !metadata.is_dir() {
                cache.rest += metadata.len();
            } else if is_removed(&path) {
                cache.rest += Extent::of(&path).own;
            } else if path.join(INDEX).is_file() {
                cache.packages.push(CachedPackage {
                    path,
                    unpacked: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                });
            } else if depth + 1 < DEPTH {
                folders.push((path, depth + 1));
            } else {
                cache.rest += Extent::of(&path).own;
            }
        }
    }
    cache
}

/// Removes the package at `path`, unless something is being installed from the cache. Blocks on the disk.
pub(super) fn remove(root: &Path, path: &Path) -> io::Result<Removal> {
    let layer = layer(root, path);
    let mut lock = File::options();
    let lock = lock.create(true).truncate(false).write(true);
    let lock = lock.open(layer.join(LOCK))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Removal::InUse),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    // Half of a package never has its name.
    let aside = aside(&layer);
    match std::fs::rename(path, &aside) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Removal::Absent),
        Err(error) => return Err(error),
    }
    drop(lock);
    std::fs::remove_dir_all(&aside)?;
    Ok(Removal::Removed)
}

/// A path below `folder` where what is being removed counts as nothing any more.
pub(super) fn aside(folder: &Path) -> PathBuf {
    folder.join(format!("{REMOVED}{}", names::fresh()))
}

/// Removes what interrupted removals left. Blocks on the disk.
pub(super) fn sweep(root: &Path) {
    let mut folders = vec![(root.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if is_removed(&path) {
                // Another process may be at it.
                let _ = std::fs::remove_dir_all(&path);
            } else if depth + 1 < DEPTH
                && !(depth == 0 && is_download(&path))
                && entry.file_type().is_ok_and(|kind| kind.is_dir())
                && !path.join(INDEX).is_file()
            {
                folders.push((path, depth + 1));
            }
        }
    }
}

/// Whether it is the cache of uv or pip, which is no business of this one.
fn is_download(path: &Path) -> bool {
    let name = path.file_name().and_then(OsStr::to_str);
    name.is_some_and(|name| downloads::FOLDERS.contains(&name))
}

fn is_removed(path: &Path) -> bool {
    let name = path.file_name().map(OsStr::as_encoded_bytes);
    name.is_some_and(|name| name.starts_with(REMOVED.as_bytes()))
}

/// The folder whose lock guards the package at `path`.
fn layer(root: &Path, path: &Path) -> PathBuf {
    let above = path.ancestors().skip(1);
    let mut within = above.take_while(|folder| folder.starts_with(root));
    let layer = within.find(|folder| folder.join(LOCK).is_file());
    layer.unwrap_or(root).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(root: &Path, name: &str) -> PathBuf {
        let path = root.join(name);
        std::fs::create_dir_all(path.join("info")).unwrap();
        std::fs::write(path.join(INDEX), "{}").unwrap();
        path
    }

    #[test]
    fn packages_are_found_wherever_they_lie_and_the_rest_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let mut expected = vec![
            package(folder.path(), "pkgs/python-3.11-0"),
            package(folder.path(), "pkgs/pip-25-0"),
        ];
        std::fs::create_dir(folder.path().join("lists")).unwrap();
        std::fs::write(folder.path().join("lists/conda-forge.json"), [0; 70]).unwrap();
        std::fs::write(folder.path().join("pkgs/python-3.11-0.lock"), [0; 8]).unwrap();
        // Counted elsewhere.
        std::fs::create_dir_all(folder.path().join("uv/archive-v0/one")).unwrap();
        std::fs::write(folder.path().join("uv/archive-v0/one/tool.py"), [0; 9]).unwrap();
        let cache = look(folder.path());
        let mut found: Vec<_> = cache.packages.into_iter().map(|found| found.path).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
        assert_eq!(cache.rest, 78);
        assert_eq!(look(&folder.path().join("nowhere")), Cache::default());
    }

    #[test]
    fn nothing_is_removed_while_somebody_installs_from_the_cache() {
        let folder = tempfile::tempdir().unwrap();
        let pkgs = folder.path().join("pkgs");
        let path = package(folder.path(), "pkgs/python-3.11-0");
        let lock = File::create(pkgs.join(LOCK)).unwrap();
        lock.lock().unwrap();
        assert_eq!(remove(folder.path(), &path).unwrap(), Removal::InUse);
        assert!(path.join(INDEX).exists());
        drop(lock);
        assert_eq!(remove(folder.path(), &path).unwrap(), Removal::Removed);
        assert_eq!(remove(folder.path(), &path).unwrap(), Removal::Absent);
        assert_eq!(std::fs::read_dir(pkgs).unwrap().count(), 1);
    }

    #[test]
    fn half_removed_packages_count_as_none_and_are_swept() {
        let folder = tempfile::tempdir().unwrap();
        let left = package(folder.path(), "pkgs/.removed-0123");
        assert_eq!(look(folder.path()).packages, []);
        sweep(folder.path());
        assert!(!left.exists());
    }
}
