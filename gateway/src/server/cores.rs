//! A runtime of one thread for each core: a connection stays where it was put, with all that its requests use.
//!
//! A runtime that shares its tasks among threads wakes one of them whenever a task is ready while others sleep. For a request
//! that takes some microseconds, that costs more than all else that is done for it; and what it used is in another core's
//! caches then. A thread of its own finds all that has happened meanwhile in one look, and wakes nobody. The price: a
//! connection does not move to a core that has nothing to do. A request is short, and what is long in it is done by workers.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::sync::CancellationToken;

use crate::lane;

/// Threads that serve connections. Dropping it ends them, whatever they are doing.
#[derive(Debug)]
pub struct Cores {
    cores: Vec<Core>,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Core {
    handle: Handle,
    connections: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

/// A place on a core, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) handle: Handle,
    connections: Arc<AtomicUsize>,
}

impl Cores {
    /// Starts as many as the machine has, or as this process may use of them.
    ///
    /// # Errors
    ///
    /// If a thread or its runtime cannot be made.
    pub fn start() -> io::Result<Self> {
        let stop = CancellationToken::new();
        let count = thread::available_parallelism().map_or(1, usize::from);
        let cores = (0..count).map(|number| Core::start(number, stop.clone()));
        let cores = cores.collect::<io::Result<_>>()?;
        Ok(Self { cores, stop })
    }

    /// A place where the fewest are.
    pub(super) fn seat(&self) -> Option<Seat> {
        let core = self
            .cores
            .iter()
            .min_by_key(|core| core.connections.load(Ordering::Relaxed))?;
        core.connections.fetch_add(1, Ordering::Relaxed);
        Some(Seat {
            handle: core.handle.clone(),
            connections: Arc::clone(&core.connections),
        })
    }
}

impl Core {
    fn start(number: usize, stop: CancellationToken) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let thread = thread::Builder::new()
            .name(format!("scoring-{number}"))
            .spawn(move || work(&runtime, number, &stop))?;
        Ok(Self {
            handle,
            connections: Arc::default(),
            thread: Some(thread),
        })
    }
}

fn work(runtime: &Runtime, number: usize, stop: &CancellationToken) {
    lane::enter(number);
    runtime.block_on(stop.cancelled());
}

impl Drop for Cores {
    fn drop(&mut self) {
        self.stop.cancel();
        for core in &mut self.cores {
            // A thread that panicked has said so.
            let _ = core.thread.take().map(JoinHandle::join);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
