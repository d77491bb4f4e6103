//! Puts the rest together. The only module that knows the registry client and the workers' host by name: both are put
//! behind the words of [`ports`](crate::ports), [`serving_core`] and the data plane here.

mod environments;
mod files;
mod webhooks;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use conda_runner::{
    CondaRunner, FetchedModel, ModelSource, OwnUsage, RunnerConfig, RunnerWorkers, Worker,
    WorkerEndpoint,
};
use registry_sync::{Artifacts, Fetched, Interest, RegistryHandle, RegistrySync};
use serving_core::{Aspired, Intent, Intents, LoadError, Loader, ModelName, Progress, ServableId};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::api::LONGEST_TIMEOUT;
use crate::config::{Config, RegistryCredentials};
use crate::data_plane::{About, Endpoint, Example, Signature, Upstream, UpstreamConfig};
use crate::ports::{
    Catalog, Environments, GatewayProcess, Processes, RegisteredModel, RegisteredVersion, Registry,
    RegistryStatus, RegistryUnavailable, RegistryWebhooks, TemplateProcess, WorkerFiles,
    WorkerProcess,
};
use crate::run_error::RunError;

pub(crate) use environments::EnvironmentRoom;

use environments::{EnvironmentsPort, runner_config};
use files::FilesPort;
use webhooks::WebhooksPort;

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

    /// Its webhooks.
    pub(crate) fn webhooks(&self) -> Arc<dyn RegistryWebhooks> {
        Arc::new(WebhooksPort(self.handle.clone()))
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
}

impl WorkerRoom {
    /// Workers in the data folder of `config`, for models of `registry`. Blocks on the disk.
    pub(crate) fn open(config: &Config, registry: &RegistryRoom) -> Result<Self, RunError> {
        let runner_config = RunnerConfig {
            longest_timeout: LONGEST_TIMEOUT,
            ..runner_config(&config.local)
        };
        let source = Arc::new(RegistryModels(registry.handle.artifacts()));
        let runner = CondaRunner::new(runner_config, source, Arc::new(upstream))
            .map_err(|error| RunError::Workers(error.to_string()))?;
        Ok(Self {
            runner: Arc::new(runner),
        })
    }

    /// What makes versions live.
    pub(crate) fn loader(&self) -> Arc<dyn Loader<Upstream>> {
        Arc::clone(&self.runner) as Arc<dyn Loader<Upstream>>
    }

    /// What workers write.
    pub(crate) fn files(&self) -> Arc<dyn WorkerFiles> {
        Arc::new(FilesPort::new(self.runner.files()))
    }

    /// What workers take of the machine.
    pub(crate) fn processes(&self) -> Arc<dyn Processes> {
        Arc::new(ProcessesPort(self.runner.workers()))
    }

    /// The environments that workers run in.
    pub(crate) fn environments(&self) -> Arc<dyn Environments> {
        Arc::new(EnvironmentsPort::new(Arc::clone(&self.runner)))
    }

    /// Resolves when no process is left.
    pub(crate) async fn idle(&self) {
        self.runner.idle().await;
    }
}

struct RegistryPort {
    handle: RegistryHandle,
    /// The last catalog in both words, so that a list does not translate it again.
    catalog: ArcSwap<(Arc<registry_sync::Catalog>, Arc<Catalog>)>,
}

struct RegistryModels(Artifacts);

struct ProcessesPort(RunnerWorkers);

impl Processes for ProcessesPort {
    fn workers(&self) -> Vec<WorkerProcess> {
        let workers = self.0.list().into_iter();
        let workers = workers.map(|worker| WorkerProcess {
            id: worker.id,
            replica: worker.replica,
            process: worker.process,
            since: worker.since,
            memory_bytes: worker.memory,
            cpu: worker.cpu,
            memory_limit: worker.memory_limit,
        });
        workers.collect()
    }

    fn templates(&self) -> Vec<TemplateProcess> {
        let templates = self.0.templates().into_iter();
        let templates = templates.map(|template| TemplateProcess {
            key: template.key,
            environment: template.environment,
            workers: template.workers,
            memory_bytes: template.memory,
            cpu: template.cpu,
        });
        templates.collect()
    }

    fn gateway(&self) -> Option<GatewayProcess> {
        OwnUsage::read().map(|own| GatewayProcess {
            resident_memory: own.resident_memory,
            virtual_memory: own.virtual_memory,
            cpu: own.cpu,
            threads: own.threads,
            open_files: own.open_files,
            max_files: own.max_files,
        })
    }
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
            polls: status.polls,
            failed_polls: status.failed_polls,
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
