//! How many bytes of request bodies are held at a time, over all requests: connections are many, and each may send a
//! body as large as the limit.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The bytes that may be held.
#[derive(Debug)]
pub(super) struct BodyMemory {
    limit: usize,
    used: AtomicUsize,
}

/// Bytes in use, until it is dropped.
#[derive(Debug)]
pub(super) struct Reserved {
    memory: Arc<BodyMemory>,
    bytes: usize,
}

/// The bytes of one request or of several, in use until it is dropped.
pub(super) type Held = Arc<dyn Debug + Send + Sync>;

/// Others hold what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exhausted;

impl BodyMemory {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            used: AtomicUsize::new(0),
        })
    }

    /// A reservation of nothing, to be added to. A body pays for what has come of it, not for what it announces:
    /// whoever only announces would take the memory from those who send.
    pub(super) fn reserve(self: &Arc<Self>) -> Reserved {
        Reserved {
            memory: Arc::clone(self),
            bytes: 0,
        }
    }
}

impl Reserved {
    /// Takes `bytes` more, at once or not at all.
    pub(super) fn add(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let memory = &self.memory;
        let more = |used: usize| used.checked_add(bytes).filter(|used| *used <= memory.limit);
        memory
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .map_err(|_| Exhausted)?;
        self.bytes += bytes;
        Ok(())
    }

    /// All that it holds, which it no longer does then.
    pub(super) fn take(&mut self) -> Self {
        Self {
            memory: Arc::clone(&self.memory),
            bytes: std::mem::take(&mut self.bytes),
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.memory.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_taken_up_to_the_limit_and_given_back() {
        let memory = BodyMemory::new(10);
        let mut first = memory.reserve();
        let mut second = memory.reserve();
        assert_eq!(first.add(6), Ok(()));
        assert_eq!(second.add(5), Err(Exhausted));
        assert_eq!(second.add(usize::MAX), Err(Exhausted));
        assert_eq!(second.add(4), Ok(()));
        assert_eq!(first.add(1), Err(Exhausted));
        drop(first);
        assert_eq!(second.add(6), Ok(()));
        drop(second);
        assert_eq!(memory.used.load(Ordering::Relaxed), 0);
    }
}
