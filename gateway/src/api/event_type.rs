//! What kinds of facts the event log tells: the words that programs look at and people filter by.

use std::str::FromStr;

use serde::Serialize;
use utoipa::ToSchema;

use super::nearest;

/// What an event tells of. Logs of another release may hold more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventType {
    /// Serving was enabled.
    Enabled,
    /// Serving was disabled.
    Disabled,
    /// Settings were changed.
    SettingsChanged,
    /// A tag of the registry is no setting that can be taken.
    TagRefused,
    /// Somebody asked for new workers.
    RestartRequested,
    /// A version is wanted.
    Discovered,
    /// A version's environment was made.
    EnvironmentBuilt,
    /// A version's environment was there.
    EnvironmentReused,
    /// Files and environment are there.
    Prepared,
    /// A worker has scored the logged input example.
    Warmed,
    /// A worker has not.
    NotWarmed,
    /// A worker came of no fork of a template, and was started by itself.
    ForkFailed,
    /// A worker answers.
    ReplicaStarted,
    /// Callers can reach a version.
    Ready,
    /// Whether requests to a version share calls of its workers was decided.
    Batching,
    /// A stage or an alias points elsewhere.
    LabelMoved,
    /// A worker died.
    ReplicaCrashed,
    /// A worker was given up while it lived.
    ReplicaReplaced,
    /// A version gets more workers or fewer, because of its requests.
    Scaled,
    /// A version has no worker any more, because nobody called it.
    Asleep,
    /// It has one again, because somebody called it.
    Woken,
    /// A version could not be loaded, or died too often.
    Failed,
    /// A version's workers are being replaced.
    Restarting,
    /// No new requests reach a version.
    Draining,
    /// A version's workers are stopped.
    Retired,
}

/// A word that names no type of event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is no type of event;{} the types are {}", hint(word), EventType::ALL.map(EventType::as_str).join(", "))]
pub struct UnknownEventType {
    word: String,
}

impl EventType {
    /// In the order of a version's life, as the documentation has them.
    pub const ALL: [Self; 25] = [
        Self::Enabled,
        Self::Disabled,
        Self::SettingsChanged,
        Self::TagRefused,
        Self::RestartRequested,
        Self::Discovered,
        Self::EnvironmentBuilt,
        Self::EnvironmentReused,
        Self::Prepared,
        Self::Warmed,
        Self::NotWarmed,
        Self::ForkFailed,
        Self::ReplicaStarted,
        Self::Ready,
        Self::Batching,
        Self::LabelMoved,
        Self::ReplicaCrashed,
        Self::ReplicaReplaced,
        Self::Scaled,
        Self::Asleep,
        Self::Woken,
        Self::Failed,
        Self::Restarting,
        Self::Draining,
        Self::Retired,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::SettingsChanged => "settings_changed",
            Self::TagRefused => "tag_refused",
            Self::RestartRequested => "restart_requested",
            Self::Discovered => "discovered",
            Self::EnvironmentBuilt => "environment_built",
            Self::EnvironmentReused => "environment_reused",
            Self::Prepared => "prepared",
            Self::Warmed => "warmed",
            Self::NotWarmed => "not_warmed",
            Self::ForkFailed => "fork_failed",
            Self::ReplicaStarted => "replica_started",
            Self::Ready => "ready",
            Self::Batching => "batching",
            Self::LabelMoved => "label_moved",
            Self::ReplicaCrashed => "replica_crashed",
            Self::ReplicaReplaced => "replica_replaced",
            Self::Scaled => "scaled",
            Self::Asleep => "asleep",
            Self::Woken => "woken",
            Self::Failed => "failed",
            Self::Restarting => "restarting",
            Self::Draining => "draining",
            Self::Retired => "retired",
        }
    }
}

impl FromStr for EventType {
    type Err = UnknownEventType;

    fn from_str(word: &str) -> Result<Self, UnknownEventType> {
        let known = Self::ALL.into_iter().find(|kind| kind.as_str() == word);
        known.ok_or_else(|| UnknownEventType {
            word: word.to_owned(),
        })
    }
}

/// A slip, or the half of a word.
fn hint(word: &str) -> String {
    let known = EventType::ALL.map(EventType::as_str);
    let half = || {
        let mut longer = known.into_iter().filter(|kind| kind.contains(word));
        longer.next().filter(|_| word.len() > 2)
    };
    nearest(word, known)
        .or_else(half)
        .map(|meant| format!(" did you mean {meant:?}?"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_read_from_its_word_and_written_as_it() {
        for kind in EventType::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            assert_eq!(serde_json::json!(kind), kind.as_str());
        }
    }

    #[test]
    fn another_word_is_refused_with_the_types_and_the_nearest_of_them() {
        let refusal = |word: &str| word.parse::<EventType>().unwrap_err().to_string();
        assert!(refusal("faild").starts_with(
            r#""faild" is no type of event; did you mean "failed"? the types are enabled, disabled"#
        ));
        assert!(refusal("crashed").contains(r#"did you mean "replica_crashed"?"#));
        assert!(
            refusal("nonsense").starts_with(r#""nonsense" is no type of event; the types are"#)
        );
        assert!(refusal("nonsense").ends_with("draining, retired"));
    }
}
