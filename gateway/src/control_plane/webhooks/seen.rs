//! Which deliveries have come: remembered for as long as their timestamp would let them in again.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

/// So many are remembered; of more the oldest are forgotten, and could cause one look at the registry again.
const MOST: usize = 10_000;

/// The ids of deliveries.
#[derive(Debug, Default)]
pub(super) struct Seen {
    ids: HashSet<Arc<str>>,
    /// With the second after which each is refused for its age.
    by_end: BTreeSet<(i64, Arc<str>)>,
}

impl Seen {
    /// Remembers a delivery that is good until the second `end`; `false` if it had come before.
    pub(super) fn is_new(&mut self, id: &str, end: i64, now: i64) -> bool {
        while let Some((oldest, _)) = self.by_end.first()
            && (*oldest < now || self.by_end.len() >= MOST)
        {
            if let Some((_, forgotten)) = self.by_end.pop_first() {
                self.ids.remove(&forgotten);
            }
        }
        if self.ids.contains(id) {
            return false;
        }
        let id: Arc<str> = id.into();
        self.by_end.insert((end, Arc::clone(&id)));
        self.ids.insert(id);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_new_once_while_it_is_good() {
        let mut seen = Seen::default();
        assert!(seen.is_new("a", 100, 0));
        assert!(!seen.is_new("a", 100, 100));
        assert!(seen.is_new("b", 150, 101));
        assert_eq!(seen.by_end.len(), 1, "the first is forgotten");
        assert_eq!(seen.ids.len(), 1);
    }

    #[test]
    fn memory_is_bounded() {
        let mut seen = Seen::default();
        for number in 0..MOST + 10 {
            assert!(seen.is_new(&number.to_string(), i64::MAX, 0));
        }
        assert_eq!((seen.ids.len(), seen.by_end.len()), (MOST, MOST));
    }
}
