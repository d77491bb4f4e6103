//! Where entries of the access log gather until they are written: one place for each of the scoring threads, so that none waits
//! for another, and whoever puts something there wakes somebody only if nobody is about to look.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::lane::{self, LANES};

/// Bytes of room that are kept for what comes next, of each place. More is given back: a burst, or a slow disk, is over.
const KEPT: usize = 512 << 10;

/// Records, or bytes of lines.
#[derive(Debug)]
pub(super) struct Gathered<T> {
    places: [Mutex<Gathering<T>>; LANES],
    /// Of each place.
    most: usize,
    /// Entries that found no room.
    dropped: AtomicU64,
    /// Whether somebody was told already that there is something.
    is_known: AtomicBool,
    news: Notify,
}

#[derive(Debug)]
struct Gathering<T> {
    waiting: Vec<T>,
    is_closed: bool,
}

impl<T> Gathered<T> {
    /// With room for `most` records or bytes in each place, and one entry more.
    pub(super) fn new(most: usize) -> Self {
        let empty = |_| {
            Mutex::new(Gathering {
                waiting: Vec::new(),
                is_closed: false,
            })
        };
        Self {
            places: std::array::from_fn(empty),
            most,
            dropped: AtomicU64::new(0),
            is_known: AtomicBool::new(false),
            news: Notify::new(),
        }
    }

    /// Has `append` append one entry, if there is room.
    pub(super) fn put(&self, append: impl FnOnce(&mut Vec<T>)) {
        let mut place = lock(&self.places[lane::current()]);
        if place.is_closed || place.waiting.len() >= self.most {
            drop(place);
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        append(&mut place.waiting);
        drop(place);
        // Most often it is: then a look at a line of memory that nobody writes to.
        if !self.is_known.load(Ordering::Acquire) && !self.is_known.swap(true, Ordering::AcqRel) {
            self.news.notify_one();
        }
    }

    /// Waits until there may be something.
    pub(super) async fn news(&self) {
        self.news.notified().await;
        // Before anything is taken: what comes from now on is news again.
        self.is_known.store(false, Ordering::Release);
    }

    /// Gives all that waits to `write`, place by place, in `room`, which is left empty. `write` holds up nobody.
    pub(super) fn take(&self, room: &mut Vec<T>, mut write: impl FnMut(&mut Vec<T>)) {
        for place in &self.places {
            let mut place = lock(place);
            // Buffers go round among the places that are used: what a thread appends to should be in its caches.
            if place.waiting.is_empty() {
                continue;
            }
            std::mem::swap(room, &mut place.waiting);
            drop(place);
            write(room);
            room.clear();
            room.shrink_to(KEPT / size_of::<T>());
        }
    }

    /// What comes from now on finds no room.
    pub(super) fn close(&self) {
        for place in &self.places {
            lock(place).is_closed = true;
        }
    }

    /// Entries that found no room since the last time that somebody asked.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }
}

fn lock<T>(place: &Mutex<Gathering<T>>) -> MutexGuard<'_, Gathering<T>> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}
