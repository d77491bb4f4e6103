//! How the engine works: paces, deadlines and how much runs at a time.

use std::time::Duration;

use crate::restart::RestartPolicy;

/// Settings of a manager. What differs from model to model is in `Settings`.
#[derive(Clone, Debug, PartialEq)]
pub struct ManagerConfig {
    /// Every change wakes the manager at once; besides, it looks around this often.
    pub tick: Duration,
    /// How long a retiring version or a replaced replica waits for its callers; then they are cut off.
    pub drain_deadline: Duration,
    /// Versions that are fetched or built at a time; at least one. What is found done already does not
    /// count.
    pub prepare_permits: usize,
    /// Replicas that are started at a time; at least one. For versions that have served and have no
    /// replica left there are two more.
    pub load_permits: usize,
    /// From the start of one replica until it answers. A loader with a deadline of its own can say more
    /// about what was slow: this one is for those that have none, and should be longer.
    pub load_deadline: Duration,
    /// For everything that is done once per version, not counting waits for a permit.
    pub prepare_deadline: Duration,
    /// Pauses and patience after failures.
    pub restart: RestartPolicy,
}

impl Default for ManagerConfig {
    fn default() -> Self {
        Self {
            tick: Duration::from_secs(1),
            drain_deadline: Duration::from_secs(30),
            prepare_permits: 2,
            load_permits: 2,
            load_deadline: Duration::from_secs(6 * 60),
            prepare_deadline: Duration::from_secs(60 * 60),
            restart: RestartPolicy::default(),
        }
    }
}
