//! Old logs: which of them go first when they take too much.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::extent::walk;
use crate::files;
use crate::shelf::Shelf;

/// What was written to so recently is the log of something that goes on.
const FRESH: Duration = Duration::from_secs(3600);

/// One file of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
struct LogFile {
    path: PathBuf,
    bytes: u64,
    written: SystemTime,
    is_served: bool,
    is_current: bool,
}

/// What came of a clearing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClearedLogs {
    pub(super) files: usize,
    pub(super) freed: u64,
    /// What is left.
    pub(super) total: u64,
}

/// Removes files below `root` until they are not more than `limit` bytes: those of versions that nobody serves, oldest
/// first, then the rotated ones of the others. Who is served is seen from the model folders that are in use. Blocks
/// on the disk.
pub(super) fn clear(root: &Path, limit: u64, models: &Shelf) -> io::Result<ClearedLogs> {
    let mut files = Vec::new();
    walk(root, &mut |path, metadata| {
        files.push(LogFile {
            bytes: metadata.len(),
            written: metadata.modified()?,
            is_served: false,
            is_current: path.extension().is_some_and(|extension| extension == "log"),
            path,
        });
        Ok(())
    })?;
    let mut cleared = ClearedLogs {
        files: 0,
        freed: 0,
        total: files.iter().map(|file| file.bytes).sum(),
    };
    if cleared.total <= limit {
        return Ok(cleared);
    }
    let served = served_folders(root, models)?;
    for file in &mut files {
        let folder = file.path.parent();
        file.is_served = folder.is_some_and(|folder| served.contains(folder));
    }
    let fresh = SystemTime::now() - FRESH;
    files.retain(|file| !file.is_current || !(file.is_served || file.written > fresh));
    files.sort_by_key(|file| (file.is_served, file.written));
    for file in files {
        if cleared.total <= limit {
            break;
        }
        match std::fs::remove_file(&file.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        cleared.files += 1;
        cleared.freed += file.bytes;
        cleared.total -= file.bytes;
    }
    Ok(cleared)
}

/// Where the versions that are served now, in whichever process, have their logs.
fn served_folders(root: &Path, models: &Shelf) -> io::Result<HashSet<PathBuf>> {
    let entries = models.entries()?;
    let users = entries.iter().flat_map(|entry| models.users(&entry.key));
    Ok(users.map(|id| files::folder(root, &id)).collect())
}
