//! Puts conda-runner's environments behind the words of [`ports`](crate::ports) and of the API.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use conda_runner::{
    CondaRunner, EnvironmentInfo, Kept, PruneWish, RunnerConfig, RunnerEnvironments, RunnerError,
    SpaceError,
};
use serving_core::{
    Generation, LoadError, LoadJob, Progress, ServableId, VersionSpec, WorkPermits,
};
use tokio::time::timeout;

use crate::api::{
    BuildFailure, BuildStep, EnvManager, EnvironmentDetail, EnvironmentSummary, KeptEnvironment,
    PruneEnvironments, PrunedEnvironments, PythonPackage, ServedVersion,
};
use crate::config::{Address, Launcher, LocalConfig};
use crate::data_plane::Upstream;
use crate::ports::{Environments, EnvironmentsError};

/// For a build ahead of time: the engine's own deadline for preparing a version.
const LONGEST_BUILD: Duration = Duration::from_secs(3600);

/// The environments in a data folder, with or without a gateway.
pub(crate) struct EnvironmentRoom(RunnerEnvironments);

impl EnvironmentRoom {
    /// Those of the data folder of `config`. Blocks on the disk.
    pub(crate) fn open(config: &LocalConfig) -> Result<Self, EnvironmentsError> {
        RunnerEnvironments::open(runner_config(config))
            .map(Self)
            .map_err(|error| unusable(&error))
    }

    /// The same, but a data folder that is not there is not made. Blocks on the disk.
    pub(crate) fn open_existing(config: &LocalConfig) -> Result<Self, EnvironmentsError> {
        RunnerEnvironments::open_existing(runner_config(config))
            .map(Self)
            .map_err(|error| unusable(&error))
    }

    pub(crate) async fn list(&self) -> Result<Vec<EnvironmentSummary>, EnvironmentsError> {
        let list = self.0.list().await.map_err(refused)?;
        Ok(list.into_iter().map(|info| detail(info).summary).collect())
    }

    pub(crate) async fn find(&self, key: &str) -> Result<EnvironmentDetail, EnvironmentsError> {
        self.0.find(key).await.map(detail).map_err(refused)
    }

    pub(crate) async fn build_log(&self, key: &str) -> Result<String, EnvironmentsError> {
        self.0.build_log(key).await.map_err(refused)
    }

    pub(crate) async fn prune(
        &self,
        wish: &PruneEnvironments,
    ) -> Result<PrunedEnvironments, EnvironmentsError> {
        let wish = PruneWish {
            keys: wish.keys.clone(),
            unused_for: wish.unused_for.map(|unused| unused.0),
            to_size: wish.to_size.map(|size| size.0),
            dry_run: wish.dry_run,
        };
        let pruned = self.0.prune(&wish).await.map_err(refused)?;
        Ok(PrunedEnvironments {
            environments: pruned.environments,
            freed_bytes: pruned.freed,
            in_use: pruned.in_use.into_iter().map(kept).collect(),
        })
    }

    /// Builds what the files in `folder` declare.
    pub(crate) async fn build_folder(
        &self,
        folder: &Path,
        manager: EnvManager,
        fresh: bool,
        progress: &Progress,
    ) -> Result<EnvironmentDetail, EnvironmentsError> {
        let built = self.0.build(folder, of_runner(manager), fresh, progress);
        built.await.map(detail).map_err(refused)
    }

    pub(crate) async fn hold(&self, key: &str) -> Option<impl Send + Sync + use<>> {
        self.0.hold(key).await
    }

    /// Resolves when nothing is done in the background any more.
    pub(crate) async fn idle(&self) {
        self.0.idle().await;
    }

    pub(crate) async fn export(&self, key: &str, into: &Path) -> Result<(), EnvironmentsError> {
        self.0.export(key, into).await.map_err(refused)
    }

    pub(crate) async fn import(&self, from: &Path) -> Result<EnvironmentDetail, EnvironmentsError> {
        self.0.import(from).await.map(detail).map_err(refused)
    }
}

/// The environments of a gateway.
pub(super) struct EnvironmentsPort {
    room: EnvironmentRoom,
    runner: Arc<CondaRunner<Upstream>>,
}

impl EnvironmentsPort {
    /// Those that `runner` builds.
    pub(super) fn new(runner: Arc<CondaRunner<Upstream>>) -> Self {
        Self {
            room: EnvironmentRoom(runner.environments()),
            runner,
        }
    }
}

#[async_trait]
impl Environments for EnvironmentsPort {
    async fn list(&self) -> Result<Vec<EnvironmentSummary>, EnvironmentsError> {
        self.room.list().await
    }

    async fn find(&self, key: &str) -> Result<EnvironmentDetail, EnvironmentsError> {
        self.room.find(key).await
    }

    async fn build_log(&self, key: &str) -> Result<String, EnvironmentsError> {
        self.room.build_log(key).await
    }

    async fn build(
        &self,
        spec: Arc<VersionSpec>,
        progress: Progress,
    ) -> Result<EnvironmentDetail, BuildFailure> {
        progress.step("looking for what is there already");
        let job = LoadJob {
            spec,
            generation: Generation(0),
            progress,
            work: WorkPermits::unlimited(),
        };
        let key = timeout(LONGEST_BUILD, self.runner.build_ahead(job))
            .await
            .unwrap_or_else(|_| {
                let message = "the build took longer than an hour and was given up";
                Err(LoadError::transient(message))
            })
            .map_err(|error| failure(&error))?;
        let failed = |message: String| failure(&LoadError::transient(message));
        let key =
            key.ok_or_else(|| failed("the environment manager local builds nothing".to_owned()))?;
        let found = self.find(&key).await;
        found.map_err(|error| failed(error.to_string()))
    }

    async fn prune(
        &self,
        wish: &PruneEnvironments,
    ) -> Result<PrunedEnvironments, EnvironmentsError> {
        self.room.prune(wish).await
    }
}

/// What stands for a failed build that the runner has no word for.
const BUILD_FAILED: &str = "BUILD_FAILED";

/// What the configuration says, in the runner's words.
pub(super) fn runner_config(config: &LocalConfig) -> RunnerConfig {
    let LocalConfig {
        conda, pip, space, ..
    } = config;
    let exposed = |list: &[Address]| -> Vec<String> {
        let list = list.iter();
        list.map(|address| address.expose().to_owned()).collect()
    };
    let channels = conda.channels.iter();
    let mirrors = conda.mirrors.iter();
    RunnerConfig {
        env_manager: of_runner(config.env_manager),
        launcher: launcher(config.launcher),
        template_idle: config.template_idle,
        conda: conda_runner::CondaConfig {
            channel_alias: conda.channel_alias.expose().to_owned(),
            channels: channels
                .map(|(name, meant)| (name.expose().to_owned(), exposed(meant)))
                .collect(),
            mirrors: mirrors
                .map(|(prefix, places)| (prefix.expose().to_owned(), exposed(places)))
                .collect(),
            refresh: conda.refresh,
            credentials: conda.credentials.clone(),
        },
        pip: conda_runner::PipConfig {
            index_url: pip.index_url.as_ref().map(|url| url.expose().to_owned()),
            extra_index_urls: exposed(&pip.extra_index_urls),
            constraints: config.constraints.clone(),
        },
        offline: config.offline,
        space: conda_runner::SpaceConfig {
            environments: space.environments,
            models: space.models,
            logs: space.logs,
        },
        python: config.python.clone(),
        uv: config.uv.clone(),
        inherited_environment: config.worker_environment.clone(),
        worker_access_log: config.worker_access_log,
        build_environment: config.build_environment.clone(),
        ..RunnerConfig::new(&config.data_dir)
    }
}

fn of_runner(manager: EnvManager) -> conda_runner::EnvManager {
    match manager {
        EnvManager::Local => conda_runner::EnvManager::Local,
        EnvManager::Uv => conda_runner::EnvManager::Uv,
        EnvManager::Conda => conda_runner::EnvManager::Conda,
        EnvManager::Virtualenv => conda_runner::EnvManager::Virtualenv,
    }
}

fn launcher(launcher: Launcher) -> conda_runner::Launcher {
    match launcher {
        Launcher::MlflowServe => conda_runner::Launcher::MlflowServe,
        Launcher::Direct => conda_runner::Launcher::Direct,
        Launcher::Template => conda_runner::Launcher::Template,
    }
}

fn detail(info: EnvironmentInfo) -> EnvironmentDetail {
    let steps = info.steps.into_iter().map(|step| BuildStep {
        step: step.step,
        seconds: step.seconds,
    });
    let packages = info.packages.into_iter().map(|package| PythonPackage {
        name: package.name,
        version: package.version,
        source: package.source,
    });
    EnvironmentDetail {
        summary: EnvironmentSummary {
            key: info.key,
            env_manager: match info.manager {
                conda_runner::EnvManager::Local => EnvManager::Local,
                conda_runner::EnvManager::Uv => EnvManager::Uv,
                conda_runner::EnvManager::Conda => EnvManager::Conda,
                conda_runner::EnvManager::Virtualenv => EnvManager::Virtualenv,
            },
            python: info.python,
            broken: info.broken,
            base: info.base,
            base_of: info.base_of,
            mlflow: info.mlflow,
            size_bytes: info.size,
            shared_bytes: info.shared,
            used_by: info.used_by.iter().map(served).collect(),
            built: info.built.into(),
            last_used: info.last_used.into(),
        },
        path: Some(info.path.to_string_lossy().into_owned()),
        steps: steps.collect(),
        packages: packages.collect(),
    }
}

fn served(id: &ServableId) -> ServedVersion {
    ServedVersion {
        model: id.model.to_string(),
        version: id.version.0,
    }
}

fn refused(error: SpaceError) -> EnvironmentsError {
    match error {
        SpaceError::Unknown(_) => EnvironmentsError::Unknown(error.to_string()),
        SpaceError::Ambiguous { .. } => EnvironmentsError::Unclear(error.to_string()),
        SpaceError::Load(error) => EnvironmentsError::Build(failure(&error)),
        SpaceError::Export { .. } | SpaceError::Import { .. } => {
            EnvironmentsError::Unsuitable(error.to_string())
        }
        SpaceError::Runner(error) => unusable(&error),
    }
}

/// With its cause: the error itself only names the folder.
fn unusable(error: &RunnerError) -> EnvironmentsError {
    EnvironmentsError::Failed(match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    })
}

fn kept(kept: Kept) -> KeptEnvironment {
    KeptEnvironment {
        key: kept.key,
        reasons: kept.reasons.iter().map(ToString::to_string).collect(),
    }
}

fn failure(error: &LoadError) -> BuildFailure {
    BuildFailure {
        error_code: error.code.as_deref().unwrap_or(BUILD_FAILED).to_owned(),
        message: error.message.to_string(),
        last_lines: error.last_lines.clone(),
    }
}
