//! The way of the access log's entries: a bounded queue to a writer that is no part of scoring. A disk that is too slow
//! loses entries, which is counted and said, and slows nobody down.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::access_record::AccessRecord;
use super::standard_error::{lost, together};
use crate::config::AccessLogConfig;

/// Entries on their way: some seconds of a busy gateway, a few megabytes.
const QUEUE: usize = 8192;
/// Entries that are written in one go.
const BATCH: usize = 256;
/// Between two looks into the queue, unless more is known to be there. Meanwhile entries gather, and whoever puts one in
/// wakes nobody: waking a thread costs a request more than all else that is done for its entry.
const PAUSE: Duration = Duration::from_millis(20);

/// Where entries are put. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AccessLog {
    queue: mpsc::Sender<Box<AccessRecord>>,
    dropped: Arc<AtomicU64>,
    sample: f64,
    control_plane: bool,
}

/// Writes them.
#[derive(Debug)]
pub struct AccessLogWriter {
    queue: mpsc::Receiver<Box<AccessRecord>>,
    dropped: Arc<AtomicU64>,
}

impl AccessLog {
    /// A log, and what writes it once it is run.
    pub fn new(config: AccessLogConfig) -> (Self, AccessLogWriter) {
        let (sender, queue) = mpsc::channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let log = Self {
            queue: sender,
            dropped: Arc::clone(&dropped),
            sample: config.sample,
            control_plane: config.control_plane,
        };
        (log, AccessLogWriter { queue, dropped })
    }

    pub(super) fn tells_of_the_control_plane(&self) -> bool {
        self.control_plane
    }

    /// Takes an entry if it is a failure or in the sample, and there is room. Never waits.
    pub(super) fn put(&self, record: AccessRecord) {
        let is_sampled = self.sample < 1.0;
        if is_sampled && record.is_success() && rand::random::<f64>() >= self.sample {
            return;
        }
        if self.queue.try_send(Box::new(record)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl AccessLogWriter {
    /// Writes until `closed`, then what is there already. `write` may block: it has a thread for as long as it takes.
    pub async fn run(
        mut self,
        closed: CancellationToken,
        mut write: impl FnMut(&AccessRecord) + Send + 'static,
    ) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut told = lost();
        loop {
            tokio::select! {
                biased;
                taken = self.queue.recv_many(&mut batch, BATCH) => if taken == 0 {
                    return;
                },
                // What is in the queue can still be taken out.
                () = closed.cancelled(), if !self.queue.is_closed() => {
                    self.queue.close();
                    continue;
                }
            }
            let more = batch.len() == BATCH;
            let written = spawn_blocking(move || {
                together(|| batch.drain(..).for_each(|record| write(&record)));
                (batch, write)
            });
            match written.await {
                Ok(given_back) => (batch, write) = given_back,
                Err(reason) => {
                    error!(%reason, "the access log's writer has failed");
                    return;
                }
            }
            let dropped = self.dropped.swap(0, Ordering::Relaxed);
            if dropped > 0 {
                warn!(
                    dropped,
                    "the access log is written too slowly: some entries were left out"
                );
            }
            let unwritten = lost();
            if unwritten > told {
                warn!(
                    records = unwritten - told,
                    "standard error could not be written: records of the log were lost"
                );
                // Unless this one was lost as well.
                if lost() == unwritten {
                    told = unwritten;
                }
            }
            if !more {
                closed.run_until_cancelled(sleep(PAUSE)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::mpsc::sync_channel;
    use std::time::{Duration, SystemTime};

    use super::super::access_record::Outcome;
    use super::*;

    fn record(status: Option<u16>, outcome: Outcome) -> AccessRecord {
        AccessRecord {
            arrived: SystemTime::UNIX_EPOCH,
            request_id: "id".to_owned(),
            peer: SocketAddr::from(([192, 0, 2, 1], 4242)),
            principal: None,
            method: http::Method::POST,
            route: None,
            model: None,
            reference: None,
            version: None,
            status,
            error_code: None,
            outcome,
            bytes_in: 0,
            bytes_out: 0,
            queued: None,
            worked: None,
            attempts: 0,
            took: Duration::ZERO,
            user_agent: None,
            trace_id: None,
        }
    }

    fn log(sample: f64) -> (AccessLog, AccessLogWriter) {
        AccessLog::new(AccessLogConfig {
            enabled: true,
            sample,
            control_plane: false,
        })
    }

    async fn written(writer: AccessLogWriter) -> Vec<Option<u16>> {
        let (sender, receiver) = sync_channel(QUEUE * 2);
        let closed = CancellationToken::new();
        closed.cancel();
        let write = move |record: &AccessRecord| sender.send(record.status).unwrap();
        writer.run(closed, write).await;
        receiver.into_iter().collect()
    }

    #[tokio::test]
    async fn successes_are_sampled_and_failures_never() {
        let (log, writer) = log(0.0);
        log.put(record(Some(200), Outcome::Answered));
        log.put(record(Some(302), Outcome::Answered));
        log.put(record(Some(404), Outcome::Answered));
        log.put(record(Some(503), Outcome::Answered));
        log.put(record(Some(200), Outcome::ClientGone));
        log.put(record(Some(200), Outcome::BrokenOff));
        log.put(record(None, Outcome::ClientGone));
        // A stream that its client closed is a success.
        let expected = [Some(404), Some(503), Some(200), None];
        assert_eq!(written(writer).await, expected);
    }

    #[tokio::test]
    async fn a_part_of_the_successes_is_about_that_part() {
        let (log, writer) = log(0.25);
        for _ in 0..4000 {
            log.put(record(Some(200), Outcome::Answered));
        }
        let written = written(writer).await.len();
        assert!((700..1300).contains(&written), "{written}");
    }

    #[tokio::test]
    async fn a_full_queue_loses_entries_counts_them_and_waits_for_nobody() {
        let (log, writer) = log(1.0);
        for _ in 0..QUEUE + 3 {
            log.put(record(Some(200), Outcome::Answered));
        }
        assert_eq!(writer.dropped.load(Ordering::Relaxed), 3);
        assert_eq!(written(writer).await.len(), QUEUE);
        assert_eq!(log.dropped.load(Ordering::Relaxed), 0);
    }
}
