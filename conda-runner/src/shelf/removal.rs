//! Takes things off a shelf: those that nobody uses, each as a whole, and at once out of sight.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use super::{Shelf, staging, uses};

/// What came of a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    /// It is gone.
    Removed,
    /// Somebody uses it, or there is another reason why it has to stay.
    InUse,
    /// There is nothing of this key.
    Absent,
}

impl Shelf {
    /// Removes the thing of this key, unless anybody has it in use, or `may_go` says no when nobody can take it any
    /// more. Blocks on the disk until all of it is gone.
    pub(crate) fn remove(&self, key: &str, may_go: impl FnOnce() -> bool) -> io::Result<Removal> {
        let (removal, aside) = self.set_aside(key, may_go)?;
        if let Some(aside) = aside {
            staging::remove(&aside);
        }
        Ok(removal)
    }

    /// Puts it where it does not count any more; the second value is what remains to be removed.
    pub(super) fn set_aside(
        &self,
        key: &str,
        may_go: impl FnOnce() -> bool,
    ) -> io::Result<(Removal, Option<PathBuf>)> {
        let place = self.place(key);
        if !place.try_exists()? {
            return Ok((Removal::Absent, None));
        }
        // Whoever looks for it from here on waits, and finds nothing.
        let Some(seized) = self.holds.seize(key)? else {
            return Ok((Removal::InUse, None));
        };
        if !may_go() {
            return Ok((Removal::InUse, None));
        }
        let aside = staging::path_for(&self.root, key);
        std::fs::create_dir(&aside)?;
        match std::fs::rename(&place, aside.join("removed")) {
            Ok(()) => {}
            Err(error) => {
                staging::remove(&aside);
                return match error.kind() {
                    io::ErrorKind::NotFound => Ok((Removal::Absent, None)),
                    _ => Err(error),
                };
            }
        }
        // After a loss of power it is there as a whole or not at all.
        File::open(&self.root)?.sync_all()?;
        uses::forget(&self.root, key);
        seized.forget();
        Ok((Removal::Removed, Some(aside)))
    }
}
