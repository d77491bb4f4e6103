//! Why something cannot be said or done about environments.

use std::path::PathBuf;

use serving_core::LoadError;

use crate::error::RunnerError;

/// Why something cannot be said or done about environments.
#[derive(Debug, thiserror::Error)]
pub enum SpaceError {
    /// No environment has this key.
    #[error("there is no environment {0}: `sluicegate environments list` shows them all")]
    Unknown(String),
    /// Several environments have a key that begins so.
    #[error("{key} could be any of {}: give more digits", candidates.join(", "))]
    Ambiguous {
        /// What was given.
        key: String,
        /// Keys that begin with it.
        candidates: Vec<String>,
    },
    /// An environment cannot be packed.
    #[error("the environment {key} cannot be exported to {}: {reason}", path.display())]
    Export {
        /// Which one.
        key: String,
        /// The file.
        path: PathBuf,
        /// What is in the way.
        reason: String,
    },
    /// What is to be imported is no packed environment, or one of another platform.
    #[error("{} cannot be imported: {reason}", path.display())]
    Import {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The disk.
    #[error(transparent)]
    Runner(#[from] RunnerError),
    /// A build.
    #[error(transparent)]
    Load(#[from] LoadError),
}
