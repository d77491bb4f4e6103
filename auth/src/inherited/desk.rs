//! Where questions to the registry queue: so many wait, so many are asked at a time, and one task owns them all.

use std::future::Future;
use std::pin::Pin;

use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::error;

/// A question on its way; it tells those who wait for the answer by itself.
pub(crate) type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A bounded queue of questions.
pub(crate) struct Desk {
    submit: mpsc::Sender<Job>,
    waiting: Mutex<mpsc::Receiver<Job>>,
    at_a_time: usize,
}

impl Desk {
    pub(crate) fn new(at_a_time: usize, waiting: usize) -> Self {
        let (submit, receiver) = mpsc::channel(waiting.max(1));
        Self {
            submit,
            waiting: Mutex::new(receiver),
            at_a_time: at_a_time.max(1),
        }
    }

    /// Queues a question; `false` if too many wait already. Never waits itself.
    pub(crate) fn submit(&self, job: Job) -> bool {
        self.submit.try_send(job).is_ok()
    }

    /// Asks what is queued, until `shutdown`; what is under way then is dropped.
    pub(crate) async fn run(&self, shutdown: &CancellationToken) {
        let work = async {
            let mut waiting = self.waiting.lock().await;
            let mut asked = JoinSet::new();
            loop {
                tokio::select! {
                    Some(job) = waiting.recv(), if asked.len() < self.at_a_time => {
                        asked.spawn(job);
                    }
                    Some(ended) = asked.join_next() => {
                        if let Err(error) = ended {
                            error!(%error, "a question to the registry ended before its answer");
                        }
                    }
                }
            }
        };
        shutdown.run_until_cancelled(work).await;
    }
}
