//! Standard error as the place of records: each is one write, or all of a batch are a few.

use std::cell::RefCell;
use std::io::{self, Write};

use tracing_subscriber::fmt::MakeWriter;

/// Bytes of records that wait for the end of their batch at most.
const MOST: usize = 64 * 1024;

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
            // Who reads standard error may be gone: there is nobody left to tell.
            let _ = io::stderr().write_all(&records);
        }
    }
}

impl Write for StandardError {
    fn write(&mut self, records: &[u8]) -> io::Result<usize> {
        GATHERED.with_borrow_mut(|gathered| {
            let Some(gathered) = gathered else {
                return io::stderr().write_all(records);
            };
            gathered.extend_from_slice(records);
            if gathered.len() >= MOST {
                io::stderr().write_all(gathered)?;
                gathered.clear();
            }
            Ok(())
        })?;
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
    use super::*;

    fn waiting() -> Option<usize> {
        GATHERED.with_borrow(|gathered| gathered.as_ref().map(Vec::len))
    }

    #[test]
    fn records_of_a_batch_wait_for_its_end_or_until_they_are_many() {
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

    #[test]
    fn a_batch_ends_with_the_panic_of_who_tells() {
        let told = std::panic::catch_unwind(|| together(|| panic!("on purpose")));
        assert!(told.is_err());
        assert_eq!(waiting(), None);
    }
}
