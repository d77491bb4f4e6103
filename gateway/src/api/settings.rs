//! The settings of a model: what a person chose, checked key by key, and what follows from it.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{HumaneDuration, nearest};

/// What a person chose for one model; absent keys follow the defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ModelSettings {
    /// Workers of each version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 64)]
    pub replicas: Option<NonZeroU32>,
    /// Requests that one worker handles at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 10_000)]
    pub max_concurrency: Option<NonZeroU32>,
    /// Requests of one version that may wait; one more is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 100_000)]
    pub max_queue: Option<u32>,
    /// From the arrival of a request to the end of its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<HumaneDuration>,
    /// What builds the environments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env_manager: Option<EnvManager>,
    /// Variables for the workers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<BTreeMap<String, String>>,
    /// Whether a new worker scores the logged input example once before it gets requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm_up: Option<bool>,
}

/// How a model is served, nothing left open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Settings {
    /// Workers of each version.
    #[schema(value_type = u32, minimum = 1, maximum = 64)]
    pub replicas: NonZeroU32,
    /// Requests that one worker handles at a time.
    #[schema(value_type = u32, minimum = 1, maximum = 10_000)]
    pub max_concurrency: NonZeroU32,
    /// Requests of one version that may wait; one more is refused.
    #[schema(maximum = 100_000)]
    pub max_queue: u32,
    /// From the arrival of a request to the end of its answer.
    #[schema(value_type = String, example = "60s")]
    pub timeout: HumaneDuration,
    /// What builds the environments.
    pub env_manager: EnvManager,
    /// Variables for the workers. Values are shown as `***` to callers who may not manage the model.
    pub environment: BTreeMap<String, String>,
    /// Whether a new worker scores the logged input example once before it gets requests.
    pub warm_up: bool,
}

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

/// A setting that cannot be taken: which, and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSetting(pub String);

/// Keys that take effect in this version.
const KNOWN: [&str; 7] = [
    "replicas",
    "max_concurrency",
    "max_queue",
    "timeout",
    "env_manager",
    "environment",
    "warm_up",
];

/// Keys that the contract has, and that this version does not obey yet.
const LATER: [&str; 5] = [
    "batching",
    "max_batch_rows",
    "max_batch_delay",
    "memory_limit",
    "versions",
];

/// A day: an answer that takes longer is no answer.
pub(crate) const LONGEST_TIMEOUT: Duration = Duration::from_secs(86_400);

impl ModelSettings {
    /// Lays `changes` over these settings: a key that is not mentioned stays, `null` goes back to the default.
    ///
    /// All or nothing: after an error nothing is changed.
    pub fn apply(&self, changes: &Map<String, Value>) -> Result<Self, InvalidSetting> {
        let mut settings = self.clone();
        for (key, value) in changes {
            settings.set(key, value)?;
        }
        Ok(settings)
    }

    /// The settings that hold, `defaults` filled in.
    #[must_use]
    pub fn or(&self, defaults: &Settings) -> Settings {
        let environment = self.environment.as_ref();
        Settings {
            replicas: self.replicas.unwrap_or(defaults.replicas),
            max_concurrency: self.max_concurrency.unwrap_or(defaults.max_concurrency),
            max_queue: self.max_queue.unwrap_or(defaults.max_queue),
            timeout: self.timeout.unwrap_or(defaults.timeout),
            env_manager: self.env_manager.unwrap_or(defaults.env_manager),
            environment: environment.unwrap_or(&defaults.environment).clone(),
            warm_up: self.warm_up.unwrap_or(defaults.warm_up),
        }
    }

    fn set(&mut self, key: &str, value: &Value) -> Result<(), InvalidSetting> {
        match key {
            "replicas" => self.replicas = positive(key, value, 64)?,
            "max_concurrency" => self.max_concurrency = positive(key, value, 10_000)?,
            "max_queue" => self.max_queue = whole(key, value, 0, 100_000)?,
            "timeout" => self.timeout = optional(value, |value| timeout(key, value))?,
            "env_manager" => self.env_manager = optional(value, |value| env_manager(key, value))?,
            "environment" => self.environment = optional(value, |value| variables(key, value))?,
            "warm_up" => {
                self.warm_up = optional(value, |value| {
                    value
                        .as_bool()
                        .ok_or_else(|| refused(key, value, "true or false"))
                })?;
            }
            _ if LATER.contains(&key) => {
                return Err(InvalidSetting(format!(
                    "the setting {key:?} is not available in this version"
                )));
            }
            _ => return Err(unknown(key)),
        }
        Ok(())
    }
}

impl Settings {
    /// The same for the engine. What the loader would do anyway is not said, so that saying it restarts nothing.
    pub fn to_engine(&self, defaults: &Self) -> serving_core::Settings {
        let mut loader = BTreeMap::new();
        if self.env_manager != defaults.env_manager {
            loader.insert("env_manager".to_owned(), self.env_manager.to_string());
        }
        if !self.environment.is_empty() {
            let variables = serde_json::json!(self.environment);
            loader.insert("environment".to_owned(), variables.to_string());
        }
        if !self.warm_up {
            loader.insert("warm_up".to_owned(), "false".to_owned());
        }
        serving_core::Settings {
            replicas: self.replicas,
            max_concurrency: self.max_concurrency,
            max_queue: self.max_queue,
            timeout: self.timeout.0,
            loader,
        }
    }

    /// The same without the values of variables, which may be secrets.
    #[must_use]
    pub fn without_values(mut self) -> Self {
        for value in self.environment.values_mut() {
            "***".clone_into(value);
        }
        self
    }
}

impl Default for Settings {
    fn default() -> Self {
        let engine = serving_core::Settings::default();
        Self {
            replicas: engine.replicas,
            max_concurrency: engine.max_concurrency,
            max_queue: engine.max_queue,
            timeout: HumaneDuration(engine.timeout),
            env_manager: EnvManager::Conda,
            environment: BTreeMap::new(),
            warm_up: true,
        }
    }
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

impl fmt::Display for EnvManager {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for EnvManager {
    type Err = InvalidSetting;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|manager| manager.as_str() == word)
            .ok_or_else(|| {
                let known = Self::ALL.map(Self::as_str).join(", ");
                let hint = nearest(word, Self::ALL.map(Self::as_str))
                    .map(|meant| format!("; did you mean {meant:?}?"))
                    .unwrap_or_default();
                InvalidSetting(format!("{word:?} is not one of {known}{hint}"))
            })
    }
}

fn optional<T>(
    value: &Value,
    read: impl FnOnce(&Value) -> Result<T, InvalidSetting>,
) -> Result<Option<T>, InvalidSetting> {
    if value.is_null() {
        Ok(None)
    } else {
        read(value).map(Some)
    }
}

fn whole(key: &str, value: &Value, least: u32, most: u32) -> Result<Option<u32>, InvalidSetting> {
    optional(value, |value| {
        value
            .as_u64()
            .and_then(|number| u32::try_from(number).ok())
            .filter(|number| (least..=most).contains(number))
            .ok_or_else(|| {
                refused(
                    key,
                    value,
                    &format!("a whole number from {least} to {most}"),
                )
            })
    })
}

fn positive(key: &str, value: &Value, most: u32) -> Result<Option<NonZeroU32>, InvalidSetting> {
    Ok(whole(key, value, 1, most)?.and_then(NonZeroU32::new))
}

fn timeout(key: &str, value: &Value) -> Result<HumaneDuration, InvalidSetting> {
    HumaneDuration::deserialize(value)
        .ok()
        .filter(|timeout| !timeout.0.is_zero() && timeout.0 <= LONGEST_TIMEOUT)
        .ok_or_else(|| {
            let allowed =
                "a duration such as \"60s\" or a number of seconds, more than 0 and at most 24h";
            refused(key, value, allowed)
        })
}

fn env_manager(key: &str, value: &Value) -> Result<EnvManager, InvalidSetting> {
    let word = value
        .as_str()
        .ok_or_else(|| refused(key, value, "one of conda, uv, virtualenv, local"))?;
    word.parse()
        .map_err(|error| InvalidSetting(format!("the setting {key:?}: {error}")))
}

fn variables(key: &str, value: &Value) -> Result<BTreeMap<String, String>, InvalidSetting> {
    // The value is not repeated in the message: it may hold secrets.
    let allowed = || {
        InvalidSetting(format!(
            "the setting {key:?} is an object of texts, for example {{\"OMP_NUM_THREADS\": \"2\"}}; \
             names are letters, digits and _, not starting with a digit"
        ))
    };
    let object = value.as_object().ok_or_else(allowed)?;
    object
        .iter()
        .map(|(name, value)| {
            let value = value.as_str().filter(|text| !text.contains('\0'));
            let pair = value.map(|text| (name.clone(), text.to_owned()));
            pair.filter(|(name, _)| is_variable_name(name))
                .ok_or_else(allowed)
        })
        .collect()
}

fn is_variable_name(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn refused(key: &str, value: &Value, allowed: &str) -> InvalidSetting {
    InvalidSetting(format!(
        "the setting {key:?} is {value}, allowed is {allowed}"
    ))
}

fn unknown(key: &str) -> InvalidSetting {
    let hint = nearest(key, KNOWN.into_iter().chain(LATER)).map_or_else(
        || format!("known are {}", KNOWN.join(", ")),
        |meant| format!("did you mean {meant:?}?"),
    );
    InvalidSetting(format!("unknown setting {key:?}; {hint}"))
}

#[cfg(test)]
mod tests;
