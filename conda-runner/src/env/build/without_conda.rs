//! Takes the place of `conda` in a build without the feature of that name: says so to whoever wants it.

use std::collections::BTreeMap;
use std::path::Path;

use serving_core::LoadError;

use super::{CondaWanted, Package, Report, Site};
use crate::config::CondaConfig;
use crate::env::trouble::Trouble;
use crate::error::RunnerError;
use crate::process::host::Host;
use crate::process::logs::Log;

/// No conda.
#[derive(Clone, Debug)]
pub(crate) struct Conda;

/// There is no value of it.
#[derive(Clone, Debug)]
pub(crate) enum Solved {}

impl Conda {
    #[expect(clippy::unnecessary_wraps, reason = "the same signature as with conda")]
    pub(crate) fn new(
        _: &CondaConfig,
        _: &Path,
        _: bool,
        _: Option<&Path>,
    ) -> Result<Self, RunnerError> {
        Ok(Self)
    }

    #[expect(clippy::unused_async, reason = "the same signature as with conda")]
    pub(crate) async fn solve(&self, _: &CondaWanted, _: &Report) -> Result<Solved, LoadError> {
        Err(missing())
    }

    #[expect(clippy::unused_self, reason = "the same signature as with conda")]
    pub(crate) fn locked(
        &self,
        _: &serde_json::Value,
        _: &CondaWanted,
    ) -> Result<Solved, LoadError> {
        Err(missing())
    }

    #[expect(clippy::unused_async, reason = "the same signature as with conda")]
    pub(crate) async fn install(&self, solved: &Solved, _: &Site) -> Result<(), LoadError> {
        match *solved {}
    }
}

impl Solved {
    pub(crate) fn lock(&self) -> serde_json::Value {
        match *self {}
    }

    pub(crate) fn packages(&self) -> Vec<Package> {
        match *self {}
    }
}

/// Nothing is set by packages that are not there.
pub(crate) async fn activation(
    _: &Host,
    _: &Path,
    _: &Log,
) -> Result<BTreeMap<String, String>, LoadError> {
    Ok(BTreeMap::new())
}

fn missing() -> LoadError {
    Trouble::ToolMissing.error(
        "this program was built without conda: serve with --env-manager uv, virtualenv or local",
    )
}
