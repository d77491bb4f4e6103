//! Room for a build: made before it begins, because a full disk breaks more than one build.

use std::io;
use std::path::Path;

use serving_core::LoadError;

use super::ledger::Ledger;
use super::prune::remove_from;
use super::stock::{Enough, Item, Stock};
use crate::bytes::human;
use crate::data_folder::packages;
use crate::env::Trouble;
use crate::error::disk;
use crate::shelf::{Removal, Shelf};

/// Bytes that have to be free before anything is built.
const FLOOR: u64 = 256 << 20;

/// Returns when there is room to begin a build on `shelf`; removes what nobody uses if there is none, and if that helps.
pub(crate) async fn room(shelf: &Shelf) -> Result<(), LoadError> {
    let shelf = shelf.clone();
    let made = tokio::task::spawn_blocking(move || {
        make_room(&shelf, FLOOR, free).map_err(disk("make room in", shelf.root()))?
    });
    made.await
        .unwrap_or_else(|error| Err(LoadError::transient(error.to_string())))
}

/// Bytes that this user may still write where `folder` is. Blocks on the disk.
pub(super) fn free(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn make_room(
    shelf: &Shelf,
    floor: u64,
    free: impl Fn(&Path) -> io::Result<u64>,
) -> io::Result<Result<(), LoadError>> {
    let root = shelf.root();
    let before = free(root)?;
    if before >= floor {
        return Ok(Ok(()));
    }
    let cache = packages(root.parent().unwrap_or(root));
    let mut stock = Stock::of_environments(shelf, &cache)?;
    // Builds need them: one is about to begin.
    stock.downloads.clear();
    let removable = removable(stock.clone())?;
    if before.saturating_add(removable) < floor {
        return Ok(Err(full(root, before, removable, floor)));
    }
    let is_enough = |_: &Ledger| free(root).is_ok_and(|free| free >= floor);
    let cleared = stock.clear(&|_| true, &Enough::When(&is_enough), &mut |item| {
        remove_from(shelf, &cache, item)
    })?;
    if !cleared.keys.is_empty() || cleared.packages > 0 {
        tracing::info!(
            environments = ?cleared.keys,
            packages = cleared.packages,
            freed = human(cleared.freed),
            "the disk was full: removed what nobody uses"
        );
    }
    let left = free(root)?;
    if left >= floor {
        return Ok(Ok(()));
    }
    // Others have written meanwhile, or taken what was to go.
    Ok(Err(full(root, left, 0, floor)))
}

/// Bytes that the removal of all that nobody uses would free.
fn removable(mut stock: Stock) -> io::Result<u64> {
    let never = |_: &Ledger| false;
    let mut pretend = |_: &Item| Ok(Removal::Removed);
    let cleared = stock.clear(&|_| true, &Enough::When(&never), &mut pretend)?;
    Ok(cleared.freed)
}

/// What cannot help is not done: the environments would have to be built again, and the disk be as full as before.
fn full(root: &Path, free: u64, removable: u64, floor: u64) -> LoadError {
    let unused = match removable {
        0 => "there is no environment that nobody uses".to_owned(),
        bytes => format!(
            "the removal of all environments that nobody uses would free only {} (they stay)",
            human(bytes)
        ),
    };
    Trouble::DiskFull.error(format!(
        "only {} are free on the disk of {}, {} are needed to begin a build, and {unused}. Free some space, or serve \
         fewer different environments",
        human(free),
        root.display(),
        human(floor)
    ))
}

#[cfg(test)]
mod tests {
    use tokio_util::task::TaskTracker;

    use super::*;

    async fn shelf(root: &Path) -> Shelf {
        let shelf = Shelf::open(root.join("environments"), "content", TaskTracker::new()).unwrap();
        let make = async |staging: crate::shelf::Staging| {
            std::fs::create_dir(staging.whole()).unwrap();
            std::fs::write(staging.whole().join("content"), "whole").unwrap();
            Ok("{}".to_owned())
        };
        for key in ["one", "two", "three"] {
            shelf.find_or_make(key, make).await.unwrap();
        }
        shelf
    }

    #[tokio::test]
    async fn only_as_much_goes_as_is_needed() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = shelf(folder.path()).await;
        let entries = || shelf.entries().unwrap().len() as u64;
        // Each that goes makes room for two.
        let free = |_: &Path| Ok(2 * (3 - entries()));
        make_room(&shelf, 2, free).unwrap().unwrap();
        assert_eq!(entries(), 2);
        make_room(&shelf, 2, free).unwrap().unwrap();
        assert_eq!(entries(), 2);
    }

    #[tokio::test]
    async fn what_is_in_use_stays() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = shelf(folder.path()).await;
        let used = shelf.find("two").await.unwrap().hold;
        // Whatever goes, somebody else fills the disk at once.
        let error = make_room(&shelf, 10, |_| Ok(0)).unwrap().unwrap_err();
        assert_eq!(error.code.as_deref(), Some("DISK_FULL"));
        let left = shelf.entries().unwrap();
        assert_eq!((left.len(), left[0].key.as_str()), (1, "two"));
        drop(used);
    }

    #[tokio::test]
    async fn nothing_goes_if_all_that_may_go_is_too_little_and_the_error_says_how_much_is_missing()
    {
        let folder = tempfile::tempdir().unwrap();
        let shelf = shelf(folder.path()).await;
        let _used = shelf.find("two").await.unwrap().hold;
        let error = make_room(&shelf, FLOOR, |_| Ok(1_000_000)).unwrap();
        let error = error.unwrap_err();
        assert_eq!(error.code.as_deref(), Some("DISK_FULL"));
        assert_eq!(error.retry, serving_core::Retry::Later);
        let said = error
            .message
            .replace(&folder.path().display().to_string(), "DATA");
        assert_eq!(
            said,
            "only 976kB are free on the disk of DATA/environments, 256MB are needed to begin a build, and the removal \
             of all environments that nobody uses would free only 14 bytes (they stay). Free some space, or serve \
             fewer different environments"
        );
        assert_eq!(shelf.entries().unwrap().len(), 3);
    }
}
