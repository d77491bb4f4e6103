//! The attempts that the logs of a version tell of.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Timestamp;

/// One try to build a version, or one start of a worker, as its log tells of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogAttempt {
    /// Counts from 1, for each version and kind.
    pub attempt: u64,
    /// What the log tells of.
    pub kind: LogKind,
    /// When it began.
    pub started: Timestamp,
    /// When it ended; absent while it goes on. Of one that was interrupted, when it was last heard of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// How far it has come.
    pub outcome: AttemptOutcome,
    /// Bytes of its log that are kept.
    pub bytes: u64,
    /// Whether it goes on.
    pub current: bool,
}

/// The attempts of a version that are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogAttempts {
    /// Oldest first, those to build the version before its workers.
    pub attempts: Vec<LogAttempt>,
}

/// What a log tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogKind {
    /// Fetching the model and building its environment.
    Build,
    /// What the workers print.
    Worker,
}

/// How far an attempt has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AttemptOutcome {
    /// It goes on.
    Running,
    /// What was to be built is there.
    Succeeded,
    /// It came to nothing, or a worker ended by itself.
    Failed,
    /// It was ended because it was not wanted any more.
    Stopped,
    /// The gateway that it belonged to was killed.
    Interrupted,
}

impl AttemptOutcome {
    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
            Self::Interrupted => "interrupted",
        }
    }
}

impl LogKind {
    /// All kinds, in the order in which a version comes to them.
    pub const ALL: [Self; 2] = [Self::Build, Self::Worker];

    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Worker => "worker",
        }
    }
}
