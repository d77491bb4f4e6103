//! How much several folders take together: a file with names in two of them counts once, and stays until both are gone.

use std::collections::HashMap;

use super::extent::{Extent, Inode};

/// The sum of extents.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    total: u64,
    shared: HashMap<Inode, Links>,
}

#[derive(Clone, Copy, Debug)]
struct Links {
    /// Names that the file has, wherever they are.
    all: u64,
    /// Names among them in what was added.
    ours: u64,
}

impl Ledger {
    /// Bytes of all files in what was added.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Counts it in.
    pub(super) fn add(&mut self, extent: &Extent) {
        self.total += extent.own;
        for linked in &extent.linked {
            let links = self.shared.entry(linked.inode).or_insert(Links {
                all: linked.links,
                ours: 0,
            });
            if links.ours == 0 {
                self.total += linked.bytes;
            }
            links.ours += linked.here;
        }
    }

    /// Counts out what was added and is removed. Returns the bytes that its removal frees: files with a name elsewhere,
    /// such as in the cache of uv, stay on the disk.
    pub(super) fn remove(&mut self, extent: &Extent) -> u64 {
        let mut freed = extent.own;
        self.total = self.total.saturating_sub(extent.own);
        for linked in &extent.linked {
            let Some(links) = self.shared.get_mut(&linked.inode) else {
                continue;
            };
            links.all = links.all.saturating_sub(linked.here);
            links.ours = links.ours.saturating_sub(linked.here);
            if links.all == 0 {
                freed += linked.bytes;
            }
            if links.ours == 0 {
                self.total = self.total.saturating_sub(linked.bytes);
                self.shared.remove(&linked.inode);
            }
        }
        freed
    }

    /// Whether nothing else that was added shares a file with it.
    pub(super) fn is_alone(&self, extent: &Extent) -> bool {
        extent.linked.iter().all(|linked| {
            let links = self.shared.get(&linked.inode);
            links.is_none_or(|links| links.ours == linked.here)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::extent::Linked;
    use super::*;

    fn extent(own: u64, linked: &[(u64, u64)]) -> Extent {
        let linked = linked.iter().map(|(inode, links)| Linked {
            inode: (1, *inode),
            bytes: 100,
            links: *links,
            here: 1,
        });
        Extent {
            own,
            linked: linked.collect(),
        }
    }

    #[test]
    fn a_shared_file_counts_once_and_is_freed_with_its_last_name() {
        // The first file is in both, the second has a name elsewhere as well.
        let (one, other) = (extent(1, &[(1, 2), (2, 3)]), extent(2, &[(1, 2), (2, 3)]));
        let mut ledger = Ledger::default();
        ledger.add(&one);
        assert!(ledger.is_alone(&one));
        ledger.add(&other);
        assert_eq!(ledger.total(), 203);
        assert!(!ledger.is_alone(&one));
        assert_eq!(ledger.remove(&one), 1);
        assert_eq!(ledger.total(), 202);
        assert!(ledger.is_alone(&other));
        assert_eq!(ledger.remove(&other), 102);
        assert_eq!(ledger.total(), 0);
    }
}
