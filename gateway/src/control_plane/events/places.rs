//! How many streams there may be at a time.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::super::Refused;

/// Each holds a connection and wakes with every event.
const MOST: usize = 512;

/// The streams that are open.
#[derive(Clone, Debug)]
pub struct EventStreams(Arc<Semaphore>);

impl EventStreams {
    /// Room for so many.
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Semaphore::new(most)))
    }

    /// A place, which is free again when it is dropped.
    pub(super) fn take(&self) -> Result<OwnedSemaphorePermit, Refused> {
        Arc::clone(&self.0).try_acquire_owned().map_err(|_| {
            Refused::busy("too many streams of events are open; close one, or ask for pages")
        })
    }
}

impl Default for EventStreams {
    fn default() -> Self {
        Self::new(MOST)
    }
}
