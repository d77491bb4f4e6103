//! What goes first, and what never goes.

use std::time::{Duration, SystemTime};

use super::super::extent::Linked;
use super::*;

fn at(second: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(second)
}

/// Bytes of its own, and files of 100 bytes each that it shares.
fn extent(own: u64, shared: &[u64]) -> Extent {
    let linked = shared.iter().map(|inode| Linked {
        inode: (1, *inode),
        bytes: 100,
        links: 2,
        here: 1,
    });
    Extent {
        own,
        linked: linked.collect(),
    }
}

impl Stock {
    fn with(mut self, key: &str, last_used: u64, extent: Extent) -> Self {
        self.ledger.add(&extent);
        self.things.push(Thing {
            key: key.to_owned(),
            last_used: at(last_used),
            extent,
            base: None,
            in_use: false,
        });
        self
    }

    fn on(mut self, base: &str) -> Self {
        self.things.last_mut().unwrap().base = Some(base.to_owned());
        self
    }

    fn in_use(mut self) -> Self {
        self.things.last_mut().unwrap().in_use = true;
        self
    }

    fn with_package(mut self, name: &str, unpacked: u64, extent: Extent) -> Self {
        self.ledger.add(&extent);
        let package = CachedPackage {
            path: name.into(),
            unpacked: at(unpacked),
        };
        self.packages.push((package, extent));
        self
    }

    fn with_download(mut self, name: &str, unpacked: u64, extent: Extent) -> Self {
        self = self.with_package(name, unpacked, extent);
        self.downloads.extend(self.packages.pop());
        self
    }

    /// Clears it, and tells what went in which order.
    fn cleared(mut self, limit: Option<u64>) -> (String, Cleared, u64) {
        let mut gone = Vec::new();
        let mut act = |item: &Item| {
            gone.push(match item {
                Item::Thing(key) => key.clone(),
                Item::Package(path) | Item::Download(path) => path.display().to_string(),
            });
            Ok(Removal::Removed)
        };
        let is_small = |ledger: &Ledger| limit.is_some_and(|limit| ledger.total() <= limit);
        let enough = match limit {
            Some(_) => Enough::When(&is_small),
            None => Enough::Never,
        };
        let cleared = self.clear(&|_| true, &enough, &mut act).unwrap();
        (gone.join(" "), cleared, self.ledger.total())
    }
}

#[test]
fn the_least_recently_used_go_first_and_no_more_than_needed() {
    let stock = Stock::default()
        .with("b", 20, extent(10, &[]))
        .with("a", 10, extent(10, &[]))
        .with("c", 30, extent(10, &[]));
    assert_eq!(stock.clone().cleared(Some(30)).0, "");
    assert_eq!(stock.clone().cleared(Some(29)).0, "a");
    assert_eq!(stock.clone().cleared(Some(10)).0, "a b");
    let (gone, cleared, left) = stock.cleared(None);
    assert_eq!(gone, "a b c");
    assert_eq!((cleared.freed, left), (30, 0));
}

#[test]
fn what_is_in_use_never_goes_also_if_it_was_taken_just_now() {
    let mut stock = Stock::default()
        .with("used", 1, extent(10, &[]))
        .in_use()
        .with("taken", 2, extent(10, &[]))
        .with("idle", 3, extent(10, &[]));
    let mut act = |item: &Item| match item {
        Item::Thing(key) if key == "taken" => Ok(Removal::InUse),
        _ => Ok(Removal::Removed),
    };
    let is_small = |ledger: &Ledger| ledger.total() == 0;
    let cleared = stock
        .clear(&|_| true, &Enough::When(&is_small), &mut act)
        .unwrap();
    assert_eq!(cleared.keys, ["idle"]);
    assert_eq!(stock.ledger.total(), 20);
}

#[test]
fn a_base_goes_after_what_is_made_from_it_and_stays_with_that() {
    let stock = Stock::default()
        .with("base", 1, extent(10, &[]))
        .with("derived", 5, extent(10, &[]))
        .on("base")
        .with("other", 9, extent(10, &[]));
    assert_eq!(stock.cleared(None).0, "derived base other");
    let used = Stock::default()
        .with("base", 1, extent(10, &[]))
        .with("derived", 5, extent(10, &[]))
        .on("base")
        .in_use();
    assert_eq!(used.cleared(Some(0)).0, "");
}

#[test]
fn packages_without_an_environment_go_before_environments_the_oldest_first() {
    let stock = Stock::default()
        .with("a", 1, extent(10, &[1]))
        .with("b", 2, extent(10, &[2]))
        .with_package("new", 8, extent(50, &[]))
        .with_package("old", 7, extent(50, &[]))
        .with_package("of-a", 1, extent(0, &[1]))
        .with_package("of-b", 1, extent(0, &[2]));
    // 20 of environments, 100 of lonely packages, 200 that are shared.
    assert_eq!(stock.clone().cleared(Some(320)).0, "");
    assert_eq!(stock.clone().cleared(Some(300)).0, "old");
    assert_eq!(stock.clone().cleared(Some(219)).0, "old new a");
    let (gone, cleared, left) = stock.cleared(Some(150));
    assert_eq!(gone, "old new a of-a");
    assert_eq!((cleared.freed, cleared.packages, left), (210, 3, 110));
}

#[test]
fn without_a_limit_only_those_packages_go_that_the_removed_alone_needed() {
    let stock = Stock::default()
        .with("a", 1, extent(10, &[1]))
        .with("used", 2, extent(10, &[2]))
        .in_use()
        .with_package("lonely", 1, extent(50, &[]))
        .with_package("of-a", 1, extent(0, &[1]))
        .with_package("of-used", 1, extent(0, &[2]));
    let (gone, cleared, _) = stock.cleared(None);
    assert_eq!(gone, "a of-a");
    assert_eq!(cleared.freed, 110);
}

#[test]
fn what_uv_and_pip_have_fetched_goes_last_the_oldest_first_unless_something_in_use_is_linked_from_it()
 {
    let stock = Stock::default()
        .with("idle", 1, extent(10, &[1]))
        .with("used", 2, extent(10, &[2]))
        .in_use()
        .with_download("new", 9, extent(50, &[]))
        .with_download("old", 8, extent(50, &[]))
        .with_download("of-idle", 7, extent(0, &[1]))
        .with_download("of-used", 1, extent(0, &[2]))
        .with_package("lonely", 9, extent(50, &[]));
    assert_eq!(stock.clone().cleared(Some(320)).0, "lonely");
    assert_eq!(stock.clone().cleared(Some(310)).0, "lonely idle");
    assert_eq!(
        stock.clone().cleared(Some(200)).0,
        "lonely idle of-idle old"
    );
    let (gone, cleared, left) = stock.cleared(None);
    assert_eq!(gone, "idle of-idle old new");
    assert_eq!((cleared.freed, cleared.packages, left), (210, 3, 160));
}
