//! The data folder: what a runner and those who ask about its space have in common.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::task::TaskTracker;

use crate::config::{PipConfig, RunnerConfig, SpaceConfig};
use crate::env::{Environments, INTERPRETER};
use crate::error::RunnerError;
use crate::files::RunnerFiles;
use crate::model::MODEL_FILE;
use crate::process::host::Host;
use crate::process::logs::LogWriter;
use crate::shelf::Shelf;

/// An opened data folder.
pub(crate) struct DataFolder {
    /// The folder itself, an absolute path.
    pub(crate) root: PathBuf,
    /// Model folders, by version.
    pub(crate) models: Shelf,
    /// Built environments, by key.
    pub(crate) shelf: Shelf,
    /// Builds what is not on that shelf.
    pub(crate) environments: Arc<Environments>,
    /// The logs of all versions.
    pub(crate) files: RunnerFiles,
    /// How much of the disk it may take.
    pub(crate) quotas: SpaceConfig,
    /// Whether what is removed could not be fetched again.
    pub(crate) is_offline: bool,
    /// What is done in the background.
    pub(crate) tasks: TaskTracker,
}

/// In it: its built environments. A folder that has none is no data folder.
const ENVIRONMENTS: &str = "environments";

impl DataFolder {
    /// Whether there is one, as the error says if not. Blocks on the disk.
    pub(crate) fn exists(config: &RunnerConfig) -> Result<(), RunnerError> {
        if config.data_dir.join(ENVIRONMENTS).is_dir() {
            return Ok(());
        }
        Err(RunnerError::NoDataFolder {
            path: config.data_dir.clone(),
        })
    }

    /// Opens the one of `config`, whose paths are absolute. It is made if need be, and swept of what a killed process
    /// left. Blocks on the disk.
    pub(crate) fn open(config: &RunnerConfig) -> Result<Self, RunnerError> {
        let root = config.data_dir.clone();
        // Also for those who run before the gateway does: in it is what only its user may see.
        make_private(&root).map_err(RunnerError::folder(&root))?;
        let tasks = TaskTracker::new();
        let seen_by_builds = [
            config.inherited_environment.as_slice(),
            config.build_environment.as_slice(),
        ];
        let builder = Host::new(&seen_by_builds.concat(), tasks.clone());
        let shelf = Shelf::open(root.join(ENVIRONMENTS), INTERPRETER, tasks.clone())?;
        let writer = LogWriter::start(config.log_size)?;
        let environments = Environments::new(config, builder, shelf.clone(), writer.clone())?;
        Ok(Self {
            models: Shelf::open(root.join("models"), MODEL_FILE, tasks.clone())?,
            environments: Arc::new(environments),
            shelf,
            files: RunnerFiles::new(root.join("logs"), writer),
            quotas: config.space.clone(),
            is_offline: config.offline,
            root,
            tasks,
        })
    }

    /// The cache of conda packages.
    pub(crate) fn packages(&self) -> PathBuf {
        packages(&self.root)
    }
}

/// One that is there already keeps its mode, and folders above it are like others.
fn make_private(root: &Path) -> io::Result<()> {
    if let Some(above) = root.parent() {
        std::fs::create_dir_all(above)?;
    }
    match DirBuilder::new().mode(0o700).create(root) {
        Err(_) if root.is_dir() => Ok(()),
        made => made,
    }
}

/// The cache of conda packages below the data folder `root`.
pub(crate) fn packages(root: &Path) -> PathBuf {
    root.join("packages")
}

/// The configuration with absolute paths only: children work in other folders, so none may depend on the current one.
pub(crate) fn absolute(config: RunnerConfig) -> Result<RunnerConfig, RunnerError> {
    let path = |path: PathBuf| std::path::absolute(&path).map_err(RunnerError::folder(&path));
    Ok(RunnerConfig {
        data_dir: path(config.data_dir)?,
        pip: PipConfig {
            constraints: config.pip.constraints.map(path).transpose()?,
            ..config.pip
        },
        uv: config.uv.map(path).transpose()?,
        ..config
    })
}
