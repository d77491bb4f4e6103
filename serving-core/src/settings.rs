//! How one model is served: numbers that the engine and the stacks obey, words that the loader obeys.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::takeover::Takeover;
use crate::version_policy::VersionPolicy;

/// Settings of one model; a change takes effect without a failed request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Workers of each version.
    pub replicas: NonZeroU32,
    /// Requests that one replica works on at a time.
    pub max_concurrency: NonZeroU32,
    /// Requests of one version that may wait for a free place; one more is refused. 0 refuses at once.
    pub max_queue: u32,
    /// From the arrival of a request to the end of its answer, waiting included.
    pub timeout: Duration,
    /// Which versions are served.
    pub versions: VersionPolicy,
    /// How new workers take over from old ones.
    pub takeover: Takeover,
    /// Words for the loader (for example the environment manager). A change replaces running workers.
    pub loader: BTreeMap<String, String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            replicas: NonZeroU32::MIN,
            max_concurrency: NonZeroU32::new(8).unwrap_or(NonZeroU32::MIN),
            max_queue: 128,
            timeout: Duration::from_secs(60),
            versions: VersionPolicy::default(),
            takeover: Takeover::default(),
            loader: BTreeMap::new(),
        }
    }
}
