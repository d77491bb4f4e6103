//! What is seen: every version's phase and figures at one moment, for people and their tools.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use crate::id::{Generation, Label, ModelName, Version};
use crate::phase::{Failure, Phase};
use crate::routing::LabelRoute;

/// The models that are served (also with no version), and those that still drain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// By name.
    pub models: BTreeMap<ModelName, ModelSnapshot>,
}

/// One model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelSnapshot {
    /// The versions that are wanted, protected by a label, or still drain.
    pub versions: BTreeMap<Version, VersionSnapshot>,
    /// The labels that are wanted, as the routing table has them.
    pub labels: BTreeMap<Label, LabelRoute>,
}

/// One version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionSnapshot {
    /// Which life of it.
    pub generation: Generation,
    /// Where it is in that life. `Failed` with a crash loop leaves its route in the table.
    pub phase: Phase,
    /// When it entered this phase.
    pub since: SystemTime,
    /// What is being done with it, for people who wait: "downloading 3 files".
    pub step: Option<Arc<str>>,
    /// When that began; `None` without a step.
    pub step_since: Option<SystemTime>,
    /// Replicas that answer.
    pub replicas: u32,
    /// Replicas that there are to be now, within the range of the settings.
    pub replicas_wanted: u32,
    /// Whether it has none because nobody comes: the first caller wakes it.
    pub asleep: bool,
    /// How often, in this life, a replica died by itself or its successor could not be started.
    pub crashes: u32,
    /// Whether its replicas are not as they are wanted yet, though it answers or has failed: settings that need new ones
    /// were changed, a restart was asked for, more are wanted than there are.
    pub renewing: bool,
    /// Why the last attempt at that failed. The old replicas answer; a next try tells whether it goes on.
    pub renewal_failure: Option<Failure>,
}
