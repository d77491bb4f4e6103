//! What is wanted now: the set of aspired versions. Each value replaces the last one as a whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{Incarnation, Label, ModelName, Version};

/// All models that could be served, as their source sees them. Omission retires (law 1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aspired {
    /// By name.
    pub models: BTreeMap<ModelName, AspiredModel>,
}

/// One model's active versions and the labels that point at them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AspiredModel {
    /// Changes when the model was deleted and created again under the same name.
    pub incarnation: Incarnation,
    /// The active versions.
    pub versions: BTreeMap<Version, AspiredVersion>,
    /// Where each label should point. A target that is not in `versions` leaves the label where it is (law 6).
    pub labels: BTreeMap<Label, Version>,
    /// What the source says about how the model is to be served, in words that are opaque here: whoever makes the
    /// intents may heed them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

/// One active version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AspiredVersion {
    /// Changes when this number now means something else.
    pub incarnation: Incarnation,
    /// What a loader needs to find it, or why nobody can (law 3).
    pub source: Source,
}

/// Where a version comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The words by which the loader finds it; opaque here.
    Readable(Arc<str>),
    /// The version exists and is wanted, but cannot be read: why, for people.
    Unreadable(Arc<str>),
}
