//! conda packages without conda: solved, downloaded, verified and linked by the rattler crates.

use std::path::Path;

use serving_core::LoadError;

use super::{CondaWanted, Package, Report, Site};
use crate::config::CondaConfig;
use crate::env::trouble::Trouble;
use crate::error::RunnerError;

/// Everything that builds share: the client, the lists of packages, the cache of packages. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Conda {}

/// The packages that were chosen for one environment.
#[derive(Clone, Debug)]
pub(crate) struct Solved {}

impl Conda {
    /// Caches are below `cache`, which is made when it is needed.
    pub(crate) fn new(
        _config: &CondaConfig,
        _cache: &Path,
        _offline: bool,
    ) -> Result<Self, RunnerError> {
        Ok(Self {})
    }

    /// Chooses packages that fit what is wanted, and one another, and this machine.
    pub(crate) async fn solve(
        &self,
        _wanted: &CondaWanted,
        _report: &Report,
    ) -> Result<Solved, LoadError> {
        Err(Trouble::Unsatisfiable.error("nothing is solved yet"))
    }

    /// Downloads what is not cached, verifies it, and links it into the site's prefix, for its place.
    pub(crate) async fn install(&self, _solved: &Solved, _site: &Site) -> Result<(), LoadError> {
        Err(Trouble::InstallFailed.error("nothing is linked yet"))
    }
}

impl Solved {
    /// From what [`Solved::lock`] gave.
    pub(crate) fn from_lock(_lock: &serde_json::Value) -> Result<Self, LoadError> {
        Err(Trouble::InvalidDeclaration.error("no lock is read yet"))
    }

    /// For a lock file: the exact packages with their addresses and digests.
    pub(crate) fn lock(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    /// For people.
    pub(crate) fn packages(&self) -> Vec<Package> {
        Vec::new()
    }
}
