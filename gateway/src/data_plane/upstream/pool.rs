//! The idle connections of one worker; the one that was used last is used next.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::connection::Connection;
use crate::lane::{self, LANES};

/// More idle ones are closed: a burst is over.
const MOST_IDLE: usize = 64;
/// How much earlier than the worker we give a connection up, so that its end and our request do not cross.
const MARGIN: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Pool {
    /// How long a connection may be idle; zero keeps none.
    longest_idle: Duration,
    /// Oldest first.
    idle: [Mutex<Vec<(Instant, Connection)>>; LANES],
}

impl Pool {
    /// A pool for a worker that closes connections after `keep_alive` without a request.
    pub(super) fn new(keep_alive: Duration) -> Arc<Self> {
        Arc::new(Self {
            longest_idle: keep_alive.saturating_sub(MARGIN.min(keep_alive / 2)),
            idle: std::array::from_fn(|_| Mutex::default()),
        })
    }

    /// A connection that is open as far as one can know.
    pub(super) fn take(&self) -> Option<Connection> {
        let now = Instant::now();
        loop {
            let connection = self.pop(now)?;
            if connection.is_free() {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection for the next request.
    pub(super) fn put(&self, connection: Connection) {
        if self.longest_idle.is_zero() {
            return;
        }
        let mut idle = self.idle[lane::current()]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MOST_IDLE {
            idle.push((Instant::now(), connection));
        }
    }

    fn pop(&self, now: Instant) -> Option<Connection> {
        let mut idle = self.idle[lane::current()]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let fresh =
            idle.partition_point(|(since, _)| now.duration_since(*since) >= self.longest_idle);
        idle.drain(..fresh);
        idle.pop().map(|(_, connection)| connection)
    }
}
