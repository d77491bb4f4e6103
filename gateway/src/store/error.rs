//! What can go wrong with the database, told so that the one who runs it knows what to do.

use std::path::PathBuf;

/// The store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder is not there and cannot be made.
    #[error("the data folder {} cannot be made: {source}", path.display())]
    Folder {
        /// Which folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file cannot be made or written.
    #[error("{} cannot be written: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A newer release has written it.
    #[error("{} was written by a newer version of sluicegate; use that one, or another data folder", path.display())]
    Newer {
        /// Which file.
        path: PathBuf,
    },
    /// It is there and is not ours.
    #[error("{} cannot be used: {source}", path.display())]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
}

/// Reading or writing failed. Nothing of the operation has happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another process writes and does not end.
    #[error("the database is locked by another process")]
    Locked,
    /// No space left.
    #[error("the disk of the database is full")]
    Full,
    /// The file or its folder became read-only.
    #[error("the database cannot be written")]
    NotWritable,
    /// It is no database, or a broken one.
    #[error("the database file is damaged: {0}")]
    Damaged(String),
    /// Too many are waiting for it.
    #[error("the database does not answer in time")]
    Busy,
    /// Anything else.
    #[error("the database failed: {0}")]
    Other(String),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let sqlx::Error::Database(database) = &error else {
            return match error {
                sqlx::Error::PoolTimedOut => Self::Busy,
                other => Self::Other(other.to_string()),
            };
        };
        // The low byte is the primary result code: https://sqlite.org/rescode.html
        let code = database
            .code()
            .and_then(|code| code.parse::<u32>().ok())
            .unwrap_or_default();
        match code & 0xff {
            5 | 6 => Self::Locked,
            8 | 14 => Self::NotWritable,
            13 => Self::Full,
            11 | 26 => Self::Damaged(database.message().to_owned()),
            _ => Self::Other(database.message().to_owned()),
        }
    }
}
