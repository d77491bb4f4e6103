//! Old logs: which of them go first when they take too much.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::extent::walk;
use crate::attempts::{self, AttemptOutcome, LogKind};
use crate::files;
use crate::process::pieces;
use crate::shelf::Shelf;

/// What was written to so recently is the log of something that goes on.
const FRESH: Duration = Duration::from_secs(3600);

/// What is removed at once: one file of a log, or the current one together with the record of its attempt. The record of
/// the newest attempt of a kind is never removed: it keeps its number from being given to another one, which somebody who
/// follows the log would take for the one that it knows.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Portion {
    /// The record last.
    paths: Vec<PathBuf>,
    bytes: u64,
    /// When it was written to.
    written: SystemTime,
    /// Whether it is being written.
    may_grow: bool,
    is_last_failure: bool,
    is_served: bool,
}

/// What came of a clearing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClearedLogs {
    pub(super) files: usize,
    pub(super) freed: u64,
    /// What is left.
    pub(super) total: u64,
}

/// Removes files below `root` until they are not more than `limit` bytes, in the order of their age: first the logs of
/// versions that nobody serves, then those of the others, and only then what tells of the last failure of each. What is
/// being written stays. Who is served is seen from the model folders that are in use. Blocks on the disk.
pub(super) fn clear(root: &Path, limit: u64, models: &Shelf) -> io::Result<ClearedLogs> {
    let mut folders: BTreeMap<PathBuf, Vec<LogFile>> = BTreeMap::new();
    let mut cleared = ClearedLogs {
        files: 0,
        freed: 0,
        total: 0,
    };
    walk(root, &mut |path, metadata| {
        cleared.total += metadata.len();
        if let Some(folder) = path.parent() {
            folders.entry(folder.to_owned()).or_default().push(LogFile {
                bytes: metadata.len(),
                written: metadata.modified()?,
                path,
            });
        }
        Ok(())
    })?;
    if cleared.total <= limit {
        return Ok(cleared);
    }
    let served = served_folders(root, models)?;
    let fresh = SystemTime::now() - FRESH;
    let mut portions = Vec::new();
    for (folder, files) in folders {
        portions.extend(portions_of(
            &folder,
            files,
            served.contains(&folder),
            fresh,
        )?);
    }
    portions.retain(|portion| !portion.may_grow);
    portions.sort_by_key(|portion| (portion.is_last_failure, portion.is_served, portion.written));
    for portion in portions {
        if cleared.total <= limit {
            break;
        }
        for path in &portion.paths {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        cleared.files += portion.paths.len();
        cleared.freed += portion.bytes;
        cleared.total -= portion.bytes;
    }
    Ok(cleared)
}

/// One file as it was found.
struct LogFile {
    path: PathBuf,
    bytes: u64,
    written: SystemTime,
}

fn portions_of(
    folder: &Path,
    files: Vec<LogFile>,
    is_served: bool,
    fresh: SystemTime,
) -> io::Result<Vec<Portion>> {
    let mut attempts = HashMap::new();
    let mut newest = HashSet::new();
    for kind in LogKind::ALL {
        let found = attempts::attempts(folder, kind)?;
        let failed = attempts::last_failed(&found);
        newest.extend(found.last().map(|attempt| (kind, attempt.number)));
        for attempt in found {
            let is_last_failure = Some(attempt.number) == failed;
            attempts.insert((kind, attempt.number), (attempt.outcome, is_last_failure));
        }
    }
    let mut logs: BTreeMap<String, Vec<(u64, LogFile)>> = BTreeMap::new();
    for file in files {
        let name = file.path.file_name().unwrap_or_default().to_string_lossy();
        // A record comes behind all files of its log.
        let (log, place) = match name.strip_suffix(".attempt") {
            Some(attempt) => (format!("{attempt}.log"), u64::MAX),
            None => pieces::split(&name).map_or((name.to_string(), 0), |(log, start)| {
                (log.to_owned(), start)
            }),
        };
        logs.entry(log).or_default().push((place, file));
    }
    let mut portions = Vec::new();
    for (log, mut files) in logs {
        files.sort_by_key(|(place, _)| *place);
        let attempt = attempts::parse(&log);
        let mut has_record = files.last().is_some_and(|(place, _)| *place == u64::MAX);
        if has_record && attempt.is_some_and(|attempt| newest.contains(&attempt)) {
            files.pop();
            has_record = false;
        }
        if files.is_empty() {
            continue;
        }
        let attempt = attempt.and_then(|attempt| attempts.get(&attempt));
        let current = files.len().saturating_sub(if has_record { 2 } else { 1 });
        let rest = files.split_off(current);
        let portion = |files: Vec<(u64, LogFile)>, is_current: bool| {
            let written = files.iter().map(|(_, file)| file.written).max();
            let written = written.unwrap_or(SystemTime::UNIX_EPOCH);
            let goes_on = match attempt {
                Some((outcome, _)) => *outcome == AttemptOutcome::Running,
                // An environment's log has no attempts: only its age tells.
                None => written > fresh,
            };
            Portion {
                bytes: files.iter().map(|(_, file)| file.bytes).sum(),
                written,
                paths: files.into_iter().map(|(_, file)| file.path).collect(),
                may_grow: is_current && goes_on,
                is_last_failure: attempt.is_some_and(|(_, is_last_failure)| *is_last_failure),
                is_served,
            }
        };
        portions.extend(files.into_iter().map(|file| portion(vec![file], false)));
        portions.push(portion(rest, true));
    }
    Ok(portions)
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
            (&served, "worker-1.log"),
            (&served, "worker-2.log"),
            (&served, "worker-2.log.100"),
            (&idle, "build-1.log"),
            (&idle, "worker-1.log"),
            (&idle, "worker-1.log.100"),
        ];
        let record = |id: &ServableId, name: &str, outcome: &str| {
            let path = files::folder(&root, id).join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let text = format!("{{\"started\":1}}\n{{\"ended\":2,\"outcome\":\"{outcome}\"}}\n");
            std::fs::write(path, text).unwrap();
        };
        record(&idle, "build-1.attempt", "failed");
        record(&served, "worker-1.attempt", "failed");
        let locked = files::folder(&root, &served).join("worker-2.attempt");
        std::fs::write(&locked, "{\"started\":1}\n").unwrap();
        let running = File::open(&locked).unwrap();
        running.lock().unwrap();
        for ((id, name), age) in files.iter().zip((0_u64..10).rev()) {
            let path = files::folder(&root, id).join(name);
            std::fs::write(&path, [0; 100]).unwrap();
            let written = SystemTime::now() - Duration::from_secs((age + 10) * 3600);
            let file = File::options().write(true).open(&path).unwrap();
            file.set_modified(written).unwrap();
        }
        for (id, record) in [(&idle, "build-1.attempt"), (&served, "worker-1.attempt")] {
            let file = File::options()
                .write(true)
                .open(files::folder(&root, id).join(record));
            let written = SystemTime::now() - Duration::from_secs(20 * 3600);
            file.unwrap().set_modified(written).unwrap();
        }
        let fresh = root.join("environments/key/build.log");
        std::fs::create_dir_all(fresh.parent().unwrap()).unwrap();
        std::fs::write(&fresh, [0; 100]).unwrap();
        let left = || {
            let exists =
                |(id, name): &&(&ServableId, &str)| files::folder(&root, id).join(name).exists();
            files
                .iter()
                .filter(exists)
                .map(|(id, name)| format!("{} {name}", id.version))
                .collect::<Vec<_>>()
        };

        assert_eq!(clear(&root, 10_000, &models).unwrap().files, 0);
        let total = clear(&root, 10_000, &models).unwrap().total;
        // Of what nobody serves, but for what tells of its last failure.
        clear(&root, total - 200, &models).unwrap();
        assert_eq!(
            left(),
            [
                "2 worker-1.log",
                "2 worker-2.log",
                "2 worker-2.log.100",
                "1 build-1.log"
            ]
        );
        // Of what is served, before any last failure.
        clear(&root, total - 300, &models).unwrap();
        assert_eq!(
            left(),
            ["2 worker-1.log", "2 worker-2.log.100", "1 build-1.log"]
        );
        clear(&root, total - 400, &models).unwrap();
        assert_eq!(left(), ["2 worker-1.log", "2 worker-2.log.100"]);
        // The newest of its kind keeps its number from being given again.
        assert!(files::folder(&root, &idle).join("build-1.attempt").exists());
        // What is being written stays.
        clear(&root, 0, &models).unwrap();
        assert_eq!(left(), ["2 worker-2.log.100"]);
        assert!(fresh.exists() && locked.exists());
        drop(running);
        drop(in_use);
        clear(&root, 0, &models).unwrap();
        assert!(fresh.exists() && left().len() <= 1);
    }

    #[test]
    fn the_number_of_the_newest_attempt_is_kept_and_not_given_again() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("logs");
        let models = Shelf::open(folder.path().join("models"), "MLmodel", TaskTracker::new());
        let id = ServableId::new("iris", Version(1));
        let logs = files::folder(&root, &id);
        std::fs::create_dir_all(&logs).unwrap();
        let over = "{\"started\":1}\n{\"ended\":2,\"outcome\":\"stopped\"}\n";
        for number in 1..=3 {
            std::fs::write(attempts::record_path(&logs, LogKind::Worker, number), over).unwrap();
            std::fs::write(attempts::log_path(&logs, LogKind::Worker, number), [0; 100]).unwrap();
        }
        let cleared = clear(&root, 0, &models.unwrap()).unwrap();
        assert_eq!((cleared.files, cleared.total), (5, over.len() as u64));
        let left = attempts::attempts(&logs, LogKind::Worker).unwrap();
        assert_eq!(left.len(), 1);
        assert_eq!(
            (left[0].number, left[0].outcome),
            (3, AttemptOutcome::Stopped)
        );
        assert!(left[0].pieces.is_empty());
    }
}
