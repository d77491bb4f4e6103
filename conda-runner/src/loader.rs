//! The loader: from a wanted version to its files and its environment.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use serving_core::{LoadError, LoadJob, Loader, Prepared, Source};
use tokio_util::task::TaskTracker;

use crate::config::{EnvManager, RunnerConfig};
use crate::env::{Environment, Environments};
use crate::error::{RunnerError, disk};
use crate::files::{LogKind, RunnerFiles};
use crate::model::ModelFacts;
use crate::names;
use crate::prepared::{PreparedModel, Tools};
use crate::process::command;
use crate::process::diagnosis::last_lines;
use crate::process::host::Host;
use crate::process::logs::{Log, LogWriter};
use crate::process::sockets::Sockets;
use crate::shelf::{Shelf, Staging};
use crate::source::{FetchedModel, ModelSource};
use crate::time::rfc3339;
use crate::words::Words;
use crate::worker::Worker;

/// Runs versions of models as processes, each in the environment that it declares.
pub struct CondaRunner<S> {
    env_manager: EnvManager,
    source: Arc<dyn ModelSource>,
    models: Shelf,
    environments: Environments,
    files: RunnerFiles,
    tools: Arc<Tools<S>>,
    tasks: TaskTracker,
}

impl<S> CondaRunner<S> {
    /// A runner below `config.data_dir`, which is made if need be and swept of what a killed predecessor left. Blocks
    /// on the disk. `offer` turns a worker that answers into what callers use.
    pub fn new(
        config: RunnerConfig,
        source: Arc<dyn ModelSource>,
        offer: Arc<dyn Fn(Worker) -> S + Send + Sync>,
    ) -> Result<Self, RunnerError> {
        let config = absolute(config)?;
        std::fs::create_dir_all(&config.data_dir).map_err(RunnerError::folder(&config.data_dir))?;
        let tasks = TaskTracker::new();
        let below = |name: &str| config.data_dir.join(name);
        let host = Host::new(&config.inherited_environment, tasks.clone());
        let builder = Host::new(
            &[
                config.inherited_environment.as_slice(),
                config.build_environment.as_slice(),
            ]
            .concat(),
            tasks.clone(),
        );
        let shelf = Shelf::open(below("environments"), tasks.clone())?;
        let writer = LogWriter::start(config.log_size)?;
        Ok(Self {
            env_manager: config.env_manager,
            source,
            models: Shelf::open(below("models"), tasks.clone())?,
            environments: Environments::new(&config, builder, shelf),
            files: RunnerFiles::new(below("logs"), writer),
            tools: Arc::new(Tools {
                host,
                sockets: Sockets::open(&config.data_dir)?,
                request_timeout: config.request_timeout,
                start_timeout: config.start_timeout,
                stop_grace: config.stop_grace,
                offer,
            }),
            tasks,
        })
    }

    /// The logs of what it runs.
    pub fn files(&self) -> RunnerFiles {
        self.files.clone()
    }

    /// Resolves when no process of it is left and nothing is being cleared up. For the end of a program, after all
    /// that was prepared has been dropped.
    pub async fn idle(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.tasks.reopen();
    }

    async fn model_folder(
        &self,
        job: &LoadJob,
        manager: EnvManager,
        log: &Log,
    ) -> Result<PathBuf, LoadError> {
        let key = names::of_version(&job.spec);
        let fetch = async |staging: Staging| {
            job.progress.step("fetching the model");
            self.fetch(job, manager, &staging, log).await?;
            Ok(format!("{}\n", job.spec.id))
        };
        let finished = Box::pin(self.models.find_or_make(&key, fetch)).await?;
        Ok(finished.path)
    }

    async fn fetch(
        &self,
        job: &LoadJob,
        manager: EnvManager,
        staging: &Staging,
        log: &Log,
    ) -> Result<(), LoadError> {
        let Source::Readable(source) = &job.spec.source else {
            return Err(LoadError::permanent("the version cannot be read"));
        };
        let whole = staging.whole();
        match self.source.fetch(source, &whole, &job.progress).await? {
            FetchedModel::Complete => Ok(()),
            FetchedModel::NeedsClient { uri, environment } => {
                let with = self
                    .environments
                    .provide(manager, &whole, &job.progress, log)
                    .await?;
                job.progress.step("fetching the model");
                let model = self
                    .download(&with, &uri, &environment, staging, log)
                    .await?;
                tokio::fs::rename(&whole, staging.path().join("declaration"))
                    .await
                    .map_err(disk("move", &whole))?;
                tokio::fs::rename(&model, &whole)
                    .await
                    .map_err(disk("move", &model))
            }
        }
    }

    /// Has MLflow's own client download the model; returns where it put it.
    async fn download(
        &self,
        with: &Environment,
        uri: &str,
        variables: &[(String, String)],
        staging: &Staging,
        log: &Log,
    ) -> Result<PathBuf, LoadError> {
        let into = staging.path().join("download");
        tokio::fs::create_dir(&into)
            .await
            .map_err(disk("make", &into))?;
        let launch = command::download(&self.tools.host, with, uri, variables, &into);
        let ended = self.tools.host.run(&launch, log).await?;
        if !ended.success {
            // Mostly the network or a credential: both may be better later.
            let message = format!(
                "MLflow's client cannot download the model ({})",
                ended.reason
            );
            return Err(LoadError::transient(message).with_last_lines(last_lines(&ended)));
        }
        find_model(&into)
            .await
            .map_err(disk("read", &into))?
            .ok_or_else(|| {
                LoadError::permanent(
                    "what MLflow's client downloaded is no MLflow model: it has no MLmodel file",
                )
            })
    }
}

#[async_trait]
impl<S: Send + 'static> Loader<S> for CondaRunner<S> {
    async fn prepare(&self, job: LoadJob) -> Result<Arc<dyn Prepared<S>>, LoadError> {
        let words = Words::of(&job.spec.settings)?;
        let manager = words.env_manager.unwrap_or(self.env_manager);
        let log = self.files.log(&job.spec.id, LogKind::Build);
        log.line(&format!(
            "--- attempt at {}, {} ---",
            rfc3339(SystemTime::now()),
            job.spec.id
        ))
        .await;
        let prepared = async {
            let model = self.model_folder(&job, manager, &log).await?;
            let environment = self
                .environments
                .provide(manager, &model, &job.progress, &log)
                .await?;
            let facts = ModelFacts::read(&model, environment.mlflow_major()).await?;
            log.line(&format!(
                "ready to serve with MLflow {}",
                environment.mlflow_version
            ))
            .await;
            Ok(PreparedModel {
                tools: Arc::clone(&self.tools),
                request_timeout: self.tools.request_timeout.max(job.spec.settings.timeout),
                log: self.files.log(&job.spec.id, LogKind::Worker),
                progress: job.progress.clone(),
                environment,
                model,
                words,
                facts: Arc::new(facts),
            })
        };
        match prepared.await {
            Ok(prepared) => Ok(Arc::new(prepared)),
            Err(error) => {
                log.line(&format!("failed: {error}")).await;
                Err(error)
            }
        }
    }
}

/// Children work in other folders, so no path may depend on the current one.
fn absolute(config: RunnerConfig) -> Result<RunnerConfig, RunnerError> {
    let path = |path: PathBuf| std::path::absolute(&path).map_err(RunnerError::folder(&path));
    Ok(RunnerConfig {
        data_dir: path(config.data_dir)?,
        constraints: config.constraints.map(path).transpose()?,
        uv: config.uv.map(path).transpose()?,
        ..config
    })
}

/// The client puts the folder that an address names into the destination, or its content.
async fn find_model(into: &Path) -> io::Result<Option<PathBuf>> {
    let is_model = async |folder: &Path| tokio::fs::try_exists(folder.join("MLmodel")).await;
    if is_model(into).await? {
        return Ok(Some(into.to_owned()));
    }
    let mut entries = tokio::fs::read_dir(into).await?;
    while let Some(entry) = entries.next_entry().await? {
        if is_model(&entry.path()).await.unwrap_or(false) {
            return Ok(Some(entry.path()));
        }
    }
    Ok(None)
}
