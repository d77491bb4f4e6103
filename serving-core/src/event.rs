//! Facts in the past tense about a version's life, for the event log.

use std::collections::BTreeMap;
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
    /// The loader, or who embeds the engine, found something worth keeping.
    Noted(Note),
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
    /// Another number of replicas is wanted, within the range that the settings give.
    Scaled {
        /// As many as before.
        from: u32,
        /// As many as from now on.
        to: u32,
        /// For people: "3 requests waited".
        reason: Arc<str>,
    },
    /// Its last replica goes, because nobody came. Callers reach it all the same: the first one wakes it.
    Asleep {
        /// For how long nobody came.
        idle: Duration,
    },
    /// A replica answers, because somebody came.
    Woken {
        /// From the first caller to the replica.
        took: Duration,
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

/// What a loader found worth keeping about its work, or who embeds the engine about a version, in their own vocabulary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// What kind of thing happened, for programs: a word in snake case and in the past tense that is no fact of the
    /// engine's own.
    pub kind: Arc<str>,
    /// One sentence for people.
    pub message: Arc<str>,
    /// How long it took, if it took time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took: Option<Duration>,
    /// The particulars by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub about: BTreeMap<String, Particular>,
}

/// One particular of a note.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Particular {
    /// Whether something is so.
    Flag(bool),
    /// How many, or which.
    Number(u64),
    /// Anything else.
    Text(String),
}

impl Note {
    /// A note without particulars.
    pub fn new(kind: impl Into<Arc<str>>, message: impl Into<Arc<str>>) -> Self {
        Self {
            kind: kind.into(),
            message: message.into(),
            took: None,
            about: BTreeMap::new(),
        }
    }

    /// The same with the time that it took.
    #[must_use]
    pub fn took(mut self, time: Duration) -> Self {
        self.took = Some(time);
        self
    }

    /// The same with one more particular.
    #[must_use]
    pub fn about(mut self, name: &str, value: impl Into<Particular>) -> Self {
        self.about.insert(name.to_owned(), value.into());
        self
    }
}

impl From<bool> for Particular {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<u64> for Particular {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Particular {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}
