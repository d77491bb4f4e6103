//! Where a version is in its life, as people and APIs see it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// `Pending -> Building -> Starting -> Ready -> Draining -> Retired`, and `Failed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Phase {
    /// Wanted; nothing is done for it yet, for one because its predecessor is not gone.
    Pending,
    /// The loader fetches it and builds its environment, or waits for a free place to do so.
    Building,
    /// Workers start and warm up.
    Starting,
    /// Callers can reach it. Published after the routing table holds it.
    Ready,
    /// Callers can no longer reach it; requests in flight end. Published before the table drops it.
    Draining,
    /// Gone.
    Retired,
    /// It could not be loaded.
    Failed(Failure),
}

/// Why a version is not served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Whether trying again without a change could help.
    pub kind: FailureKind,
    /// A word for programs that says what kind of trouble it was, if the loader has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Arc<str>>,
    /// One or two sentences for people.
    pub message: Arc<str>,
    /// The last lines that the failed step printed, oldest first; may be empty.
    pub last_lines: Vec<String>,
    /// When it is tried again; `None` waits for a change of what is wanted.
    pub next_try: Option<SystemTime>,
    /// How often it was tried.
    pub attempts: u32,
}

/// Two kinds of failure (law 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// Waits for a change of spec or intent.
    Permanent,
    /// Tried again after a growing, jittered pause.
    Transient,
    /// It became ready and died too often; tried again after the longest pause.
    CrashLoop,
}

impl Phase {
    /// The state's name: `PENDING`, `BUILDING`, `STARTING`, `READY`, `DRAINING`, `RETIRED`, `FAILED`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Building => "BUILDING",
            Self::Starting => "STARTING",
            Self::Ready => "READY",
            Self::Draining => "DRAINING",
            Self::Retired => "RETIRED",
            Self::Failed(_) => "FAILED",
        }
    }
}

impl Failure {
    /// Pause until the next try as seen at `now`, in whole seconds, at least one; `None` if none is planned.
    pub fn retry_after(&self, now: SystemTime) -> Option<Duration> {
        let left = self.next_try?.duration_since(now).unwrap_or_default();
        Some(Duration::from_secs(left.as_secs().max(1)))
    }
}
