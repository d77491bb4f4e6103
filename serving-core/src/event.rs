//! Facts in the past tense about a version's life, for the event log.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::id::{Generation, Label, ModelName, ReplicaId, Version};
use crate::phase::Failure;

/// One fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When it was seen.
    pub at: SystemTime,
    /// The model it is about.
    pub model: ModelName,
    /// The version it is about; `None` for facts about the model.
    pub version: Option<Version>,
    /// What happened.
    pub fact: Fact,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Fact {
    /// A version became wanted and its life began.
    Discovered {
        /// Which life.
        generation: Generation,
    },
    /// Its files are there and its environment is built or reused.
    Prepared {
        /// From the start of the work.
        took: Duration,
    },
    /// A replica answers and is warm.
    ReplicaStarted {
        /// Which replica.
        replica: ReplicaId,
        /// From its start.
        took: Duration,
    },
    /// A replica died by itself.
    ReplicaCrashed {
        /// Which replica.
        replica: ReplicaId,
        /// For people: "exit code 1".
        reason: Arc<str>,
        /// What it printed last.
        last_lines: Vec<String>,
        /// Pause before the next one is started.
        restart_in: Duration,
    },
    /// A new replica stands in for one that was given up while it lived.
    ReplicaReplaced {
        /// Which replica was given up.
        replica: ReplicaId,
        /// For people: "3 abandoned requests still run in it".
        reason: Arc<str>,
    },
    /// Callers can reach the version.
    Ready {
        /// From discovery.
        took: Duration,
    },
    /// It could not be loaded, or died too often.
    Failed {
        /// Why, and when it is tried again.
        failure: Failure,
    },
    /// A label points somewhere else.
    LabelMoved {
        /// Which label.
        label: Label,
        /// Where it pointed; `None` if nowhere.
        from: Option<Version>,
        /// Where it points now; `None` if nowhere.
        to: Option<Version>,
    },
    /// Its workers are replaced, because a person or a setting asked for it.
    Restarting {},
    /// No new requests reach it.
    Draining {},
    /// Its workers are stopped.
    Retired {
        /// Requests that were cut off because the drain deadline passed.
        abandoned: u64,
    },
}
