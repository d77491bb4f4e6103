//! Which of the scoring threads this is, for what each of them has one of.

use std::cell::Cell;

/// As many kinds of things as there may be: threads beyond share them.
pub(crate) const LANES: usize = 64;

thread_local! {
    static LANE: Cell<usize> = const { Cell::new(0) };
}

/// From now on this thread is the one with that number.
pub(crate) fn enter(number: usize) {
    LANE.set(number % LANES);
}

/// The number of this thread; 0 for all that have none.
pub(crate) fn current() -> usize {
    LANE.get()
}
