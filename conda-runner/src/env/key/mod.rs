//! The key of an environment: equal for declarations that mean the same, different for all others.

mod channel;
mod spec;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;
use serving_core::LoadError;

use super::declared::{Builder, Wanted};
use super::requirements::Requirements;
use crate::config::CondaConfig;
use crate::names;

use channel::Channels;
pub(crate) use spec::Spec;

/// All that decides what is in an environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Recipe {
    builder: &'static str,
    platform: String,
    channels: Vec<String>,
    packages: BTreeSet<Spec>,
    python: Option<String>,
    first: Requirements,
    then: Requirements,
    variables: BTreeMap<String, String>,
    constraints: Requirements,
}

/// Who builds, and how: raised when that changes, so that what was built in the old way is not taken for the new.
fn word(builder: Builder) -> &'static str {
    match builder {
        Builder::Conda => "conda-1",
        Builder::Uv => "uv-2",
        Builder::Virtualenv => "virtualenv-1",
    }
}

/// The same for interpreters that other environments are made from. They are not shared with models: nobody who
/// makes one has to wait for the permit of somebody who builds the other.
const INTERPRETER: &str = "interpreter-1";

impl Recipe {
    /// The recipe for what the model in `folder` wants, under the constraints in the operator's file. Blocks on the
    /// disk.
    pub(crate) fn new(
        folder: &Path,
        wanted: &Wanted,
        conda: &CondaConfig,
        constraints: Option<&Path>,
    ) -> Result<Self, LoadError> {
        Ok(Self {
            first: Requirements::collect(folder, &wanted.first)?,
            then: Requirements::collect(folder, &wanted.then)?,
            constraints: match constraints {
                Some(file) => Requirements::of_operator(file)?,
                None => Requirements::default(),
            },
            ..Self::without_requirements(word(wanted.builder), wanted, conda)
        })
    }

    /// The recipe for an interpreter that other environments are made from.
    pub(crate) fn interpreter(wanted: &Wanted, conda: &CondaConfig) -> Self {
        Self::without_requirements(INTERPRETER, wanted, conda)
    }

    fn without_requirements(builder: &'static str, wanted: &Wanted, conda: &CondaConfig) -> Self {
        let channels = Channels::new(conda);
        let packages = wanted.conda.packages.iter();
        Self {
            builder,
            platform: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
            channels: channels.all_meant(&wanted.conda.channels),
            packages: packages.map(|spec| Spec::new(spec, &channels)).collect(),
            python: wanted.python.clone(),
            first: Requirements::default(),
            then: Requirements::default(),
            variables: wanted.variables.clone(),
            constraints: Requirements::default(),
        }
    }

    /// 128 bits as hexadecimal digits, fit for a folder's name.
    pub(crate) fn key(&self) -> String {
        // JSON writes different values differently.
        let written =
            serde_json::to_string(self).expect("a value of texts, lists and maps by text");
        names::digest(&[&written])
    }
}

#[cfg(test)]
mod tests;
