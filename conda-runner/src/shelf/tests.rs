//! A shelf: once, whole or not at all, and nothing that is in use goes.

use std::sync::atomic::{AtomicU32, Ordering};

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
