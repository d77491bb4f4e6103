//! Standard error as the place of records: each is one write, or all of a batch are a few.
//!
//! That they cannot be written (whoever read them is gone, the disk of the log is full) is no failure of whoever tells of
//! something: they are lost, and counted.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tracing_subscriber::fmt::MakeWriter;

/// Bytes of records that wait for the end of their batch at most.
const MOST: usize = 64 * 1024;

/// Records that could not be written since the process began.
static LOST: AtomicU64 = AtomicU64::new(0);
/// Whether the last ones could not: half of one may stand there.
static BROKEN_OFF: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Records that this thread has told of and not written yet; `None` outside of a batch.
    static GATHERED: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// Where records go. Each call of [`Write::write`] is given whole records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StandardError;

/// Writes what was gathered, also when whoever told of it panics.
struct Batch;

/// Runs `tell`, and writes the records that it makes on this thread together. For many records at a time: nobody sees any of
/// them before the batch has ended, or has become long.
pub(super) fn together(tell: impl FnOnce()) {
    let _batch = Batch::begin();
    tell();
}

impl Batch {
    fn begin() -> Self {
        GATHERED.with_borrow_mut(|gathered| *gathered = Some(Vec::new()));
        Self
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        if let Some(records) = GATHERED.take() {
            put(&records, &mut io::stderr());
        }
    }
}

/// Writes whole lines, or counts them as lost.
pub(crate) fn write(lines: &[u8]) {
    write_to(lines, &mut io::stderr());
}

/// Not more at a time than a batch may have: whoever tells of something else meanwhile waits for one such write at most.
fn write_to(mut lines: &[u8], place: &mut impl Write) {
    while !lines.is_empty() {
        let most = lines.get(..MOST).unwrap_or(lines);
        let is_end = |byte: &u8| *byte == b'\n';
        // A line that is longer goes by itself.
        let end = most.iter().rposition(is_end);
        let end = end.or_else(|| lines.iter().position(is_end));
        let (first, rest) = lines.split_at(end.map_or(lines.len(), |end| end + 1));
        put(first, place);
        lines = rest;
    }
}

/// How many records could not be written since the process began.
pub(super) fn lost() -> u64 {
    LOST.load(Ordering::Relaxed)
}

fn put(records: &[u8], place: &mut impl Write) {
    if records.is_empty() {
        return;
    }
    let mut written = Ok(());
    if BROKEN_OFF.load(Ordering::Relaxed) {
        written = place.write_all(b"\n");
    }
    written = written.and_then(|()| place.write_all(records));
    BROKEN_OFF.store(written.is_err(), Ordering::Relaxed);
    if written.is_err() {
        // Each is a line, as a rule.
        let lines = records.split_inclusive(|&byte| byte == b'\n').count();
        let lines = u64::try_from(lines).unwrap_or(u64::MAX);
        LOST.fetch_add(lines, Ordering::Relaxed);
    }
}

/// Puts records where they belong: to those of their batch, or to `place`.
fn gather_or_put(records: &[u8], place: &mut impl Write) {
    GATHERED.with_borrow_mut(|gathered| {
        let Some(gathered) = gathered else {
            return put(records, place);
        };
        gathered.extend_from_slice(records);
        if gathered.len() >= MOST {
            put(gathered, place);
            gathered.clear();
        }
    });
}

impl Write for StandardError {
    /// Never fails: nobody who tells of something could do anything about it.
    fn write(&mut self, records: &[u8]) -> io::Result<usize> {
        gather_or_put(records, &mut io::stderr());
        Ok(records.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for StandardError {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        Self
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// What was lost is known of the process, not of a test.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

    fn waiting() -> Option<usize> {
        GATHERED.with_borrow(|gathered| gathered.as_ref().map(Vec::len))
    }

    #[test]
    fn records_of_a_batch_wait_for_its_end_or_until_they_are_many() {
        let _alone = ONE_AT_A_TIME.lock().unwrap();
        assert_eq!(waiting(), None);
        together(|| {
            StandardError.write_all(b"\n").unwrap();
            StandardError.write_all(b"\n").unwrap();
            assert_eq!(waiting(), Some(2));
            StandardError.write_all(&vec![b'\n'; MOST - 2]).unwrap();
            assert_eq!(waiting(), Some(0));
        });
        assert_eq!(waiting(), None);
    }

    /// Takes nothing while it is full.
    #[derive(Default)]
    struct Disk {
        full: bool,
        taken: Vec<u8>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.full {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.taken.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A record that ends its batch.
    fn long(byte: u8) -> Vec<u8> {
        let mut record = vec![byte; MOST];
        record.push(b'\n');
        record
    }

    #[test]
    fn records_that_cannot_be_written_are_lost_once_and_counted() {
        let _alone = ONE_AT_A_TIME.lock().unwrap();
        let mut disk = Disk {
            full: true,
            ..Disk::default()
        };
        let before = lost();
        together(|| {
            gather_or_put(&long(b'a'), &mut disk);
            assert_eq!(waiting(), Some(0), "they are not kept for another try");
            gather_or_put(b"b\n", &mut disk);
            gather_or_put(&long(b'c'), &mut disk);
            assert_eq!(lost() - before, 3);
            disk.full = false;
            gather_or_put(&long(b'd'), &mut disk);
        });
        // Half a record may stand before it.
        assert_eq!(disk.taken.len(), 1 + MOST + 1);
        assert!(disk.taken.starts_with(b"\nd"));
        assert_eq!(lost() - before, 3);
    }

    #[test]
    fn many_lines_are_written_in_steps_of_whole_lines() {
        /// Each write by itself.
        struct Steps(Vec<Vec<u8>>);

        impl Write for Steps {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.push(bytes.to_vec());
                Ok(bytes.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        let _alone = ONE_AT_A_TIME.lock().unwrap();
        let mut lines = Vec::new();
        for length in [10, MOST - 12, 5, MOST + 7, 0, 3, MOST - 1, MOST] {
            lines.extend(std::iter::repeat_n(b'x', length));
            lines.push(b'\n');
        }
        let mut steps = Steps(Vec::new());
        write_to(&lines, &mut steps);
        let lengths: Vec<_> = steps.0.iter().map(Vec::len).collect();
        assert_eq!(lengths, [MOST, 6, MOST + 8, 5, MOST, MOST + 1]);
        assert!(steps.0.iter().all(|step| step.ends_with(b"\n")));
        assert_eq!(steps.0.concat(), lines);
        write_to(b"half", &mut steps);
        assert_eq!(steps.0.last().unwrap(), b"half");
    }

    #[test]
    fn a_batch_ends_with_the_panic_of_who_tells() {
        let told = std::panic::catch_unwind(|| together(|| panic!("on purpose")));
        assert!(told.is_err());
        assert_eq!(waiting(), None);
    }
}
