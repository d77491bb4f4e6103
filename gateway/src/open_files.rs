//! How many files this process may have open at once, and how many connections that leaves room for.
//!
//! A connection takes a descriptor, and the request that it brings takes another, to a worker. Where strangers could take all
//! of them, no worker could be reached any more, no file opened, no worker started.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What this process asks for at most. Its children have the same limit, and some programs close every number that they
/// may have when they start others: it is not raised to millions.
const WANTED: u64 = 1 << 16;
/// For everything but scoring: the store, logs, builds, the registry, workers' pipes.
const KEPT: u64 = 256;
/// Connections that are taken however few files there may be.
const FEWEST: usize = 16;

/// Raises the limit as far as the machine allows it and this needs it, and says what it is; `None` if there is none.
pub(crate) fn raise() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let current = limit.current?;
    let wanted = limit.maximum.map_or(WANTED, |most| most.min(WANTED));
    if wanted <= current {
        return Some(current);
    }
    let raised = Rlimit {
        current: Some(wanted),
        ..limit
    };
    // Some sandboxes do not allow it.
    Some(setrlimit(Resource::Nofile, raised).map_or(current, |()| wanted))
}

/// How many connections may be open at once, of `wished` ones, with such a limit of open files.
pub(crate) fn connections(limit: Option<u64>, wished: usize) -> usize {
    let Some(limit) = limit else {
        return wished;
    };
    let room = usize::try_from(limit.saturating_sub(KEPT) / 2).unwrap_or(usize::MAX);
    wished.min(room.max(FEWEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_a_descriptor_for_the_way_on_and_some_for_all_else() {
        assert_eq!(connections(None, 10_000), 10_000);
        assert_eq!(connections(Some(WANTED), 10_000), 10_000);
        assert_eq!(connections(Some(1024), 10_000), 384);
        assert_eq!(connections(Some(1024), 64), 64);
        assert_eq!(connections(Some(100), 10_000), FEWEST);
    }
}
