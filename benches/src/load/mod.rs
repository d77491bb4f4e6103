//! A load generator that costs little: requests are made once, answers are read only as far as they must be, and a
//! connection is one task of one thread.
//!
//! It is never in the process that it measures. It says what it took of the machine itself, because on a small machine
//! that is what its subject could not have.

mod answer;
mod closed;
mod connection;
mod open;
mod request;
mod tally;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::clock::now;
use crate::meter;

pub use answer::Answer;
pub use connection::{Connection, call};
pub use request::Request;
pub use tally::{Outcome, Tally};

/// A subject that refuses at once would be asked millions of times.
const AFTER_ERROR: Duration = Duration::from_millis(10);
/// How long after its end a load waits for the last answers, as a rule.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A port of this machine.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// Whether the answer to the request of that number is what it has to be; says what is wrong with it.
pub type Check = Arc<dyn Fn(usize, &Answer<'_>) -> Result<(), String> + Send + Sync>;

/// When requests are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Each connection sends its next request as soon as it has the answer to the last one.
    Closed,
    /// So many requests a second in all, however fast they are answered. The time of a request begins when it *should*
    /// have been sent: a subject that stalls is charged for those that had to wait meanwhile.
    Open {
        /// Requests a second.
        rate: f64,
    },
}

/// What is sent.
#[derive(Clone)]
pub struct Load {
    /// Where to.
    pub endpoint: Endpoint,
    /// In turn, each connection from another one on.
    pub requests: Arc<[Request]>,
    /// What answers have to be; [`is_success`] for all that only have to be one.
    pub check: Check,
    /// Connections that are kept open.
    pub connections: usize,
    /// When.
    pub pace: Pace,
    /// For how long requests are begun.
    pub duration: Duration,
    /// Threads that the connections are spread over.
    pub threads: usize,
    /// How long after the end the last answers may come: those that do not are errors.
    pub patience: Duration,
}

/// What the connections of one thread have counted so far. What one of them has counted stays, whatever becomes of it.
#[derive(Clone, Debug, Default)]
struct Counts(Arc<Mutex<Tally>>);

impl Counts {
    /// Never held across a wait; only one thread's tasks take it.
    fn lock(&self) -> MutexGuard<'_, Tally> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The check that any answer with a status of 2xx passes.
pub fn is_success() -> Check {
    Arc::new(|_, answer| match answer.status {
        200..=299 => Ok(()),
        status => Err(format!("status {status}: {}", answer.text())),
    })
}

/// The check for one particular body, answered with status 200.
pub fn is_body(body: &'static [u8]) -> Check {
    Arc::new(move |_, answer| {
        if answer.status == 200 && answer.body == body {
            return Ok(());
        }
        Err(format!("status {}: {}", answer.status, answer.text()))
    })
}

impl Load {
    /// Sends it, and says what came of it. Blocks; must not be called in a runtime.
    pub fn run(&self) -> Result<Outcome> {
        ensure!(self.connections > 0, "a load needs a connection");
        ensure!(!self.requests.is_empty(), "a load needs a request");
        let threads = self.threads.clamp(1, self.connections);
        let before = meter::own_cpu()?;
        let began = now();
        let tallies: Vec<Result<Tally>> = std::thread::scope(|scope| {
            let runs = (0..threads).map(|thread| {
                let share =
                    self.connections / threads + usize::from(thread < self.connections % threads);
                scope.spawn(move || self.part(began, share, threads))
            });
            let runs: Vec<_> = runs.collect();
            let ended = runs.into_iter().map(std::thread::ScopedJoinHandle::join);
            ended
                .map(|tally| tally.unwrap_or_else(|_| anyhow::bail!("a thread panicked")))
                .collect()
        });
        let own_cpu = meter::own_cpu()?.saturating_sub(before);
        let mut whole = Tally::default();
        for tally in tallies {
            whole.add(&tally?);
        }
        Ok(whole.into_outcome(self.duration, own_cpu))
    }

    /// The share of one of several threads.
    fn part(&self, began: Instant, connections: usize, threads: usize) -> Result<Tally> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("make a runtime")?;
        let whole = self.duration + self.patience;
        let counts = Counts::default();
        runtime.block_on(async {
            let mut tasks = JoinSet::new();
            match self.pace {
                Pace::Closed => closed::begin(&mut tasks, &counts, self, connections, began),
                #[expect(clippy::cast_precision_loss, reason = "threads are few")]
                Pace::Open { rate } => {
                    let rate = rate / threads as f64;
                    open::begin(&mut tasks, &counts, self, connections, began, rate);
                }
            }
            let left = whole.saturating_sub(began.elapsed());
            let all = timeout(left, async {
                while let Some(ended) = tasks.join_next().await {
                    if let Err(panic) = ended {
                        counts.lock().fail(format!("a connection's task: {panic}"));
                    }
                }
            });
            if all.await.is_err() {
                // Each waits for an answer to one.
                for _ in 0..tasks.len() {
                    let patience = self.patience;
                    counts
                        .lock()
                        .fail(format!("no answer within {patience:?} after the end"));
                }
            }
        });
        // What still waits was dropped with the runtime.
        Ok(std::mem::take(&mut *counts.lock()))
    }
}
