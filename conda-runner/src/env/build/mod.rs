//! Builds environments. What a build needs is in its [`Site`]; each file below does one part of the work.

mod check;
mod compile;
mod distributions;
mod failure;
mod indexes;
mod interpreters;
mod pip;
mod relocate;
mod report;
mod uv_tool;
mod venv;

#[cfg(test)]
mod testing;
#[cfg(test)]
pub(crate) use testing::{Machine, host_with};

#[cfg(feature = "conda")]
mod conda;
#[cfg(not(feature = "conda"))]
#[path = "without_conda.rs"]
mod conda;

use std::path::PathBuf;

pub(crate) use check::import_check;
pub(crate) use compile::compile;
pub(crate) use conda::{Conda, Solved, activation};
pub(crate) use interpreters::{Wanted, installed};
pub(crate) use pip::{Installer, PipSettings};
pub(crate) use relocate::relocate;
pub(crate) use report::Report;
pub use report::StepTime;
pub(crate) use uv_tool::UvTool;
pub(crate) use venv::make as make_venv;

use crate::process::host::Host;

/// Where one environment is built, and with what.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    /// Where it is built. Does not exist at first.
    pub(crate) prefix: PathBuf,
    /// Where it is put when it is whole: what the files in it have to name.
    pub(crate) place: PathBuf,
    /// The model's folder: requirements name files relative to it.
    pub(crate) folder: PathBuf,
    /// Starts the programs of the build, at low priority.
    pub(crate) host: Host,
    /// Where it is said what is done, and how long it took.
    pub(crate) report: Report,
}

/// What `conda.yaml` wants of conda itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CondaWanted {
    /// In the order of their priority, as they are written in the file.
    pub(crate) channels: Vec<String>,
    /// Match specs, as they are written in the file.
    pub(crate) packages: Vec<String>,
}

/// One installed package, for people.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Package {
    /// Its name, normalised.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The channel that it came from, or `pypi`.
    pub source: String,
}
