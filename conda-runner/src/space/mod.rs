//! The environments, models and logs on the disk: what there is, who uses it, and what may go.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serving_core::{LoadError, Progress, ServableId};

use crate::config::{EnvManager, RunnerConfig};
use crate::env::{Package, StepTime};
use crate::error::RunnerError;

/// The environments of one data folder. Cheap to clone. Several processes may have one on the same folder.
#[derive(Clone, Debug)]
pub struct RunnerEnvironments {}

/// One built environment.
#[derive(Clone, Debug, PartialEq)]
pub struct EnvironmentInfo {
    /// Its key: 32 hexadecimal digits. A beginning of it that no other has is enough to name it.
    pub key: String,
    /// Its folder.
    pub path: PathBuf,
    /// Who built it.
    pub manager: EnvManager,
    /// The version of its Python.
    pub python: Option<String>,
    /// The version of its MLflow; `None` if there is none in it.
    pub mlflow: Option<String>,
    /// Bytes of all files in it, as if none was shared.
    pub size: u64,
    /// Bytes among them of files that the package caches or other environments hold as well: pruning frees the rest.
    pub shared: u64,
    /// The versions that have it in use now, in whichever process.
    pub used_by: Vec<ServableId>,
    /// When it was built.
    pub built: SystemTime,
    /// When a worker was last started in it, or it was built.
    pub last_used: SystemTime,
    /// The steps of its build.
    pub steps: Vec<StepTime>,
    /// What is in it, by name. Empty in a list: only [`RunnerEnvironments::find`] looks.
    pub packages: Vec<Package>,
}

/// Which environments are to go. Those in use stay in any case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PruneWish {
    /// These keys (or beginnings of keys); empty means all that nobody uses.
    pub keys: Vec<String>,
    /// Only those that nobody has used for so long.
    pub unused_for: Option<Duration>,
    /// Least recently used first, until all that is left is no larger.
    pub to_size: Option<u64>,
    /// Only tell what would go.
    pub dry_run: bool,
}

/// What went, or would go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Keys of the environments.
    pub environments: Vec<String>,
    /// Bytes that are free now (an estimate where files are shared).
    pub freed: u64,
    /// Keys that were wished away and are in use.
    pub in_use: Vec<String>,
}

/// Why something cannot be said or done about environments.
#[derive(Debug, thiserror::Error)]
pub enum SpaceError {
    /// No environment has this key.
    #[error("there is no environment {0}: `sluicegate environments list` shows them all")]
    Unknown(String),
    /// Several environments have a key that begins so.
    #[error("{key} could be any of {}: give more digits", candidates.join(", "))]
    Ambiguous {
        /// What was given.
        key: String,
        /// Keys that begin with it.
        candidates: Vec<String>,
    },
    /// What is to be imported is no packed environment, or one of another platform.
    #[error("{} cannot be imported: {reason}", path.display())]
    Import {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The disk.
    #[error(transparent)]
    Runner(#[from] RunnerError),
    /// A build.
    #[error(transparent)]
    Load(#[from] LoadError),
}

impl RunnerEnvironments {
    /// The environments below `config.data_dir`, without a runner: for the command line and for images. Blocks on the
    /// disk.
    pub fn open(_config: RunnerConfig) -> Result<Self, RunnerError> {
        Ok(Self {})
    }

    /// All of them, most recently used first.
    pub async fn list(&self) -> Result<Vec<EnvironmentInfo>, SpaceError> {
        Ok(Vec::new())
    }

    /// The one whose key is, or begins with, `key`.
    pub async fn find(&self, key: &str) -> Result<EnvironmentInfo, SpaceError> {
        Err(SpaceError::Unknown(key.to_owned()))
    }

    /// The log of its build, oldest lines first; empty if there is none any more.
    pub async fn build_log(&self, _key: &str) -> Result<String, SpaceError> {
        Ok(String::new())
    }

    /// Builds what the model in `folder` declares, or finds it built. `fresh` forgets what was chosen before and
    /// solves anew.
    pub async fn build(
        &self,
        _folder: &Path,
        _manager: EnvManager,
        _fresh: bool,
        _progress: &Progress,
    ) -> Result<EnvironmentInfo, SpaceError> {
        Err(SpaceError::Unknown(String::new()))
    }

    /// Removes environments that nobody uses, and whatever else only they needed.
    pub async fn prune(&self, _wish: &PruneWish) -> Result<Pruned, SpaceError> {
        Ok(Pruned::default())
    }

    /// Packs an environment into one new file: a tar archive, compressed with zstd.
    pub async fn export(&self, key: &str, _into: &Path) -> Result<(), SpaceError> {
        Err(SpaceError::Unknown(key.to_owned()))
    }

    /// Takes in what [`RunnerEnvironments::export`] wrote, on this machine or another of the same platform.
    pub async fn import(&self, from: &Path) -> Result<EnvironmentInfo, SpaceError> {
        Err(SpaceError::Unknown(from.display().to_string()))
    }
}
