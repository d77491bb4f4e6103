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

#[cfg(test)]
mod tests {
    use std::fs::File;

    use serving_core::{ServableId, Version};
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::shelf::Staging;

    #[tokio::test]
    async fn old_logs_go_first_and_never_the_current_ones_of_what_is_served() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("logs");
        let models = Shelf::open(folder.path().join("models"), "MLmodel", TaskTracker::new());
        let models = models.unwrap();
        let make = async |staging: Staging| {
            std::fs::create_dir(staging.whole()).unwrap();
            std::fs::write(staging.whole().join("MLmodel"), "").unwrap();
            Ok(String::new())
        };
        let served = ServableId::new("iris", Version(2));
        let model = models.find_or_make("iris-2-hash", make).await.unwrap();
        let in_use = model.hold.used_by(&served).await.unwrap();
        let idle = ServableId::new("iris", Version(1));
        // In the order of their age, ten hours old and more.
        let files = [
            (&served, "worker.log.1"),
            (&served, "worker.log"),
            (&idle, "build.log"),
            (&idle, "worker.log.1"),
            (&idle, "worker.log"),
        ];
        for ((id, name), age) in files.iter().zip((0_u64..10).rev()) {
            let path = files::folder(&root, id).join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, [0; 100]).unwrap();
            let written = SystemTime::now() - Duration::from_secs((age + 10) * 3600);
            let file = File::options().write(true).open(&path).unwrap();
            file.set_modified(written).unwrap();
        }
        let fresh = root.join("environments/key/build.log");
        std::fs::create_dir_all(fresh.parent().unwrap()).unwrap();
        std::fs::write(&fresh, [0; 100]).unwrap();
        let exists = |place: usize| {
            let (id, name) = files[place];
            files::folder(&root, id).join(name).exists()
        };

        assert_eq!(clear(&root, 600, &models).unwrap().files, 0);
        assert_eq!(clear(&root, 450, &models).unwrap().files, 2);
        assert!(!exists(2) && !exists(3) && exists(4) && exists(0));
        let cleared = clear(&root, 0, &models).unwrap();
        assert_eq!((cleared.files, cleared.freed, cleared.total), (2, 200, 200));
        assert!(!exists(4) && !exists(0));
        assert!(exists(1) && fresh.exists());
        drop(in_use);
        assert_eq!(clear(&root, 0, &models).unwrap().total, 100);
        assert!(!exists(1));
    }
}
