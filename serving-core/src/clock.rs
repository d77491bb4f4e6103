//! Wall-clock time as an input, so that tests own it. Pauses use `tokio::time`, which obeys paused time.

use std::time::SystemTime;

use tokio::time::Instant;

/// Says what time it is, for people.
pub trait Clock: Send + Sync {
    /// The wall-clock time now.
    fn now(&self) -> SystemTime;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// The Unix epoch plus the time that the runtime says has passed since this was made: follows paused time.
#[derive(Clone, Copy, Debug)]
pub struct RuntimeClock {
    start: Instant,
}

impl Default for RuntimeClock {
    fn default() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Clock for RuntimeClock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.start.elapsed()
    }
}
