//! One thread writes all log files: no runtime thread waits for a disk, and nothing is lost at the end.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

use super::pieces::{LogPiece, piece, pieces};
use crate::error::RunnerError;

/// Files that are kept of one log: the current one and two before it.
const FILES: usize = 3;
/// Pieces that may wait for the disk. A worker that prints faster is slowed down, a note is dropped.
const QUEUE: usize = 512;
/// Log files that stay open between two pieces.
const OPEN_FILES: usize = 64;
/// How long a line waits for its place in the queue. Whoever says something has other work to do.
const LINE_WAIT: Duration = Duration::from_secs(2);
/// Between two complaints about a disk that takes nothing: workers may print thousands of lines a second.
const COMPLAINT_PAUSE: Duration = Duration::from_secs(60);

/// The way to the thread. Dropping the last one writes what is queued and ends it.
#[derive(Clone, Debug)]
pub(crate) struct LogWriter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// `None` only while it is dropped.
    queue: Option<mpsc::Sender<Message>>,
    thread: Option<JoinHandle<()>>,
}

enum Message {
    Append {
        path: Arc<Path>,
        bytes: Bytes,
    },
    /// The last line of a file that nothing is added to any more.
    Last {
        file: File,
        line: String,
    },
    Written(oneshot::Sender<()>),
}

/// One log, in files of a bounded size; or several that are told the same.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    /// Never empty.
    paths: Arc<[Arc<Path>]>,
    writer: LogWriter,
}

impl LogWriter {
    /// Starts the thread. A log goes on in a new file before the old one would grow over `size` bytes.
    pub(crate) fn start(size: u64) -> Result<Self, RunnerError> {
        let (queue, messages) = mpsc::channel(QUEUE);
        let files = Files {
            size,
            open: HashMap::new(),
            complaints: Complaints::default(),
        };
        let thread = std::thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || files.run(messages))
            .map_err(RunnerError::LogWriter)?;
        Ok(Self(Arc::new(Inner {
            queue: Some(queue),
            thread: Some(thread),
        })))
    }

    /// The log at `path`; its folder is made when the first line is written.
    pub(crate) fn log(&self, path: PathBuf) -> Log {
        Log {
            paths: [path.into()].into(),
            writer: self.clone(),
        }
    }

    /// Writes the last line of `file` after all that was said before, and closes it. Never waits: when the queue is
    /// full, it is closed as it is.
    pub(crate) fn finish(&self, file: File, line: String) {
        if let Some(queue) = &self.0.queue
            && queue.try_send(Message::Last { file, line }).is_err()
        {
            tracing::debug!("dropped the end of an attempt: the log queue is full");
        }
    }
}

impl Log {
    /// The log that tells `other` all that it is told. Both are of one writer.
    pub(crate) fn tee(&self, other: &Self) -> Self {
        let mut paths = self.paths.to_vec();
        // Told twice, a file would have each line twice.
        paths.extend(other.paths.iter().cloned());
        paths.sort();
        paths.dedup();
        Self {
            paths: paths.into(),
            writer: self.writer.clone(),
        }
    }

    /// Appends bytes as they are. Waits while the queue is full.
    pub(crate) async fn write(&self, bytes: Bytes) {
        for path in &*self.paths {
            self.send(Message::Append {
                path: Arc::clone(path),
                bytes: bytes.clone(),
            })
            .await;
        }
    }

    /// Appends a line, or drops it when the queue stays full.
    pub(crate) async fn line(&self, text: &str) {
        let line = self.write(Bytes::from(format!("{text}\n")));
        if timeout(LINE_WAIT, line).await.is_err() {
            tracing::debug!(paths = ?self.paths, "dropped a line: the log queue is full");
        }
    }

    /// Appends a line, or drops it when the queue is full. Never waits.
    pub(crate) fn note(&self, text: &str) {
        let Some(queue) = &self.writer.0.queue else {
            return;
        };
        for path in &*self.paths {
            let dropped = queue.try_send(Message::Append {
                path: Arc::clone(path),
                bytes: Bytes::from(format!("{text}\n")),
            });
            if dropped.is_err() {
                tracing::debug!(path = %path.display(), "dropped a note: the log queue is full");
            }
        }
    }

    /// Returns when all that was sent before is with the operating system.
    pub(crate) async fn written(&self) {
        let (written, is_written) = oneshot::channel();
        self.send(Message::Written(written)).await;
        // An error means that the thread is gone, and then nothing is written any more.
        let _ = is_written.await;
    }

    async fn send(&self, message: Message) {
        if let Some(queue) = &self.writer.0.queue {
            let _ = queue.send(message).await;
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // The thread never panics; if it did, there is nothing left to write anyway.
            let _ = thread.join();
        }
    }
}

struct Files {
    size: u64,
    open: HashMap<Arc<Path>, OpenFile>,
    complaints: Complaints,
}

/// Counts failures, and says which of them to tell.
#[derive(Debug, Default)]
struct Complaints {
    last: Option<Instant>,
    since: u64,
}

struct OpenFile {
    file: File,
    /// Bytes of the log before this file.
    start: u64,
    length: u64,
}

impl Files {
    fn run(mut self, mut messages: mpsc::Receiver<Message>) {
        while let Some(message) = messages.blocking_recv() {
            match message {
                Message::Append { path, bytes } => {
                    if let Err(error) = self.append(&path, &bytes) {
                        // Perhaps somebody removed the folder, or the disk is full: open anew next time.
                        self.open.remove(&path);
                        if let Some(failures) = self.complaints.due(Instant::now()) {
                            tracing::warn!(path = %path.display(), %error, failures, "cannot write logs");
                        }
                    }
                }
                Message::Last { mut file, line } => {
                    if let Err(error) = file.write_all(line.as_bytes()) {
                        tracing::debug!(%error, "cannot write how an attempt ended");
                    }
                }
                Message::Written(written) => {
                    let _ = written.send(());
                }
            }
        }
    }

    fn append(&mut self, path: &Arc<Path>, bytes: &[u8]) -> io::Result<()> {
        let size = self.size;
        let open = self.opened(path)?;
        if open.is_gone() || open.is_full(bytes.len(), size) {
            // What was removed is passed over, too: no place in a log is ever used twice.
            let end = open.start + open.length;
            self.open.remove(path);
            let next = OpenFile::open(piece(path, end))?;
            self.open.insert(Arc::clone(path), next);
            forget(path)?;
        }
        let open = self.opened(path)?;
        open.file.write_all(bytes)?;
        open.length += bytes.len() as u64;
        Ok(())
    }

    fn opened(&mut self, path: &Arc<Path>) -> io::Result<&mut OpenFile> {
        if self.open.len() >= OPEN_FILES && !self.open.contains_key(path) {
            self.open.clear();
        }
        Ok(match self.open.entry(Arc::clone(path)) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let newest = pieces(path)?.pop().unwrap_or_else(|| piece(path, 0));
                entry.insert(OpenFile::open(newest)?)
            }
        })
    }
}

impl Complaints {
    /// Counts one failure; says how many there were since the last complaint if another one is due.
    fn due(&mut self, now: Instant) -> Option<u64> {
        self.since += 1;
        if self.last.is_some_and(|last| now < last + COMPLAINT_PAUSE) {
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.since))
    }
}

impl OpenFile {
    fn open(piece: LogPiece) -> io::Result<Self> {
        if let Some(folder) = piece.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = File::options().create(true).append(true).open(piece.path)?;
        let length = file.metadata()?.len();
        Ok(Self {
            file,
            start: piece.start,
            length,
        })
    }

    /// Whether somebody has removed it: an old log makes room for others, and may be written to again.
    fn is_gone(&self) -> bool {
        self.file
            .metadata()
            .is_ok_and(|metadata| metadata.nlink() == 0)
    }

    /// Whether `more` bytes belong into the next file. An empty file takes a piece of any length.
    fn is_full(&self, more: usize, size: u64) -> bool {
        self.length > 0 && self.length + more as u64 > size
    }
}

/// Removes the oldest files of a log that has too many.
fn forget(path: &Path) -> io::Result<()> {
    let all = pieces(path)?;
    let old = all.len().saturating_sub(FILES);
    for piece in all.into_iter().take(old) {
        match std::fs::remove_file(piece.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_log_is_rotated_by_size_and_the_oldest_lines_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/worker.log");
        let log = LogWriter::start(100).unwrap().log(path.clone());
        for number in 0..40 {
            log.line(&format!("line {number:04}")).await;
        }
        log.written().await;
        let files = pieces(&path).unwrap();
        let kept: Vec<String> = files
            .iter()
            .map(|piece| std::fs::read_to_string(&piece.path).unwrap())
            .collect();
        assert_eq!(files[0].start, 100);
        assert!(kept.iter().all(|text| text.len() == 100));
        let lines: Vec<&str> = kept.iter().flat_map(|text| text.lines()).collect();
        assert_eq!(
            lines,
            (10..40)
                .map(|number| format!("line {number:04}"))
                .collect::<Vec<_>>()
        );
    }

    #[tokio::test]
    async fn two_logs_are_told_the_same_once_each() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["one.log", "two.log"].map(|name| folder.path().join(name));
        let writer = LogWriter::start(1 << 20).unwrap();
        let [one, two] = paths.clone().map(|path| writer.log(path));
        let both = one.tee(&two).tee(&one);
        both.line("line").await;
        both.note("note");
        two.line("more").await;
        both.written().await;
        let [one, two] = paths.map(|path| std::fs::read_to_string(path).unwrap());
        assert_eq!(
            (one.as_str(), two.as_str()),
            ("line\nnote\n", "line\nnote\nmore\n")
        );
    }

    #[test]
    fn a_disk_that_takes_nothing_is_complained_about_once_a_minute() {
        let mut complaints = Complaints::default();
        let start = Instant::now();
        assert_eq!(complaints.due(start), Some(1));
        for second in 1..60 {
            assert_eq!(complaints.due(start + Duration::from_secs(second)), None);
        }
        assert_eq!(complaints.due(start + COMPLAINT_PAUSE), Some(60));
    }

    #[test]
    fn what_is_queued_is_written_when_the_writer_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("worker.log");
        let log = LogWriter::start(1 << 20).unwrap().log(path.clone());
        for _ in 0..100 {
            log.note("note");
        }
        drop(log);
        assert_eq!(std::fs::read_to_string(path).unwrap().lines().count(), 100);
    }

    #[tokio::test]
    async fn a_log_that_was_removed_while_it_was_open_goes_on_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("worker.log");
        let log = LogWriter::start(1 << 20).unwrap().log(path.clone());
        log.line("old").await;
        log.written().await;
        std::fs::remove_file(&path).unwrap();
        log.line("new").await;
        log.written().await;
        let left = pieces(&path).unwrap();
        assert_eq!(left, [piece(&path, 4)]);
        assert_eq!(std::fs::read_to_string(&left[0].path).unwrap(), "new\n");
    }

    #[tokio::test]
    async fn a_second_start_appends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("worker.log");
        for text in ["one", "two"] {
            LogWriter::start(1 << 20)
                .unwrap()
                .log(path.clone())
                .line(text)
                .await;
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), "one\ntwo\n");
    }
}
