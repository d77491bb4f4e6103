//! What there is to choose from when space is needed, and in which order it goes.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::downloads;
use super::extent::Extent;
use super::ledger::Ledger;
use super::packages::{self, CachedPackage};
use crate::env::Marker;
use crate::shelf::{Removal, Shelf};

/// Things on a shelf, and the packages that they are linked from.
#[derive(Clone, Debug, Default)]
pub(super) struct Stock {
    pub(super) things: Vec<Thing>,
    pub(super) packages: Vec<(CachedPackage, Extent)>,
    /// What uv and pip have fetched. Goes last: it is small beside environments, and saves the network.
    pub(super) downloads: Vec<(CachedPackage, Extent)>,
    pub(super) ledger: Ledger,
}

/// An environment or a model folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Thing {
    pub(super) key: String,
    pub(super) last_used: SystemTime,
    pub(super) extent: Extent,
    /// The key of what it is good for nothing without.
    pub(super) base: Option<String>,
    pub(super) in_use: bool,
}

/// What can be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// Of a shelf: its key.
    Thing(String),
    /// Of the package cache: its folder.
    Package(PathBuf),
    /// Of the caches of uv and pip: its folder.
    Download(PathBuf),
}

/// When enough has gone.
pub(super) enum Enough<'a> {
    /// When nothing is left that may go: an environment, the packages that only it was linked from, and what uv and pip
    /// have fetched that no environment is linked from.
    Never,
    /// As soon as this says so. Packages that no environment is linked from go before environments.
    When(&'a dyn Fn(&Ledger) -> bool),
}

/// What has gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cleared {
    pub(super) keys: Vec<String>,
    /// Of whichever cache.
    pub(super) packages: usize,
    /// Those that could not go, since somebody was installing.
    pub(super) refused: usize,
    /// Bytes.
    pub(super) freed: u64,
}

impl Stock {
    /// The environments on `shelf`, and the package caches below `root`. Blocks on the disk, for seconds where there is
    /// much.
    pub(super) fn of_environments(shelf: &Shelf, root: &Path) -> io::Result<Self> {
        let base = |marker: &str| Marker::read(marker)?.base;
        let mut stock = Self::of_shelf(shelf, base)?;
        let cache = packages::look(root);
        stock.ledger.add(&Extent {
            own: cache.rest,
            linked: Vec::new(),
        });
        for package in cache.packages {
            let extent = Extent::of(&package.path);
            stock.ledger.add(&extent);
            stock.packages.push((package, extent));
        }
        let downloads = downloads::look(root);
        stock.ledger.add(&Extent {
            own: downloads.rest,
            linked: Vec::new(),
        });
        for (_, extent) in &downloads.pieces {
            stock.ledger.add(extent);
        }
        stock.downloads = downloads.pieces;
        Ok(stock)
    }

    /// The model folders on `shelf`. Blocks on the disk.
    pub(super) fn of_models(shelf: &Shelf) -> io::Result<Self> {
        Self::of_shelf(shelf, |_| None)
    }

    fn of_shelf(shelf: &Shelf, base: impl Fn(&str) -> Option<String>) -> io::Result<Self> {
        let mut stock = Self::default();
        for entry in shelf.entries()? {
            let extent = Extent::of(&entry.path);
            stock.ledger.add(&extent);
            stock.things.push(Thing {
                in_use: shelf.is_held(&entry.key),
                base: entry.marker.as_deref().and_then(&base),
                key: entry.key,
                last_used: entry.last_used,
                extent,
            });
        }
        Ok(stock)
    }

    /// Removes by `act`, one after the other, what nobody uses, until it is `enough`: of the things that `may_go`
    /// agrees to the least recently used first, and what others are based on after them.
    pub(super) fn clear(
        &mut self,
        may_go: &dyn Fn(&Thing) -> bool,
        enough: &Enough<'_>,
        act: &mut dyn FnMut(&Item) -> io::Result<Removal>,
    ) -> io::Result<Cleared> {
        let mut cleared = Cleared::default();
        self.packages.sort_by_key(|(package, _)| package.unpacked);
        // Without a limit only those go that the removed things alone needed.
        let was_alone: Vec<PathBuf> = self.lonely().map(|(package, _)| package.path).collect();
        loop {
            let next = match enough {
                Enough::When(enough) if enough(&self.ledger) => break,
                Enough::When(_) => self.lonely().next(),
                Enough::Never => None,
            };
            if let Some((package, extent)) = next {
                self.remove_package(&package, &extent, act, &mut cleared)?;
            } else if let Some(place) = self.next_thing(may_go) {
                self.remove_thing(place, act, &mut cleared)?;
            } else if let Some((piece, extent)) = self.lonely_download() {
                self.downloads.retain(|(known, _)| *known != piece);
                let item = Item::Download(piece.path);
                self.remove_cached(&item, &extent, act, &mut cleared)?;
            } else {
                break;
            }
        }
        if matches!(enough, Enough::Never) {
            let orphans: Vec<_> = self
                .lonely()
                .filter(|(package, _)| !was_alone.contains(&package.path))
                .collect();
            for (package, extent) in orphans {
                self.remove_package(&package, &extent, act, &mut cleared)?;
            }
        }
        Ok(cleared)
    }

    /// Packages that no environment is linked from, the oldest first.
    fn lonely(&self) -> impl Iterator<Item = (CachedPackage, Extent)> {
        let is_alone = |(_, extent): &&(CachedPackage, Extent)| self.ledger.is_alone(extent);
        self.packages.iter().filter(is_alone).cloned()
    }

    /// The oldest one that no environment is linked from.
    fn lonely_download(&self) -> Option<(CachedPackage, Extent)> {
        let lonely = self.downloads.iter();
        let lonely = lonely.filter(|(_, extent)| self.ledger.is_alone(extent));
        lonely.min_by_key(|(piece, _)| piece.unpacked).cloned()
    }

    fn next_thing(&self, may_go: &dyn Fn(&Thing) -> bool) -> Option<usize> {
        let is_needed = |key: &str| {
            let bases = self.things.iter().filter_map(|thing| thing.base.as_deref());
            bases.into_iter().any(|base| base == key)
        };
        let candidates = self.things.iter().enumerate();
        candidates
            .filter(|(_, thing)| !thing.in_use && may_go(thing) && !is_needed(&thing.key))
            .min_by_key(|(_, thing)| (thing.last_used, thing.key.as_str()))
            .map(|(place, _)| place)
    }

    fn remove_thing(
        &mut self,
        place: usize,
        act: &mut dyn FnMut(&Item) -> io::Result<Removal>,
        cleared: &mut Cleared,
    ) -> io::Result<()> {
        match act(&Item::Thing(self.things[place].key.clone()))? {
            // Since it was looked at, somebody has taken it.
            Removal::InUse => self.things[place].in_use = true,
            removal => {
                let thing = self.things.swap_remove(place);
                let freed = self.ledger.remove(&thing.extent);
                if removal == Removal::Removed {
                    cleared.freed += freed;
                    cleared.keys.push(thing.key);
                }
            }
        }
        Ok(())
    }

    /// One that cannot be removed is not offered again.
    fn remove_package(
        &mut self,
        package: &CachedPackage,
        extent: &Extent,
        act: &mut dyn FnMut(&Item) -> io::Result<Removal>,
        cleared: &mut Cleared,
    ) -> io::Result<()> {
        self.packages.retain(|(known, _)| known != package);
        let item = Item::Package(package.path.clone());
        self.remove_cached(&item, extent, act, cleared)
    }

    fn remove_cached(
        &mut self,
        item: &Item,
        extent: &Extent,
        act: &mut dyn FnMut(&Item) -> io::Result<Removal>,
        cleared: &mut Cleared,
    ) -> io::Result<()> {
        match act(item)? {
            Removal::InUse => cleared.refused += 1,
            removal => {
                let freed = self.ledger.remove(extent);
                if removal == Removal::Removed {
                    cleared.freed += freed;
                    cleared.packages += 1;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "stock_tests.rs"]
mod tests;
