//! The way of the access log's entries: bounded places where they gather, and a writer that is no part of scoring. A disk that
//! is too slow loses entries, which is counted and said, and slows nobody down.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{Level, enabled, error, warn};

use super::access_line;
use super::access_record::{AccessRecord, Entry, TARGET};
use super::gathered::Gathered;
use super::standard_error::{lost, together};
use crate::config::AccessLogConfig;

/// Records that wait on each scoring thread at most: some seconds of a busy one, a few megabytes.
const MOST_RECORDS: usize = 8192;
/// Bytes of lines that wait on each scoring thread at most: some 8,000 entries.
const MOST_BYTES: usize = 3 << 20;
/// Between two looks, unless nothing comes. Meanwhile entries gather, and whoever puts one in wakes nobody: waking a thread
/// costs a request more than all else that is done for its entry.
const PAUSE: Duration = Duration::from_millis(20);

/// Where entries are put. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AccessLog {
    gathered: Kind,
    sample: f64,
    control_plane: bool,
}

/// What entries are kept as until they are written.
#[derive(Clone, Debug)]
enum Kind {
    /// For whoever wants to look at them.
    Records(Arc<Gathered<AccessRecord>>),
    /// For standard error: made where the request ends, so that nothing of it has to be kept for another thread.
    Lines(Arc<Gathered<u8>>),
}

/// Writes what has gathered: records, or bytes of whole lines.
#[derive(Debug)]
pub struct AccessLogWriter<T> {
    gathered: Arc<Gathered<T>>,
}

impl AccessLog {
    /// A log of records, and what writes them once it is run.
    pub fn new(config: AccessLogConfig) -> (Self, AccessLogWriter<AccessRecord>) {
        let gathered = Arc::new(Gathered::new(MOST_RECORDS));
        let log = Self::of(Kind::Records(Arc::clone(&gathered)), config);
        (log, AccessLogWriter { gathered })
    }

    /// A log of lines of JSON, in the format of all records of this process ([`super::init`]), and what writes them once it is run.
    pub fn of_lines(config: AccessLogConfig) -> (Self, AccessLogWriter<u8>) {
        let gathered = Arc::new(Gathered::new(MOST_BYTES));
        let log = Self::of(Kind::Lines(Arc::clone(&gathered)), config);
        (log, AccessLogWriter { gathered })
    }

    fn of(gathered: Kind, config: AccessLogConfig) -> Self {
        Self {
            gathered,
            sample: config.sample,
            control_plane: config.control_plane,
        }
    }

    pub(super) fn tells_of_the_control_plane(&self) -> bool {
        self.control_plane
    }

    /// Takes an entry if it is a failure or in the sample, and there is room. Never waits.
    pub(super) fn put(&self, entry: &Entry<'_>) {
        if entry.is_success() && self.sample < 1.0 && rand::random::<f64>() >= self.sample {
            return;
        }
        match &self.gathered {
            Kind::Records(gathered) => gathered.put(|records| records.push(entry.to_record())),
            Kind::Lines(gathered) if enabled!(target: TARGET, Level::INFO) => {
                gathered.put(|lines| access_line::append(entry, lines));
            }
            Kind::Lines(_) => {}
        }
    }
}

impl AccessLogWriter<AccessRecord> {
    /// Writes until `closed`, then what is there already. `write` may block: it has a thread for as long as it takes.
    pub async fn run(
        self,
        closed: CancellationToken,
        mut write: impl FnMut(&AccessRecord) + Send + 'static,
    ) {
        let write =
            move |records: &[AccessRecord]| together(|| records.iter().for_each(&mut write));
        self.run_all(closed, write).await;
    }
}

impl<T: Send + 'static> AccessLogWriter<T> {
    /// The same for all that has gathered on one thread.
    pub async fn run_all(
        self,
        closed: CancellationToken,
        mut write: impl FnMut(&[T]) + Send + 'static,
    ) {
        let Self { gathered } = self;
        let mut room = Vec::new();
        let mut told = lost();
        loop {
            let is_last = closed.run_until_cancelled(gathered.news()).await.is_none();
            if is_last {
                gathered.close();
            }
            let taking = Arc::clone(&gathered);
            let written = spawn_blocking(move || {
                taking.take(&mut room, |waiting| write(waiting));
                (room, write)
            });
            match written.await {
                Ok(given_back) => (room, write) = given_back,
                Err(reason) => {
                    error!(%reason, "the access log's writer has failed");
                    gathered.close();
                    return;
                }
            }
            let dropped = gathered.dropped();
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
            if is_last {
                return;
            }
            closed.run_until_cancelled(sleep(PAUSE)).await;
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
    use crate::lane;

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

    fn log(sample: f64) -> (AccessLog, AccessLogWriter<AccessRecord>) {
        AccessLog::new(AccessLogConfig {
            enabled: true,
            sample,
            control_plane: false,
        })
    }

    async fn written(writer: AccessLogWriter<AccessRecord>) -> Vec<Option<u16>> {
        let (sender, receiver) = sync_channel(MOST_RECORDS * 2);
        let closed = CancellationToken::new();
        closed.cancel();
        let write = move |record: &AccessRecord| sender.send(record.status).unwrap();
        writer.run(closed, write).await;
        receiver.into_iter().collect()
    }

    #[tokio::test]
    async fn successes_are_sampled_and_failures_never() {
        let (log, writer) = log(0.0);
        log.put(&record(Some(200), Outcome::Answered).as_entry());
        log.put(&record(Some(302), Outcome::Answered).as_entry());
        log.put(&record(Some(404), Outcome::Answered).as_entry());
        log.put(&record(Some(503), Outcome::Answered).as_entry());
        log.put(&record(Some(200), Outcome::ClientGone).as_entry());
        log.put(&record(Some(200), Outcome::BrokenOff).as_entry());
        log.put(&record(None, Outcome::ClientGone).as_entry());
        // A stream that its client closed is a success.
        let expected = [Some(404), Some(503), Some(200), None];
        assert_eq!(written(writer).await, expected);
    }

    #[tokio::test]
    async fn a_part_of_the_successes_is_about_that_part() {
        let (log, writer) = log(0.25);
        for _ in 0..4000 {
            log.put(&record(Some(200), Outcome::Answered).as_entry());
        }
        let written = written(writer).await.len();
        assert!((700..1300).contains(&written), "{written}");
    }

    #[tokio::test]
    async fn a_full_queue_loses_entries_counts_them_and_waits_for_nobody() {
        let (log, writer) = log(1.0);
        for _ in 0..MOST_RECORDS + 3 {
            log.put(&record(Some(200), Outcome::Answered).as_entry());
        }
        let gathered = Arc::clone(&writer.gathered);
        assert_eq!(written(writer).await.len(), MOST_RECORDS);
        // Those were told of; this one comes after the end.
        assert_eq!(gathered.dropped(), 0);
        log.put(&record(Some(200), Outcome::Answered).as_entry());
        assert_eq!(gathered.dropped(), 1);
    }

    #[tokio::test]
    async fn entries_of_all_threads_are_written_each_once_and_those_of_one_in_their_order() {
        let (log, writer) = log(1.0);
        let closed = CancellationToken::new();
        let (sender, receiver) = sync_channel(4096);
        let write = move |record: &AccessRecord| {
            sender
                .send((record.request_id.clone(), record.bytes_in))
                .unwrap();
        };
        let writing = writer.run(closed.clone(), write);
        let putting = async move {
            let threads = ["a", "b", "c"].map(|name| {
                let log = log.clone();
                spawn_blocking(move || {
                    lane::enter(usize::from(name.as_bytes()[0]));
                    for number in 0..1000 {
                        let mut record = record(Some(200), Outcome::Answered);
                        name.clone_into(&mut record.request_id);
                        record.bytes_in = number;
                        log.put(&record.as_entry());
                        if number % 100 == 0 {
                            std::thread::yield_now();
                        }
                    }
                })
            });
            for thread in threads {
                thread.await.unwrap();
            }
            closed.cancel();
        };
        tokio::join!(writing, putting);
        let written: Vec<_> = receiver.into_iter().collect();
        for name in ["a", "b", "c"] {
            let of_it = written.iter().filter(|(id, _)| id == name);
            let numbers: Vec<_> = of_it.map(|(_, number)| *number).collect();
            assert_eq!(numbers, (0..1000).collect::<Vec<_>>());
        }
        assert_eq!(written.len(), 3000);
    }

    #[tokio::test]
    async fn lines_are_whole_and_bounded() {
        let (log, writer) = AccessLog::of_lines(AccessLogConfig {
            enabled: true,
            sample: 1.0,
            control_plane: false,
        });
        let subscriber = tracing_subscriber::fmt()
            .with_writer(std::io::sink)
            .finish();
        let told = tracing::subscriber::with_default(subscriber, || {
            let long = "x".repeat(1 << 20);
            for _ in 0..5 {
                let mut record = record(Some(200), Outcome::Answered);
                long.clone_into(&mut record.request_id);
                log.put(&record.as_entry());
            }
            5
        });
        let closed = CancellationToken::new();
        closed.cancel();
        let (sender, receiver) = sync_channel(8);
        let write = move |lines: &[u8]| sender.send(lines.to_vec()).unwrap();
        writer.run_all(closed, write).await;
        let lines = receiver.into_iter().collect::<Vec<_>>().concat();
        let lines = String::from_utf8(lines).unwrap();
        assert_eq!((lines.lines().count(), told), (3, 5));
        for line in lines.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["fields"]["status"], 200);
        }
        assert!(lines.ends_with('\n'));
    }
}
