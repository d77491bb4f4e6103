//! The facts of the event log: those of the engine, and what people did.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serving_core::Fact;

/// What a person (or the configuration) did to a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ControlFact {
    /// Serving was enabled.
    Enabled {
        /// Principal.
        by: String,
    },
    /// Serving was disabled.
    Disabled {
        /// Principal.
        by: String,
    },
    /// Settings were changed.
    SettingsChanged {
        /// Principal.
        by: String,
        /// The keys that differ now.
        keys: Vec<String>,
        /// What some of them were and are. Never the workers' environment, which may hold secrets; nothing in what older
        /// releases have written.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        changes: BTreeMap<String, SettingChange>,
    },
    /// A tag of the registered model is no setting that can be taken.
    TagRefused {
        /// The setting that it is about.
        key: String,
        /// For people.
        problem: String,
    },
    /// New workers were asked for.
    RestartRequested {
        /// Principal.
        by: String,
    },
}

/// What a setting was and is, as the API writes it; null is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingChange {
    /// What held before.
    pub from: Value,
    /// What holds now.
    pub to: Value,
}

/// One entry's fact as it is stored and read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoggedFact {
    /// From the engine.
    Engine(Fact),
    /// From the control plane.
    Control(ControlFact),
    /// Written by another release: its `type`.
    Unknown(String),
}

impl LoggedFact {
    pub(super) fn to_json(&self) -> String {
        match self {
            Self::Engine(fact) => serde_json::json!(fact),
            Self::Control(fact) => serde_json::json!(fact),
            Self::Unknown(kind) => serde_json::json!({ "type": kind }),
        }
        .to_string()
    }

    /// Never fails: a log with one entry that nobody understands is still a log.
    pub(super) fn from_json(text: &str) -> Self {
        if let Ok(fact) = serde_json::from_str(text) {
            return Self::Engine(fact);
        }
        if let Ok(fact) = serde_json::from_str(text) {
            return Self::Control(fact);
        }
        let kind = serde_json::from_str::<serde_json::Value>(text)
            .ok()
            .and_then(|value| Some(value.get("type")?.as_str()?.to_owned()));
        Self::Unknown(kind.unwrap_or_else(|| "unknown".to_owned()))
    }
}

impl From<Fact> for LoggedFact {
    fn from(fact: Fact) -> Self {
        Self::Engine(fact)
    }
}

impl From<ControlFact> for LoggedFact {
    fn from(fact: ControlFact) -> Self {
        Self::Control(fact)
    }
}
