//! The settings of a model: what a person chose, checked key by key, and what follows from it.

mod checks;
mod memory;
mod origin;
mod replicas;
mod tags;
mod words;

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serving_core::ReplicaRange;
use utoipa::ToSchema;

use super::{ByteSize, HumaneDuration, Versions, nearest};
pub(crate) use checks::LONGEST_TIMEOUT;
use checks::{delay, flag, memory, optional, positive, timeout, variables, versions, whole, word};
pub use memory::MemoryLimit;
pub use origin::Origin;
pub use tags::{TagProblem, TagSettings};
pub use words::{Batching, EnvManager, Takeover};

/// What a person chose for one model; absent keys follow the defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ModelSettings {
    /// Workers of each version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = replicas::schema)]
    pub replicas: Option<ReplicaRange>,
    /// How long fewer workers have to be enough until there are fewer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_down_after: Option<HumaneDuration>,
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
    /// Whether requests of several callers may share one call of a worker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batching: Option<Batching>,
    /// Rows in one such call.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 10_000)]
    pub max_batch_rows: Option<NonZeroU32>,
    /// How long the first request of a batch may wait for more, though a worker is free; 1s at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_batch_delay: Option<HumaneDuration>,
    /// What builds the environments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env_manager: Option<EnvManager>,
    /// Variables for the workers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<BTreeMap<String, String>>,
    /// Whether a new worker scores the logged input example once before it gets requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm_up: Option<bool>,
    /// Memory that one worker may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "1GB")]
    pub memory_limit: Option<MemoryLimit>,
    /// Which versions are served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub versions: Option<Versions>,
    /// How new workers take over from old ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub takeover: Option<Takeover>,
}

/// How a model is served, nothing left open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Settings {
    /// Workers of each version.
    #[schema(schema_with = replicas::schema)]
    pub replicas: ReplicaRange,
    /// How long fewer workers have to be enough until there are fewer; where there may be none, how long nobody has to
    /// call.
    #[serde(default = "idleness_by_default")]
    #[schema(value_type = String, example = "300s")]
    pub scale_down_after: HumaneDuration,
    /// Requests that one worker handles at a time.
    #[schema(value_type = u32, minimum = 1, maximum = 10_000)]
    pub max_concurrency: NonZeroU32,
    /// Requests of one version that may wait; one more is refused.
    #[schema(maximum = 100_000)]
    pub max_queue: u32,
    /// From the arrival of a request to the end of its answer.
    #[schema(value_type = String, example = "60s")]
    pub timeout: HumaneDuration,
    /// Whether requests of several callers may share one call of a worker.
    #[serde(default)]
    pub batching: Batching,
    /// Rows in one such call; a request of more goes alone.
    #[serde(default = "Settings::usual_batch_rows")]
    #[schema(value_type = u32, minimum = 1, maximum = 10_000)]
    pub max_batch_rows: NonZeroU32,
    /// How long the first request of a batch may wait for more, though a worker is free.
    #[serde(default = "Settings::usual_batch_delay")]
    #[schema(value_type = String, example = "0s")]
    pub max_batch_delay: HumaneDuration,
    /// What builds the environments.
    pub env_manager: EnvManager,
    /// Variables for the workers. Values are shown as `***` to callers who may not manage the model.
    pub environment: BTreeMap<String, String>,
    /// Whether a new worker scores the logged input example once before it gets requests.
    pub warm_up: bool,
    /// Memory that one worker may use; null is no limit.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "1GB")]
    pub memory_limit: Option<ByteSize>,
    /// Which versions are served.
    #[serde(default)]
    pub versions: Versions,
    /// How new workers take over from old ones.
    #[serde(default)]
    pub takeover: Takeover,
}

/// A setting that cannot be taken: which, and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSetting(pub String);

/// All keys.
const KNOWN: [&str; 14] = [
    "replicas",
    "scale_down_after",
    "max_concurrency",
    "max_queue",
    "timeout",
    "batching",
    "max_batch_rows",
    "max_batch_delay",
    "env_manager",
    "environment",
    "warm_up",
    "memory_limit",
    "versions",
    "takeover",
];

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
        let (environment, versions) = (self.environment.as_ref(), self.versions.as_ref());
        Settings {
            replicas: self.replicas.unwrap_or(defaults.replicas),
            scale_down_after: self.scale_down_after.unwrap_or(defaults.scale_down_after),
            max_concurrency: self.max_concurrency.unwrap_or(defaults.max_concurrency),
            max_queue: self.max_queue.unwrap_or(defaults.max_queue),
            timeout: self.timeout.unwrap_or(defaults.timeout),
            batching: self.batching.unwrap_or(defaults.batching),
            max_batch_rows: self.max_batch_rows.unwrap_or(defaults.max_batch_rows),
            max_batch_delay: self.max_batch_delay.unwrap_or(defaults.max_batch_delay),
            env_manager: self.env_manager.unwrap_or(defaults.env_manager),
            environment: environment.unwrap_or(&defaults.environment).clone(),
            warm_up: self.warm_up.unwrap_or(defaults.warm_up),
            memory_limit: self
                .memory_limit
                .map_or(defaults.memory_limit, MemoryLimit::size),
            versions: versions.unwrap_or(&defaults.versions).clone(),
            takeover: self.takeover.unwrap_or(defaults.takeover),
        }
    }

    fn set(&mut self, key: &str, value: &Value) -> Result<(), InvalidSetting> {
        match key {
            "replicas" => {
                self.replicas = optional(value, |value| replicas::replicas(key, value))?;
            }
            "scale_down_after" => {
                self.scale_down_after = optional(value, |value| replicas::idleness(key, value))?;
            }
            "max_concurrency" => self.max_concurrency = positive(key, value, 10_000)?,
            "max_queue" => self.max_queue = whole(key, value, 0, 100_000)?,
            "timeout" => self.timeout = optional(value, |value| timeout(key, value))?,
            "batching" => {
                let known = "auto, on, off";
                self.batching = optional(value, |value| word(key, value, known))?;
            }
            "max_batch_rows" => self.max_batch_rows = positive(key, value, 10_000)?,
            "max_batch_delay" => {
                self.max_batch_delay = optional(value, |value| delay(key, value))?;
            }
            "env_manager" => {
                let known = "conda, uv, virtualenv, local";
                self.env_manager = optional(value, |value| word(key, value, known))?;
            }
            "environment" => self.environment = optional(value, |value| variables(key, value))?,
            "warm_up" => self.warm_up = optional(value, |value| flag(key, value))?,
            "memory_limit" => self.memory_limit = optional(value, |value| memory(key, value))?,
            "versions" => self.versions = optional(value, |value| versions(key, value))?,
            "takeover" => {
                let known = "availability_preserving, resource_preserving";
                self.takeover = optional(value, |value| word(key, value, known))?;
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
        if let Some(ByteSize(bytes)) = self.memory_limit {
            loader.insert("memory_limit".to_owned(), bytes.to_string());
        }
        serving_core::Settings {
            replicas: self.replicas,
            scale_down_after: self.scale_down_after.0,
            max_concurrency: self.max_concurrency,
            max_queue: self.max_queue,
            timeout: self.timeout.0,
            batching: self.batching.to_engine(),
            max_batch_rows: self.max_batch_rows,
            max_batch_delay: self.max_batch_delay.0,
            versions: self.versions.to_engine(),
            takeover: self.takeover.to_engine(),
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

    /// What gateways older than the setting are read with.
    fn usual_batch_rows() -> NonZeroU32 {
        serving_core::Settings::default().max_batch_rows
    }

    fn usual_batch_delay() -> HumaneDuration {
        HumaneDuration(serving_core::Settings::default().max_batch_delay)
    }
}

impl Default for Settings {
    fn default() -> Self {
        let engine = serving_core::Settings::default();
        Self {
            replicas: engine.replicas,
            scale_down_after: HumaneDuration(engine.scale_down_after),
            max_concurrency: engine.max_concurrency,
            max_queue: engine.max_queue,
            timeout: HumaneDuration(engine.timeout),
            batching: Batching::default(),
            max_batch_rows: Self::usual_batch_rows(),
            max_batch_delay: Self::usual_batch_delay(),
            env_manager: EnvManager::Conda,
            environment: BTreeMap::new(),
            warm_up: true,
            memory_limit: None,
            versions: Versions::All,
            takeover: Takeover::AvailabilityPreserving,
        }
    }
}

fn idleness_by_default() -> HumaneDuration {
    Settings::default().scale_down_after
}

fn unknown(key: &str) -> InvalidSetting {
    let hint = nearest(key, KNOWN).map_or_else(
        || format!("known are {}", KNOWN.join(", ")),
        |meant| format!("did you mean {meant:?}?"),
    );
    InvalidSetting(format!("unknown setting {key:?}; {hint}"))
}

#[cfg(test)]
mod tests;
