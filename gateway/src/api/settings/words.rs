//! Settings that are one of a few words.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::InvalidSetting;
use crate::api::nearest;

/// What builds the environments that workers run in: MLflow's own words for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum EnvManager {
    /// What the model's `conda.yaml` declares, built without an installation of conda.
    Conda,
    /// What its `python_env.yaml` declares, built with uv.
    Uv,
    /// What its `python_env.yaml` declares, built with `venv` and pip.
    Virtualenv,
    /// Nothing: an interpreter that is already there.
    Local,
}

/// Whether requests of several callers may share one call of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Batching {
    /// Where a version was seen to answer rows in company as it answers them alone.
    #[default]
    Auto,
    /// Wherever requests are alike, without looking.
    On,
    /// Never.
    Off,
}

/// How new workers take over from old ones, in the words of TensorFlow Serving.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Takeover {
    /// The new one answers before the old one goes. Both need memory for a while.
    #[default]
    AvailabilityPreserving,
    /// The old one is gone before the new one starts, where memory is short. Nobody answers for a while.
    ResourcePreserving,
}

impl EnvManager {
    const ALL: [Self; 4] = [Self::Conda, Self::Uv, Self::Virtualenv, Self::Local];

    /// MLflow's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Conda => "conda",
            Self::Uv => "uv",
            Self::Virtualenv => "virtualenv",
            Self::Local => "local",
        }
    }
}

impl Batching {
    const ALL: [Self; 3] = [Self::Auto, Self::On, Self::Off];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::On => "on",
            Self::Off => "off",
        }
    }

    /// The same for the engine.
    pub(super) fn to_engine(self) -> serving_core::Batching {
        match self {
            Self::Auto => serving_core::Batching::Auto,
            Self::On => serving_core::Batching::On,
            Self::Off => serving_core::Batching::Off,
        }
    }
}

impl Takeover {
    const ALL: [Self; 2] = [Self::AvailabilityPreserving, Self::ResourcePreserving];

    /// TensorFlow Serving's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AvailabilityPreserving => "availability_preserving",
            Self::ResourcePreserving => "resource_preserving",
        }
    }

    /// The same for the engine.
    pub(super) fn to_engine(self) -> serving_core::Takeover {
        match self {
            Self::AvailabilityPreserving => serving_core::Takeover::AvailabilityPreserving,
            Self::ResourcePreserving => serving_core::Takeover::ResourcePreserving,
        }
    }
}

impl fmt::Display for EnvManager {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Display for Batching {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Display for Takeover {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for EnvManager {
    type Err = InvalidSetting;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|one| one.as_str() == word);
        known.ok_or_else(|| unknown(word, &Self::ALL.map(Self::as_str)))
    }
}

impl FromStr for Batching {
    type Err = InvalidSetting;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|one| one.as_str() == word);
        known.ok_or_else(|| unknown(word, &Self::ALL.map(Self::as_str)))
    }
}

impl FromStr for Takeover {
    type Err = InvalidSetting;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|one| one.as_str() == word);
        known.ok_or_else(|| unknown(word, &Self::ALL.map(Self::as_str)))
    }
}

fn unknown(word: &str, known: &[&'static str]) -> InvalidSetting {
    let hint = nearest(word, known.iter().copied())
        .map(|meant| format!("; did you mean {meant:?}?"))
        .unwrap_or_default();
    InvalidSetting(format!("{word:?} is not one of {}{hint}", known.join(", ")))
}
