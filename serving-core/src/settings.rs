//! How one model is served: numbers that the engine and the stacks obey, words that the loader obeys.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::replica_range::ReplicaRange;
use crate::takeover::Takeover;
use crate::version_policy::VersionPolicy;

/// Settings of one model; a change takes effect without a failed request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Workers of each version.
    pub replicas: ReplicaRange,
    /// How long fewer workers have to be enough until there are fewer; where there may be none, how long nobody has to
    /// come.
    pub scale_down_after: Duration,
    /// Requests that one replica works on at a time.
    pub max_concurrency: NonZeroU32,
    /// Requests of one version that may wait for a free place; one more is refused. 0 refuses at once.
    pub max_queue: u32,
    /// From the arrival of a request to the end of its answer, waiting included.
    pub timeout: Duration,
    /// Whether requests of several callers may share one call of a replica.
    pub batching: Batching,
    /// Rows in one such call, at most; a request of as many or more goes alone. Whoever makes the calls may make smaller ones.
    pub max_batch_rows: NonZeroU32,
    /// How long the first request of a batch may wait for more, though a replica is free.
    pub max_batch_delay: Duration,
    /// Which versions are served.
    pub versions: VersionPolicy,
    /// How new workers take over from old ones.
    pub takeover: Takeover,
    /// Words for the loader (for example the environment manager). A change replaces running workers.
    pub loader: BTreeMap<String, String>,
}

/// Whether requests of several callers may share one call of a replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Batching {
    /// Where it has been seen that a row's answer is the same alone and in company.
    #[default]
    Auto,
    /// Wherever requests are alike, unseen.
    On,
    /// Never.
    Off,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            replicas: ReplicaRange::ONE,
            scale_down_after: Duration::from_secs(5 * 60),
            max_concurrency: NonZeroU32::new(8).unwrap_or(NonZeroU32::MIN),
            max_queue: 128,
            timeout: Duration::from_secs(60),
            batching: Batching::default(),
            max_batch_rows: NonZeroU32::new(4096).unwrap_or(NonZeroU32::MIN),
            max_batch_delay: Duration::ZERO,
            versions: VersionPolicy::default(),
            takeover: Takeover::default(),
            loader: BTreeMap::new(),
        }
    }
}
