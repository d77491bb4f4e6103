//! Puts the rest together. The only file that knows the registry client and the workers' host by name: both are put
//! behind the words of [`ports`](crate::ports), [`serving_core`] and the data plane here.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use conda_runner::{
    CondaRunner, EnvironmentInfo, FetchedModel, ModelSource, PruneWish, RunnerConfig,
    RunnerEnvironments, RunnerFiles, SpaceError, Worker, WorkerEndpoint,
};
use registry_sync::{Artifacts, Fetched, Interest, RegistryHandle, RegistrySync};
use serving_core::{
    Aspired, Generation, Intent, Intents, LoadError, LoadJob, Loader, ModelName, Progress,
    ServableId, VersionSpec, WorkPermits,
};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Duration, timeout};
use tokio_util::sync::CancellationToken;

use crate::api::{
    BuildFailure, BuildStep, EnvManager, EnvironmentDetail, EnvironmentSummary, PruneEnvironments,
    PrunedEnvironments, PythonPackage, ServedVersion,
};
use crate::config::{Address, Config, LocalConfig, RegistryCredentials};
use crate::data_plane::{About, Endpoint, Example, Signature, Upstream, UpstreamConfig};
use crate::ports::{
    Catalog, Environments, EnvironmentsError, LogKind, RegisteredModel, RegisteredVersion,
    Registry, RegistryStatus, RegistryUnavailable, WorkerFiles,
};
use crate::run_error::RunError;

/// Builds ahead of time at a time; what versions wait for has permits of its own.
const BUILDS_AHEAD: usize = 2;
/// For one of them: the engine's own deadline for preparing a version.
const LONGEST_BUILD: Duration = Duration::from_secs(3600);

/// The registry of one gateway: what follows it, and what the others see of it.
pub(crate) struct RegistryRoom {
    sync: RegistrySync,
    handle: RegistryHandle,
    interest: watch::Sender<Interest>,
    intents: watch::Receiver<Arc<Intents>>,
}

impl RegistryRoom {
    /// Follows the registry of `config` for the models that `intents` want served, from `last_known` on.
    pub(crate) fn open(
        config: &Config,
        intents: watch::Receiver<Arc<Intents>>,
        last_known: Option<Aspired>,
    ) -> Result<Self, RunError> {
        let credentials = match &config.registry.credentials {
            RegistryCredentials::None => registry_sync::RegistryCredentials::None,
            RegistryCredentials::Basic { username, password } => {
                registry_sync::RegistryCredentials::Basic {
                    username: username.clone(),
                    password: password.expose().to_owned(),
                }
            }
            RegistryCredentials::Bearer(token) => {
                registry_sync::RegistryCredentials::Bearer(token.expose().to_owned())
            }
        };
        let sync_config = registry_sync::RegistryConfig {
            credentials,
            poll_interval: config.registry.poll_interval,
            ..registry_sync::RegistryConfig::new(config.registry.url.clone())
        };
        let (interest, interested) = watch::channel(interest(&intents.borrow()));
        let (sync, handle) = RegistrySync::new(sync_config, interested, last_known)
            .map_err(|error| RunError::Registry(error.to_string()))?;
        Ok(Self {
            sync,
            handle,
            interest,
            intents,
        })
    }

    /// What the registry wants.
    pub(crate) fn aspired(&self) -> watch::Receiver<Option<Arc<Aspired>>> {
        self.handle.aspired()
    }

    /// The registry as the control plane sees it.
    pub(crate) fn port(&self) -> Arc<dyn Registry> {
        Arc::new(RegistryPort {
            handle: self.handle.clone(),
            catalog: ArcSwap::default(),
        })
    }

    /// Follows until `shutdown`.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let Self {
            sync,
            interest: interested,
            mut intents,
            ..
        } = self;
        let pass_on = async {
            while intents.changed().await.is_ok() {
                let wanted = interest(&intents.borrow_and_update());
                interested.send_if_modified(|current| {
                    let differs = *current != wanted;
                    *current = wanted;
                    differs
                });
            }
        };
        tokio::select! {
            () = sync.run(shutdown.clone()) => {}
            // The intents' sender is gone only when the gateway ends.
            () = async { pass_on.await; shutdown.cancelled().await } => {}
        }
    }
}

/// The workers of one gateway.
pub(crate) struct WorkerRoom {
    runner: Arc<CondaRunner<Upstream>>,
    env_manager: EnvManager,
}

impl WorkerRoom {
    /// Workers in the data folder of `config`, for models of `registry`. Blocks on the disk.
    pub(crate) fn open(config: &Config, registry: &RegistryRoom) -> Result<Self, RunError> {
        let runner_config = RunnerConfig {
            request_timeout: config.timeout,
            ..runner_config(&config.local)
        };
        let source = Arc::new(RegistryModels(registry.handle.artifacts()));
        let runner = CondaRunner::new(runner_config, source, Arc::new(upstream))
            .map_err(|error| RunError::Workers(error.to_string()))?;
        Ok(Self {
            runner: Arc::new(runner),
            env_manager: config.local.env_manager,
        })
    }

    /// What makes versions live.
    pub(crate) fn loader(&self) -> Arc<dyn Loader<Upstream>> {
        Arc::clone(&self.runner) as Arc<dyn Loader<Upstream>>
    }

    /// What workers write.
    pub(crate) fn files(&self) -> Arc<dyn WorkerFiles> {
        Arc::new(FilesPort(self.runner.files()))
    }

    /// The environments that workers run in.
    pub(crate) fn environments(&self) -> Arc<dyn Environments> {
        Arc::new(EnvironmentsPort {
            room: EnvironmentRoom(self.runner.environments()),
            loader: self.loader(),
            env_manager: self.env_manager,
            turns: Semaphore::new(BUILDS_AHEAD),
        })
    }

    /// Resolves when no process is left.
    pub(crate) async fn idle(&self) {
        self.runner.idle().await;
    }
}

/// The environments in a data folder, with or without a gateway.
pub(crate) struct EnvironmentRoom(RunnerEnvironments);

impl EnvironmentRoom {
    /// Those of the data folder of `config`. Blocks on the disk.
    pub(crate) fn open(config: &LocalConfig) -> Result<Self, EnvironmentsError> {
        RunnerEnvironments::open(runner_config(config))
            .map(Self)
            .map_err(|error| EnvironmentsError::Failed(error.to_string()))
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
            in_use: pruned.in_use.into_iter().map(|kept| kept.key).collect(),
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

struct RegistryPort {
    handle: RegistryHandle,
    /// The last catalog in both words, so that a list does not translate it again.
    catalog: ArcSwap<(Arc<registry_sync::Catalog>, Arc<Catalog>)>,
}

struct RegistryModels(Artifacts);

struct FilesPort(RunnerFiles);

struct EnvironmentsPort {
    room: EnvironmentRoom,
    loader: Arc<dyn Loader<Upstream>>,
    /// For versions whose settings do not name one.
    env_manager: EnvManager,
    turns: Semaphore,
}

#[async_trait]
impl Registry for RegistryPort {
    fn catalog(&self) -> Arc<Catalog> {
        let seen = Arc::clone(&self.handle.catalog().borrow());
        let known = self.catalog.load();
        if Arc::ptr_eq(&known.0, &seen) {
            return Arc::clone(&known.1);
        }
        let translated = Arc::new(translate(&seen));
        self.catalog
            .store(Arc::new((seen, Arc::clone(&translated))));
        translated
    }

    async fn is_registered(&self, model: &ModelName) -> Result<bool, RegistryUnavailable> {
        let answer = self.handle.is_registered(model).await;
        answer.map_err(|error| RegistryUnavailable(error.to_string()))
    }

    async fn version(
        &self,
        id: &ServableId,
    ) -> Result<Option<RegisteredVersion>, RegistryUnavailable> {
        let found = self.handle.version(id).await;
        let found = found.map_err(|error| RegistryUnavailable(error.to_string()))?;
        Ok(found.map(|found| RegisteredVersion {
            model_incarnation: found.model_incarnation,
            version: found.version,
        }))
    }

    fn poll_soon(&self) {
        self.handle.poll_soon();
    }

    async fn polled(&self) {
        self.handle.polled().await;
    }

    fn status(&self) -> RegistryStatus {
        let status = self.handle.status();
        let status = status.borrow();
        RegistryStatus {
            last_success: status.last_success,
            error: status.error.clone(),
        }
    }
}

#[async_trait]
impl ModelSource for RegistryModels {
    async fn fetch(
        &self,
        source: &str,
        into: &Path,
        progress: &Progress,
    ) -> Result<FetchedModel, LoadError> {
        let step = |text: String| progress.step(text);
        let fetched = self.0.fetch(source, into, &step).await;
        match fetched {
            Ok(Fetched::Complete) => Ok(FetchedModel::Complete),
            Ok(Fetched::NeedsClient { uri, environment }) => {
                Ok(FetchedModel::NeedsClient { uri, environment })
            }
            Err(error) if error.retry => Err(LoadError::transient(error.message)),
            Err(error) => Err(LoadError::permanent(error.message)),
        }
    }
}

impl WorkerFiles for FilesPort {
    fn logs(&self, id: &ServableId, kind: LogKind) -> Vec<PathBuf> {
        let kind = match kind {
            LogKind::Build => conda_runner::LogKind::Build,
            LogKind::Worker => conda_runner::LogKind::Worker,
        };
        self.0.logs(id, kind)
    }

    fn note(&self, id: &ServableId, text: &str) {
        self.0.note(id, text);
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
        let id = spec.id.clone();
        let word = spec.settings.loader.get("env_manager");
        let manager = word.and_then(|word| word.parse().ok());
        let manager = manager.unwrap_or(self.env_manager);
        progress.step("waiting for other builds ahead of time");
        // It is never closed.
        let _turn = self.turns.acquire().await;
        progress.step("looking for what is there already");
        let job = LoadJob {
            spec,
            generation: Generation(0),
            progress,
            work: WorkPermits::unlimited(),
        };
        // Held until its environment has been found: nobody removes what is in use.
        let prepared = timeout(LONGEST_BUILD, self.loader.prepare(job)).await;
        let _prepared = prepared
            .unwrap_or_else(|_| {
                let message = "the build took longer than an hour and was given up";
                Err(LoadError::transient(message))
            })
            .map_err(|error| failure(&error))?;
        self.of_version(&id, manager).await
    }

    async fn prune(
        &self,
        wish: &PruneEnvironments,
    ) -> Result<PrunedEnvironments, EnvironmentsError> {
        self.room.prune(wish).await
    }
}

impl EnvironmentsPort {
    /// The environment that was last prepared for a version by `manager`.
    async fn of_version(
        &self,
        id: &ServableId,
        manager: EnvManager,
    ) -> Result<EnvironmentDetail, BuildFailure> {
        let failed = |message: String| BuildFailure {
            error_code: BUILD_FAILED.to_owned(),
            message,
            last_lines: Vec::new(),
        };
        let list = self
            .list()
            .await
            .map_err(|error| failed(error.to_string()))?;
        let user = served(id);
        let found = list
            .into_iter()
            .find(|found| found.env_manager == manager && found.used_by.contains(&user));
        let Some(found) = found else {
            return Err(failed(format!(
                "{id} is prepared, but no environment is known to be its own"
            )));
        };
        let detail = self.find(&found.key).await;
        detail.map_err(|error| failed(error.to_string()))
    }
}

/// What stands for a failed build that the runner has no word for.
const BUILD_FAILED: &str = "BUILD_FAILED";

fn runner_config(config: &LocalConfig) -> RunnerConfig {
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
        conda: conda_runner::CondaConfig {
            channel_alias: conda.channel_alias.expose().to_owned(),
            channels: channels
                .map(|(name, meant)| (name.clone(), exposed(meant)))
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
        SpaceError::Export { .. } | SpaceError::Import { .. } | SpaceError::Runner(_) => {
            EnvironmentsError::Failed(error.to_string())
        }
    }
}

fn failure(error: &LoadError) -> BuildFailure {
    BuildFailure {
        error_code: error.code.as_deref().unwrap_or(BUILD_FAILED).to_owned(),
        message: error.message.to_string(),
        last_lines: error.last_lines.clone(),
    }
}

fn translate(seen: &registry_sync::Catalog) -> Catalog {
    let model = |model: &registry_sync::RegisteredModel| RegisteredModel {
        description: model.description.clone(),
        last_updated: model.last_updated,
    };
    let models = seen.models.iter();
    Catalog {
        models: models
            .map(|(name, seen)| (name.clone(), model(seen)))
            .collect(),
    }
}

/// Only models that somebody wants served are followed: a registry with thousands of others costs nothing.
fn interest(intents: &Intents) -> Interest {
    if intents.otherwise.is_some() {
        return Interest::All;
    }
    let served = intents
        .models
        .iter()
        .filter(|(_, intent)| matches!(intent, Intent::Serve(_)));
    let names: BTreeSet<ModelName> = served.map(|(name, _)| name.clone()).collect();
    Interest::Models(names)
}

fn upstream(worker: Worker) -> Upstream {
    let facts = &worker.facts;
    let about = About {
        signature: facts.signature.as_ref().map(|signature| Signature {
            inputs: signature.inputs.clone(),
            outputs: signature.outputs.clone(),
            params: signature.params.clone(),
        }),
        example: facts.example.as_ref().map(|example| Example {
            content_type: example.content_type.clone(),
            body: example.body.clone(),
        }),
        mlflow_version: facts.mlflow_version.clone(),
    };
    let WorkerEndpoint::Unix(socket) = worker.endpoint;
    Upstream::new(UpstreamConfig {
        endpoint: Endpoint::Unix(socket),
        mlflow_version: worker.mlflow_version,
        keep_alive: worker.keep_alive,
        about: Arc::new(about),
    })
}
