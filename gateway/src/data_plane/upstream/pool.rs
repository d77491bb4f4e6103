//! The idle connections of one worker; the one that was used last is used next. What a burst left is closed when it has
//! been idle for too long, whether a request comes or not.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

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
    lanes: [Mutex<Idle>; LANES],
}

/// What one scoring thread keeps.
#[derive(Debug, Default)]
struct Idle {
    /// Oldest first.
    connections: Vec<(Instant, Connection)>,
    /// Whether a task looks after them.
    is_swept: bool,
}

impl Pool {
    /// A pool for a worker that closes connections after `keep_alive` without a request.
    pub(super) fn new(keep_alive: Duration) -> Arc<Self> {
        Arc::new(Self {
            longest_idle: keep_alive.saturating_sub(MARGIN.min(keep_alive / 2)),
            lanes: std::array::from_fn(|_| Mutex::default()),
        })
    }

    /// A connection that is open as far as one can know.
    pub(super) fn take(&self) -> Option<Connection> {
        let now = Instant::now();
        loop {
            let (since, connection) = self.lane(lane::current()).connections.pop()?;
            if now.duration_since(since) >= self.longest_idle {
                // So have been all others. They are closed without the lock.
                let older = std::mem::take(&mut self.lane(lane::current()).connections);
                drop(older);
                return None;
            }
            if connection.is_free() {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection for the next request.
    pub(super) fn put(self: &Arc<Self>, connection: Connection) {
        if self.longest_idle.is_zero() {
            return;
        }
        let number = lane::current();
        let mut lane = self.lane(number);
        if lane.connections.len() < MOST_IDLE {
            lane.connections.push((Instant::now(), connection));
        }
        if lane.is_swept {
            return;
        }
        // Without a runtime, nobody has a connection to put.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(sweep(Arc::downgrade(self), number, self.longest_idle));
            lane.is_swept = true;
        }
    }

    /// Closes what has been idle for too long. Whether something is left.
    fn sweep(&self, number: usize) -> bool {
        let now = Instant::now();
        let mut lane = self.lane(number);
        let is_old = |(since, _): &(Instant, _)| now.duration_since(*since) >= self.longest_idle;
        let fresh = lane.connections.partition_point(is_old);
        let old: Vec<_> = lane.connections.drain(..fresh).collect();
        lane.is_swept = !lane.connections.is_empty();
        if !lane.is_swept {
            lane.connections = Vec::new();
        }
        let is_swept = lane.is_swept;
        // They are closed without the lock.
        drop(lane);
        drop(old);
        is_swept
    }

    fn lane(&self, number: usize) -> MutexGuard<'_, Idle> {
        let lane = self.lanes[number].lock();
        lane.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks after one thread's connections until none is left, or the pool is gone.
async fn sweep(pool: Weak<Pool>, number: usize, every: Duration) {
    loop {
        sleep(every).await;
        let goes_on = pool.upgrade().is_some_and(|pool| pool.sweep(number));
        if !goes_on {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::UnixStream;
    use tokio_util::either::Either;

    use super::*;

    const KEEP_ALIVE: Duration = Duration::from_secs(61);

    /// Keeps a new connection, whose other end this is.
    fn put(pool: &Arc<Pool>) -> UnixStream {
        let (worker, ours) = UnixStream::pair().unwrap();
        pool.put(Connection::over(Either::Left(ours)));
        worker
    }

    fn kept(pool: &Pool) -> usize {
        pool.lane(lane::current()).connections.len()
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_been_idle_for_too_long_is_closed_though_no_request_comes() {
        let pool = Pool::new(KEEP_ALIVE);
        for _ in 0..2 {
            let mut first = put(&pool);
            sleep(Duration::from_secs(40)).await;
            let mut second = put(&pool);
            sleep(Duration::from_secs(19)).await;
            assert_eq!(kept(&pool), 2);
            sleep(Duration::from_secs(2)).await;
            assert_eq!(kept(&pool), 1);
            assert_eq!(first.read(&mut [0]).await.unwrap(), 0);
            sleep(Duration::from_secs(60)).await;
            assert_eq!(kept(&pool), 0);
            assert_eq!(second.read(&mut [0]).await.unwrap(), 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_too_old_is_not_used() {
        let pool = Pool::new(KEEP_ALIVE);
        let _first = put(&pool);
        sleep(Duration::from_secs(1)).await;
        // When the others are looked at, it is not too old yet.
        let _second = put(&pool);
        sleep(Duration::from_secs(80)).await;
        assert_eq!(kept(&pool), 1);
        assert!(pool.take().is_none());
        assert_eq!(kept(&pool), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_looks_after_connections_of_a_worker_that_has_gone() {
        let pool = Pool::new(KEEP_ALIVE);
        let mut worker = put(&pool);
        drop(pool);
        assert_eq!(worker.read(&mut [0]).await.unwrap(), 0);
        let metrics = Handle::current().metrics();
        sleep(KEEP_ALIVE * 2).await;
        assert_eq!(metrics.num_alive_tasks(), 0);
    }
}
