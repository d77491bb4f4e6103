//! Errors that tell of the machine, not of a package: at another time, or on another disk, the same would have worked.

use std::error::Error;
use std::io;

use rustix::io::Errno;

/// What the system says when something is short, slow or broken for now.
const PASSING: [Errno; 11] = [
    Errno::MFILE,
    Errno::NFILE,
    Errno::IO,
    Errno::NOMEM,
    Errno::AGAIN,
    Errno::INTR,
    Errno::BUSY,
    Errno::NOLCK,
    Errno::STALE,
    Errno::TIMEDOUT,
    Errno::ROFS,
];

/// Whether the cause is a disk without room.
pub(super) fn is_disk_full(error: &(dyn Error + 'static)) -> bool {
    any(error, &|error| match error.downcast_ref::<io::Error>() {
        Some(error) => {
            use io::ErrorKind::{QuotaExceeded, StorageFull};
            matches!(error.kind(), StorageFull | QuotaExceeded)
        }
        // Some libraries keep the text only.
        None => error.to_string().contains("No space left on device"),
    })
}

/// Whether another try could help, whatever was done with whichever package.
pub(super) fn is_passing(error: &(dyn Error + 'static)) -> bool {
    any(error, &|error| {
        let error = error.downcast_ref::<io::Error>();
        error.is_some_and(|error| {
            use io::ErrorKind::{Interrupted, OutOfMemory, TimedOut, WouldBlock};
            let said = error.raw_os_error();
            let is_said = said
                .is_some_and(|said| PASSING.iter().any(|passing| passing.raw_os_error() == said));
            is_said
                || matches!(
                    error.kind(),
                    Interrupted | OutOfMemory | TimedOut | WouldBlock
                )
        })
    })
}

/// Whether `holds` for an error or one of its causes.
fn any(error: &(dyn Error + 'static), holds: &dyn Fn(&(dyn Error + 'static)) -> bool) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if holds(error) {
            return true;
        }
        // Its `source` is not the error in it, but what caused that one.
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        if inner.is_some_and(|inner| any(inner, holds)) {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use rattler_package_streaming::ExtractError;

    use super::*;

    #[test]
    fn the_machines_trouble_is_found_however_deep_it_is() {
        for errno in PASSING {
            let plain = || io::Error::from_raw_os_error(errno.raw_os_error());
            let wrapped = io::Error::new(plain().kind(), plain());
            let twice = io::Error::other(ExtractError::IoError(wrapped));
            assert!(is_passing(&plain()), "{errno}");
            assert!(is_passing(&twice), "{errno}");
            assert!(!is_disk_full(&twice), "{errno}");
        }
        for errno in [Errno::NOSPC, Errno::DQUOT] {
            let full = io::Error::from_raw_os_error(errno.raw_os_error());
            let full = ExtractError::IoError(io::Error::other(full));
            assert!(is_disk_full(&full) && !is_passing(&full), "{errno}");
        }
        let invalid = io::Error::new(io::ErrorKind::InvalidData, "no archive");
        assert!(!is_passing(&invalid) && !is_disk_full(&invalid));
    }
}
