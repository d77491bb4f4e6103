//! Removes environments that a person wishes away.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::downloads;
use super::error::SpaceError;
use super::kept::{Kept, KeptBecause};
use super::ledger::Ledger;
use super::packages;
use super::stock::{Enough, Item, Stock, Thing};
use crate::data_folder::DataFolder;
use crate::env::Marker;
use crate::error::RunnerError;
use crate::shelf::{Entry, Removal, Shelf};

/// Which environments are to go. Those in use stay in any case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PruneWish {
    /// These keys (or beginnings of keys); empty means all that nobody uses, and what uv and pip have fetched that no
    /// environment shares (unless the runner is offline: nobody could fetch it again).
    pub keys: Vec<String>,
    /// Only those that nobody has used for so long.
    pub unused_for: Option<Duration>,
    /// Least recently used first, until all that is left is no larger: environments and the package caches, in bytes.
    pub to_size: Option<u64>,
    /// Only tell what would go.
    pub dry_run: bool,
}

/// What went, or would go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Keys of the environments.
    pub environments: Vec<String>,
    /// Bytes that are free now (an estimate where files are shared).
    pub freed: u64,
    /// Those that were named and had to stay.
    pub in_use: Vec<Kept>,
}

/// Does it. Blocks on the disk until all of it is gone.
pub(super) fn prune(folder: &DataFolder, wish: &PruneWish) -> Result<Pruned, SpaceError> {
    let shelf = &folder.shelf;
    let trouble = |error: io::Error| RunnerError::folder(shelf.root())(error);
    let entries = shelf.entries().map_err(trouble)?;
    let wished: Vec<String> = wish
        .keys
        .iter()
        .map(|key| Ok(one_of(&entries, key)?.key.clone()))
        .collect::<Result<_, SpaceError>>()?;
    let mut stock = Stock::of_environments(shelf, &folder.packages()).map_err(trouble)?;
    if folder.is_offline || !wished.is_empty() {
        stock.downloads.clear();
    }
    let limit = wish.unused_for.map(|span| {
        let now = SystemTime::now();
        now.checked_sub(span).unwrap_or(SystemTime::UNIX_EPOCH)
    });
    stock
        .downloads
        .retain(|(piece, _)| limit.is_none_or(|limit| piece.unpacked <= limit));
    let is_wished = |key: &String| wished.is_empty() || wished.contains(key);
    let may_go =
        |thing: &Thing| is_wished(&thing.key) && limit.is_none_or(|limit| thing.last_used <= limit);
    let is_small = |ledger: &Ledger| wish.to_size.is_some_and(|size| ledger.total() <= size);
    let enough = match wish.to_size {
        Some(_) => Enough::When(&is_small),
        None => Enough::Never,
    };
    let mut act = |item: &Item| {
        if wish.dry_run {
            Ok(Removal::Removed)
        } else {
            remove(folder, item)
        }
    };
    let cleared = stock.clear(&may_go, &enough, &mut act).map_err(trouble)?;
    // What was named and still is there was not asked for in vain: somebody has to know why.
    let left = |key: &String| stock.things.iter().find(|thing| thing.key == *key);
    Ok(Pruned {
        in_use: match wish.to_size {
            Some(_) => Vec::new(),
            None => wished
                .iter()
                .filter_map(left)
                .map(|thing| kept(shelf, thing, &stock.things, limit))
                .collect(),
        },
        environments: cleared.keys,
        freed: cleared.freed,
    })
}

/// Why this one is among `left`. Blocks on the disk.
fn kept(shelf: &Shelf, thing: &Thing, left: &[Thing], limit: Option<SystemTime>) -> Kept {
    let mut reasons = Vec::new();
    let users = shelf.users(&thing.key);
    if !users.is_empty() {
        reasons.push(KeptBecause::UsedBy(users));
    }
    let derived = left
        .iter()
        .filter(|other| other.base.as_ref() == Some(&thing.key));
    let derived: Vec<String> = derived.map(|other| other.key.clone()).collect();
    if !derived.is_empty() {
        reasons.push(KeptBecause::BaseOf(derived));
    }
    if limit.is_some_and(|limit| thing.last_used > limit) {
        reasons.push(KeptBecause::UsedRecently(thing.last_used));
    }
    if reasons.is_empty() {
        reasons.push(KeptBecause::Busy);
    }
    Kept {
        key: thing.key.clone(),
        reasons,
    }
}

/// Removes an environment that nobody uses and none is based on, or a package. Blocks on the disk.
pub(super) fn remove(folder: &DataFolder, item: &Item) -> io::Result<Removal> {
    remove_from(&folder.shelf, &folder.packages(), item)
}

pub(super) fn remove_from(shelf: &Shelf, cache: &Path, item: &Item) -> io::Result<Removal> {
    match item {
        // Who builds may be about to need what was fetched a moment ago.
        Item::Download(_) if shelf.is_making()? => Ok(Removal::InUse),
        Item::Download(path) => downloads::remove(cache, path),
        Item::Thing(key) => shelf.remove(key, || !is_base(shelf, key)),
        Item::Package(path) => packages::remove(cache, path),
    }
}

/// The one whose key is, or begins with, `key`.
pub(super) fn one_of<'a>(entries: &'a [Entry], key: &str) -> Result<&'a Entry, SpaceError> {
    if let Some(exact) = entries.iter().find(|entry| entry.key == key) {
        return Ok(exact);
    }
    let is_meant = |entry: &&Entry| !key.is_empty() && entry.key.starts_with(key);
    let candidates: Vec<&Entry> = entries.iter().filter(is_meant).collect();
    match candidates.as_slice() {
        [] => Err(SpaceError::Unknown(key.to_owned())),
        [one] => Ok(one),
        several => Err(SpaceError::Ambiguous {
            key: key.to_owned(),
            candidates: several.iter().map(|entry| entry.key.clone()).collect(),
        }),
    }
}

/// Whether another environment uses the interpreter of this one. What cannot be read may do so.
fn is_base(shelf: &Shelf, key: &str) -> bool {
    let Ok(entries) = shelf.entries() else {
        return true;
    };
    let markers = entries.iter().filter_map(|entry| entry.marker.as_deref());
    let bases = markers.filter_map(|marker| Marker::read(marker)?.base);
    bases.into_iter().any(|base| base == key)
}
