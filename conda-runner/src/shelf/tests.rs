//! A shelf: once, whole or not at all, and nothing that is in use goes.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use serving_core::{ServableId, Version};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::staging::STAGING;
use super::*;

fn shelf(root: &Path) -> Shelf {
    Shelf::open(root.join("things"), "content", TaskTracker::new()).unwrap()
}

async fn make(staging: Staging) -> Result<String, LoadError> {
    tokio::fs::create_dir(staging.whole()).await.unwrap();
    tokio::fs::write(staging.whole().join("content"), "whole")
        .await
        .unwrap();
    Ok("marker".to_owned())
}

fn staging_folders(shelf: &Shelf) -> usize {
    let is_staging = |name: std::ffi::OsString| name.to_string_lossy().starts_with(STAGING);
    let entries = std::fs::read_dir(&*shelf.root).unwrap();
    entries
        .filter(|entry| is_staging(entry.as_ref().unwrap().file_name()))
        .count()
}

async fn settled(shelf: &Shelf) {
    shelf.tasks.close();
    shelf.tasks.wait().await;
}

#[tokio::test]
async fn a_thing_is_made_once_and_found_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = shelf(folder.path());
    assert_eq!(shelf.find("key").await, None);
    let made = shelf.find_or_make("key", make).await.unwrap();
    assert_eq!(
        std::fs::read_to_string(made.path.join("content")).unwrap(),
        "whole"
    );
    assert_eq!(&*made.marker, "marker");
    let again = shelf
        .find_or_make("key", async |_| panic!("it is there"))
        .await
        .unwrap();
    assert_eq!(again, made);
    settled(&shelf).await;
    assert_eq!(staging_folders(&shelf), 0);
}

#[tokio::test]
async fn an_abandoned_making_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = shelf(folder.path());
    let (started, has_started) = oneshot::channel();
    let mut tasks = JoinSet::new();
    let making = shelf.clone();
    tasks.spawn(async move {
        let half = async |staging: Staging| {
            tokio::fs::create_dir(staging.whole()).await.unwrap();
            started.send(()).unwrap();
            std::future::pending().await
        };
        making.find_or_make("key", half).await
    });
    has_started.await.unwrap();
    assert_eq!(staging_folders(&shelf), 1);
    tasks.shutdown().await;
    settled(&shelf).await;
    assert_eq!(staging_folders(&shelf), 0);
    assert_eq!(shelf.find("key").await, None);
    assert!(shelf.find_or_make("key", make).await.is_ok());
}

#[test]
fn what_a_killed_process_left_is_swept_at_the_next_start_and_never_counts() {
    let folder = tempfile::tempdir().unwrap();
    let left = folder.path().join("things/.staging-key.0123/whole");
    std::fs::create_dir_all(&left).unwrap();
    let shelf = shelf(folder.path());
    assert_eq!(staging_folders(&shelf), 0);
}

#[test]
fn the_staging_folder_of_a_process_that_is_at_work_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let other = shelf(folder.path());
    let lock = other.lock_file("key").unwrap();
    lock.try_lock().unwrap();
    std::fs::create_dir_all(other.root.join(".staging-key.0123")).unwrap();
    assert_eq!(staging_folders(&shelf(folder.path())), 1);
    drop(lock);
    assert_eq!(staging_folders(&shelf(folder.path())), 0);
}

#[tokio::test]
async fn two_processes_on_one_data_folder_make_a_thing_once() {
    let folder = tempfile::tempdir().unwrap();
    // Locks belong to open files, so two shelves exclude each other as two processes do.
    let shelves = [shelf(folder.path()), shelf(folder.path())];
    let runs = Arc::new(AtomicU32::new(0));
    let mut wishes = JoinSet::new();
    for shelf in shelves.iter().cycle().take(10) {
        let (shelf, runs) = (shelf.clone(), Arc::clone(&runs));
        wishes.spawn(async move {
            let counted = async move |staging| {
                runs.fetch_add(1, Ordering::Relaxed);
                make(staging).await
            };
            shelf.find_or_make("key", counted).await.unwrap()
        });
    }
    wishes.join_all().await;
    assert_eq!(runs.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_thing_that_was_broken_after_it_was_finished_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = shelf(folder.path());
    let made = shelf.find_or_make("key", make).await.unwrap();
    std::fs::remove_file(made.path.join("content")).unwrap();
    std::os::unix::fs::symlink("/nowhere/python", made.path.join("content")).unwrap();
    assert_eq!(shelf.find("key").await, None);
    let again = shelf.find_or_make("key", make).await.unwrap();
    assert_eq!(
        std::fs::read_to_string(again.path.join("content")).unwrap(),
        "whole"
    );
}

#[tokio::test]
async fn a_shelf_that_was_removed_is_there_again_with_the_next_thing() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = shelf(folder.path());
    shelf.find_or_make("key", make).await.unwrap();
    settled(&shelf).await;
    std::fs::remove_dir_all(&*shelf.root).unwrap();
    assert!(shelf.find_or_make("key", make).await.is_ok());
}

#[tokio::test]
async fn something_without_a_marker_does_not_count_and_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = shelf(folder.path());
    std::fs::create_dir(shelf.root.join("key")).unwrap();
    std::fs::write(shelf.root.join("key/foreign"), "").unwrap();
    let made = shelf.find_or_make("key", make).await.unwrap();
    assert!(made.path.join("content").exists());
    assert!(!made.path.join("foreign").exists());
}

#[tokio::test]
async fn a_failure_is_told_to_all_who_wait_and_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = shelf(folder.path());
    let failed = shelf
        .find_or_make("key", async |_| Err(LoadError::permanent("no")))
        .await;
    assert_eq!(failed.unwrap_err(), LoadError::permanent("no"));
    assert!(shelf.find_or_make("key", make).await.is_ok());
}

fn id(version: u64) -> ServableId {
    ServableId::new("iris", Version(version))
}

#[tokio::test]
async fn what_anybody_holds_is_not_removed_by_this_process_or_another() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (shelf(folder.path()), shelf(folder.path()));
    let made = here.find_or_make("key", make).await.unwrap();
    let found = there.find("key").await.unwrap();
    for shelf in [&here, &there] {
        assert!(shelf.is_held("key"));
        assert_eq!(shelf.remove("key", || true).unwrap(), Removal::InUse);
    }
    drop(made);
    assert_eq!(here.remove("key", || true).unwrap(), Removal::InUse);
    // One of several who have it here.
    let again = found.clone();
    drop(found);
    assert_eq!(there.remove("key", || true).unwrap(), Removal::InUse);
    drop(again);
    assert!(!here.is_held("key"));
    assert_eq!(here.remove("key", || false).unwrap(), Removal::InUse);
    assert_eq!(here.remove("key", || true).unwrap(), Removal::Removed);
    assert_eq!(here.remove("key", || true).unwrap(), Removal::Absent);
    assert_eq!(there.find("key").await, None);
    assert_eq!(staging_folders(&here), 0);
    // And it can be made again.
    assert!(there.find_or_make("key", make).await.is_ok());
}

#[tokio::test]
async fn every_process_sees_who_uses_a_thing_until_that_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (shelf(folder.path()), shelf(folder.path()));
    let made = here.find_or_make("key", make).await.unwrap();
    assert_eq!(there.users("key"), []);
    let second = made.hold.used_by(&id(2)).await.unwrap();
    let first = there
        .find("key")
        .await
        .unwrap()
        .hold
        .used_by(&id(1))
        .await
        .unwrap();
    for shelf in [&here, &there] {
        assert_eq!(shelf.users("key"), [id(1), id(2)]);
    }
    // Who uses it, holds it.
    drop(made);
    assert_eq!(there.remove("key", || true).unwrap(), Removal::InUse);
    let worker = second.clone();
    drop(second);
    assert_eq!(there.users("key"), [id(1), id(2)]);
    drop(worker);
    assert_eq!(there.users("key"), [id(1)]);
    drop(first);
    assert_eq!(here.users("key"), []);
    assert_eq!(there.remove("key", || true).unwrap(), Removal::Removed);
}

#[tokio::test]
async fn a_user_whose_process_was_killed_counts_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = shelf(folder.path());
    let used = shelf.find_or_make("key", make).await.unwrap().hold;
    let used = used.used_by(&id(1)).await.unwrap();
    let uses = folder.path().join("things/.uses/key");
    let dead = uses.join("0123456789abcdef");
    std::fs::write(&dead, r#"{"model": "iris", "version": 7}"#).unwrap();
    assert_eq!(shelf.users("key"), [id(1)]);
    assert!(!dead.exists());
    drop(used);
}

#[tokio::test]
async fn the_last_use_is_known_at_the_next_start_and_finding_is_no_use() {
    let folder = tempfile::tempdir().unwrap();
    let first = shelf(folder.path());
    let made = first.find_or_make("key", make).await.unwrap();
    let long_ago = SystemTime::now() - Duration::from_secs(1_000_000);
    let marker = File::options()
        .write(true)
        .open(made.path.join(MARKER))
        .unwrap();
    marker.set_modified(long_ago).unwrap();
    assert_eq!(
        shelf(folder.path()).entry("key").unwrap().last_used,
        long_ago
    );
    let before = SystemTime::now() - Duration::from_secs(1);
    drop(made.hold.used_by(&id(1)).await.unwrap());
    let later = shelf(folder.path());
    let last_used = later.entry("key").unwrap().last_used;
    assert!(last_used > before, "{last_used:?}");
    later.find("key").await.unwrap();
    let entry = later.entry("key").unwrap();
    assert_eq!((entry.last_used, entry.finished), (last_used, long_ago));
}

#[tokio::test]
async fn a_crash_between_renaming_and_removing_leaves_nothing_that_counts() {
    let folder = tempfile::tempdir().unwrap();
    let before = shelf(folder.path());
    before.find_or_make("key", make).await.unwrap();
    settled(&before).await;
    let (removal, rest) = before.set_aside("key", || true).unwrap();
    assert_eq!(removal, Removal::Removed);
    assert!(rest.unwrap().join("removed/content").exists());
    assert_eq!(before.find("key").await, None);
    assert_eq!(before.entries().unwrap(), []);
    let after = shelf(folder.path());
    assert_eq!(staging_folders(&after), 0);
    assert_eq!(after.entries().unwrap(), []);
}

#[tokio::test]
async fn a_staging_folder_that_is_still_needed_is_not_swept() {
    let folder = tempfile::tempdir().unwrap();
    let here = shelf(folder.path());
    // Made in it, and given up by all but one who reads what is there.
    let needed = Staging::new(&here.root, "key", TaskTracker::new())
        .await
        .unwrap();
    assert_eq!(staging_folders(&shelf(folder.path())), 1);
    let tasks = TaskTracker::new();
    drop(needed);
    tasks.close();
    tasks.wait().await;
    here.sweep().unwrap();
    assert_eq!(staging_folders(&here), 0);
}

#[tokio::test]
async fn what_a_thing_is_made_from_is_held_until_it_is_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (shelf(folder.path()), shelf(folder.path()));
    let base = here.find_or_make("base", make).await.unwrap().hold;
    let removed = {
        let there = there.clone();
        async move |staging: Staging| {
            staging.keep(base);
            let removal = there.remove("base", || true).unwrap();
            make(staging).await.map(|_| format!("{removal:?}"))
        }
    };
    let made = here.find_or_make("key", removed).await.unwrap();
    assert_eq!(&*made.marker, "InUse");
    settled(&here).await;
    assert_eq!(there.remove("base", || true).unwrap(), Removal::Removed);
}

#[tokio::test]
async fn something_without_a_marker_is_not_on_the_shelf_and_what_is_broken_is() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = shelf(folder.path());
    std::fs::create_dir(shelf.place("foreign")).unwrap();
    let broken = shelf.find_or_make("broken", make).await.unwrap().path;
    std::fs::write(broken.join(MARKER), [0xff, 0xfe]).unwrap();
    std::fs::remove_file(broken.join("content")).unwrap();
    shelf.find_or_make("whole", make).await.unwrap();
    let seen: Vec<_> = shelf
        .entries()
        .unwrap()
        .into_iter()
        .map(|entry| (entry.key, entry.marker, entry.is_whole))
        .collect();
    let marker = Some("marker".to_owned());
    assert_eq!(
        seen,
        [
            ("broken".to_owned(), None, false),
            ("whole".to_owned(), marker, true)
        ]
    );
    assert_eq!(shelf.remove("broken", || true).unwrap(), Removal::Removed);
}

/// Some find, use and make a thing, and others remove it, in two processes: nobody ever holds what is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_has_found_a_thing_has_it_however_hard_others_try_to_remove_it() {
    const ROUNDS: u32 = 60;
    let folder = tempfile::tempdir().unwrap();
    let shelves = [shelf(folder.path()), shelf(folder.path())];
    let finders = Arc::new(AtomicU32::new(4));
    let mut removers = JoinSet::new();
    for shelf in shelves.clone() {
        let finders = Arc::clone(&finders);
        removers.spawn_blocking(move || {
            let mut removed = 0;
            while finders.load(Ordering::Relaxed) > 0 {
                let removal = shelf.remove("key", || true).unwrap();
                removed += u32::from(removal == Removal::Removed);
                std::thread::yield_now();
            }
            removed
        });
    }
    let mut tasks = JoinSet::new();
    for shelf in shelves.iter().cycle().take(4) {
        let (shelf, finders) = (shelf.clone(), Arc::clone(&finders));
        tasks.spawn(async move {
            // Also when an assertion fails.
            let _done = Done(finders);
            for round in 0..ROUNDS {
                let found = match round % 3 {
                    0 => Some(shelf.find_or_make("key", make).await.unwrap()),
                    _ => shelf.find("key").await,
                };
                let Some(found) = found else {
                    continue;
                };
                for _ in 0..5 {
                    let content = std::fs::read_to_string(found.path.join("content"));
                    assert_eq!(content.unwrap(), "whole");
                    tokio::task::yield_now().await;
                }
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert!(removers.join_all().await.into_iter().sum::<u32>() > 0);
    assert!(shelves[0].find_or_make("key", make).await.is_ok());
}

/// One less.
struct Done(Arc<AtomicU32>);

impl Drop for Done {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_another_process_says_so_and_gives_up_after_an_hour() {
    let folder = tempfile::tempdir().unwrap();
    let (shelf, other) = (shelf(folder.path()), shelf(folder.path()));
    assert!(!shelf.is_making().unwrap());
    let lock = other.lock_file("key").unwrap();
    lock.try_lock().unwrap();
    std::fs::create_dir_all(other.root.join(".staging-key.0123")).unwrap();
    assert!(shelf.is_making().unwrap());
    let (told, tells) = oneshot::channel();
    let waiting = move || told.send(()).unwrap();
    let error = shelf
        .find_or_make_telling("key", waiting, make)
        .await
        .unwrap_err();
    assert_eq!(error.retry, serving_core::Retry::Later);
    assert!(error.message.contains("for an hour"), "{error}");
    tells.await.unwrap();
    drop(lock);
    let waiting = || panic!("nobody is at it");
    let made = shelf.find_or_make_telling("key", waiting, make).await;
    assert!(made.is_ok());
}
