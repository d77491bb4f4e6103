//! Facts in words: one sentence for people, the particulars for programs.

use std::time::Duration;

use serde_json::{Map, Value, json};
use serving_core::{Fact, Note};

use super::view::failure_detail;
use crate::api::{Event, EventType, Timestamp};
use crate::store::{ControlFact, LoggedEvent, LoggedFact};

/// An entry of the log as the API shows it.
pub(super) fn shown(event: LoggedEvent) -> Event {
    let (kind, message, details) = match &event.fact {
        LoggedFact::Engine(fact) => engine(fact),
        LoggedFact::Control(fact) => control(fact),
        LoggedFact::Unknown(kind) => (
            kind.as_str(),
            format!("{kind} (written by another version)"),
            Value::Null,
        ),
    };
    Event {
        id: event.id,
        at: Timestamp(event.at),
        model: event.model.to_string(),
        version: event.version.map(|version| version.0),
        kind: kind.to_owned(),
        message,
        details: match details {
            Value::Object(details) => details,
            _ => Map::new(),
        },
    }
}

fn engine(fact: &Fact) -> (&str, String, Value) {
    match fact {
        Fact::Discovered { generation } => (
            EventType::Discovered.as_str(),
            "The version is wanted; its deployment begins".to_owned(),
            json!({ "generation": generation }),
        ),
        Fact::Prepared { took } => (
            EventType::Prepared.as_str(),
            format!("Model and environment are there after {}", length(*took)),
            json!({ "seconds": took.as_secs_f64() }),
        ),
        Fact::Noted(note) => noted(note),
        Fact::ReplicaStarted { replica, took } => (
            EventType::ReplicaStarted.as_str(),
            format!("Worker {replica} answers after {}", length(*took)),
            json!({ "replica": replica, "seconds": took.as_secs_f64() }),
        ),
        Fact::ReplicaCrashed {
            replica,
            reason,
            last_lines,
            restart_in,
        } => (
            EventType::ReplicaCrashed.as_str(),
            format!(
                "Worker {replica} died ({reason}); a new one starts in {}",
                length(*restart_in)
            ),
            json!({ "replica": replica, "reason": reason, "last_lines": last_lines, "restart_in_seconds": restart_in.as_secs_f64() }),
        ),
        Fact::ReplicaReplaced { replica, reason } => (
            EventType::ReplicaReplaced.as_str(),
            format!("Worker {replica} was replaced: {reason}"),
            json!({ "replica": replica, "reason": reason }),
        ),
        Fact::Scaled { from, to, reason } => (
            EventType::Scaled.as_str(),
            format!("From {from} to {to} workers: {reason}"),
            json!({ "from": from, "to": to, "reason": reason }),
        ),
        Fact::Asleep { idle } => (
            EventType::Asleep.as_str(),
            format!(
                "Asleep, without a worker: nobody called for {}; the next request wakes it",
                length(*idle)
            ),
            json!({ "idle_seconds": idle.as_secs_f64() }),
        ),
        Fact::Woken { took } => (
            EventType::Woken.as_str(),
            format!(
                "Woken: a worker answers, {} after the first request",
                length(*took)
            ),
            json!({ "seconds": took.as_secs_f64() }),
        ),
        Fact::Ready { took } => (
            EventType::Ready.as_str(),
            format!(
                "Ready: callers can reach it, {} after it was discovered",
                length(*took)
            ),
            json!({ "seconds": took.as_secs_f64() }),
        ),
        Fact::Failed { failure } => (
            EventType::Failed.as_str(),
            format!("Failed: {}", failure.message),
            json!(failure_detail(failure)),
        ),
        Fact::LabelMoved { label, from, to } => {
            let message = match (from, to) {
                (Some(from), Some(to)) => {
                    format!("{label} moved from version {from} to version {to}")
                }
                (None, Some(to)) => format!("{label} points at version {to}"),
                (Some(from), None) => format!("{label} no longer points at version {from}"),
                (None, None) => format!("{label} points nowhere"),
            };
            (
                EventType::LabelMoved.as_str(),
                message,
                json!({ "label": label, "from": from, "to": to }),
            )
        }
        Fact::Restarting {} => (
            EventType::Restarting.as_str(),
            "New workers replace the present ones".to_owned(),
            Value::Null,
        ),
        Fact::Draining {} => (
            EventType::Draining.as_str(),
            "No new requests reach the version; those in flight end".to_owned(),
            Value::Null,
        ),
        Fact::Retired { abandoned } => {
            let message = match abandoned {
                0 => "The version's workers are stopped".to_owned(),
                1 => "The version's workers are stopped; 1 request was cut off".to_owned(),
                more => format!("The version's workers are stopped; {more} requests were cut off"),
            };
            (
                EventType::Retired.as_str(),
                message,
                json!({ "abandoned": abandoned }),
            )
        }
    }
}

/// What the loader has said, in its own words.
fn noted(note: &Note) -> (&str, String, Value) {
    let mut details = Map::new();
    if let Some(took) = note.took {
        details.insert("seconds".to_owned(), json!(took.as_secs_f64()));
    }
    let about = note.about.iter();
    details.extend(about.map(|(name, value)| (name.clone(), json!(value))));
    (&note.kind, note.message.to_string(), Value::Object(details))
}

fn control(fact: &ControlFact) -> (&'static str, String, Value) {
    match fact {
        ControlFact::Enabled { by } => (
            EventType::Enabled.as_str(),
            format!("Serving was enabled by {by}"),
            json!({ "by": by }),
        ),
        ControlFact::Disabled { by } => (
            EventType::Disabled.as_str(),
            format!("Serving was disabled by {by}"),
            json!({ "by": by }),
        ),
        ControlFact::SettingsChanged { by, keys, changes } => {
            let told: Vec<_> = keys
                .iter()
                .map(|key| match changes.get(key) {
                    Some(change) => {
                        format!("{key} {} → {}", plain(&change.from), plain(&change.to))
                    }
                    None => key.clone(),
                })
                .collect();
            (
                EventType::SettingsChanged.as_str(),
                format!("Settings were changed by {by}: {}", told.join(", ")),
                json!({ "by": by, "keys": keys, "changes": changes }),
            )
        }
        ControlFact::TagRefused { key, problem } => (
            EventType::TagRefused.as_str(),
            format!("The registry's tag sluicegate.{key} changes nothing: {problem}"),
            json!({ "key": key, "problem": problem }),
        ),
        ControlFact::RestartRequested { by } => (
            EventType::RestartRequested.as_str(),
            format!("New workers were asked for by {by}"),
            json!({ "by": by }),
        ),
    }
}

/// A setting's value as a person would write it.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// `12.3 s`; what is over within a second in milliseconds.
fn length(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_within_a_second_is_told_in_milliseconds() {
        assert_eq!(length(Duration::ZERO), "0 ms");
        assert_eq!(length(Duration::from_micros(999_900)), "999 ms");
        assert_eq!(length(Duration::from_secs(1)), "1.0 s");
        assert_eq!(length(Duration::from_millis(38_040)), "38.0 s");
    }
}
