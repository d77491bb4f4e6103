//! What is written down about a built environment, in the file that makes it count as built.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::build::{Package, StepTime};
use super::facts::Facts;

/// The content of an environment's marker. Fields that an older builder did not write have defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Marker {
    /// `None` in an environment that has no MLflow, such as one that is only there for its interpreter.
    #[serde(flatten)]
    pub(crate) facts: Option<Facts>,
    /// Who built it: `conda`, `uv`, `virtualenv`.
    #[serde(default)]
    pub(crate) manager: String,
    /// The version of its interpreter.
    #[serde(default)]
    pub(crate) python: Option<String>,
    /// When it was finished.
    #[serde(default = "epoch")]
    pub(crate) built: SystemTime,
    /// How long each step took.
    #[serde(default)]
    pub(crate) steps: Vec<StepTime>,
    /// The key of the environment whose interpreter it uses: it is good for nothing without that one.
    #[serde(default)]
    pub(crate) base: Option<String>,
    /// What its activation sets, besides `PATH`.
    #[serde(default)]
    pub(crate) variables: BTreeMap<String, String>,
    /// What is in it.
    #[serde(default)]
    pub(crate) packages: Vec<Package>,
}

fn epoch() -> SystemTime {
    SystemTime::UNIX_EPOCH
}
