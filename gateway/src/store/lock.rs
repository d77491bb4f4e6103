//! One gateway for one data folder: two would start the same workers twice.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::OpenError;
use super::open::make_private_folder;

/// The right to run a gateway in a data folder. The system takes it back when the process ends, however it ends.
#[derive(Debug)]
pub struct DataDirLock {
    _file: File,
}

/// The folder cannot be claimed.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another gateway runs there.
    #[error("another gateway runs in {}; stop it, or use another --data-dir", .0.display())]
    Taken(PathBuf),
    /// The folder or the lock file cannot be made.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl DataDirLock {
    /// Claims `data_dir`, which is made if it is missing. Fails at once if somebody else has it.
    pub fn claim(data_dir: &Path) -> Result<Self, LockError> {
        make_private_folder(data_dir)?;
        let path = data_dir.join("gateway.lock");
        let not_writable = |source| OpenError::File {
            path: path.clone(),
            source,
        };
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&path)
            .map_err(not_writable)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Taken(data_dir.to_owned())),
            Err(TryLockError::Error(source)) => Err(not_writable(source).into()),
        }
    }
}
