//! Room for a build: made before it begins, because a full disk breaks more than one build.

use std::io;
use std::path::Path;

use serving_core::LoadError;

use super::bytes::human;
use super::ledger::Ledger;
use super::prune::remove_from;
use super::stock::{Enough, Stock};
use crate::data_folder::packages;
use crate::env::Trouble;
use crate::error::disk;
use crate::shelf::Shelf;

/// Bytes that have to be free before anything is built.
const FLOOR: u64 = 256 << 20;

/// Returns when there is room to begin a build on `shelf`; removes what nobody uses if there is none.
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
    if free(root)? >= floor {
        return Ok(Ok(()));
    }
    let cache = packages(root.parent().unwrap_or(root));
    let mut stock = Stock::of_environments(shelf, &cache)?;
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
    Ok(Err(Trouble::DiskFull.error(format!(
        "only {} are free on the disk of {}, and nothing is left there that nobody uses: an environment is built \
         only with {} free. Free some space, or serve fewer different environments",
        human(left),
        root.display(),
        human(floor)
    ))))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

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
    async fn what_is_in_use_stays_and_the_error_says_how_much_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = shelf(folder.path()).await;
        let _used = shelf.find("two").await.unwrap().hold;
        let asked = Cell::new(0);
        let free = |_: &Path| {
            asked.set(asked.get() + 1);
            Ok(1_000_000)
        };
        let error = make_room(&shelf, FLOOR, free).unwrap().unwrap_err();
        assert_eq!(error.code.as_deref(), Some("DISK_FULL"));
        assert_eq!(error.retry, serving_core::Retry::Later);
        let said = error
            .message
            .replace(&folder.path().display().to_string(), "DATA");
        assert_eq!(
            said,
            "only 1.0 MB are free on the disk of DATA/environments, and nothing is left there that nobody uses: an \
             environment is built only with 268 MB free. Free some space, or serve fewer different environments"
        );
        let left: Vec<_> = shelf.entries().unwrap();
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].key, "two");
    }
}
