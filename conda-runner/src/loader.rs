//! The loader: from a wanted version to its files and its environment.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use serving_core::{LoadError, LoadJob, Loader, Prepared};
use tokio_util::task::TaskTracker;

use crate::config::{EnvManager, PipConfig, RunnerConfig};
use crate::env::{Care, Environments, INTERPRETER, Wish};
use crate::error::RunnerError;
use crate::fetch::Fetch;
use crate::files::{LogKind, RunnerFiles};
use crate::model::{MODEL_FILE, ModelFacts};
use crate::names;
use crate::prepared::{PreparedModel, Tools};
use crate::process::host::Host;
use crate::process::logs::{Log, LogWriter};
use crate::process::sockets::Sockets;
use crate::shelf::Shelf;
use crate::source::ModelSource;
use crate::time::rfc3339;
use crate::words::Words;
use crate::worker::Worker;

/// Runs versions of models as processes, each in the environment that it declares.
pub struct CondaRunner<S> {
    env_manager: EnvManager,
    source: Arc<dyn ModelSource>,
    models: Shelf,
    environments: Arc<Environments>,
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
        let shelf = Shelf::open(below("environments"), INTERPRETER, tasks.clone())?;
        let writer = LogWriter::start(config.log_size)?;
        let environments = Environments::new(&config, builder, shelf, writer.clone())?;
        Ok(Self {
            env_manager: config.env_manager,
            source,
            models: Shelf::open(below("models"), MODEL_FILE, tasks.clone())?,
            environments: Arc::new(environments),
            files: RunnerFiles::new(below("logs"), writer),
            tools: Arc::new(Tools {
                host,
                sockets: Sockets::open(&config.data_dir)?,
                request_timeout: config.request_timeout,
                start_timeout: config.start_timeout,
                warm_up_timeout: config.warm_up_timeout,
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
        self.environments.stop().await;
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
        let fetch = Fetch {
            source: Arc::clone(&self.source),
            environments: Arc::clone(&self.environments),
            host: self.tools.host.clone(),
            job: job.clone(),
            manager,
            log: log.clone(),
        };
        let key = names::of_version(&job.spec);
        let make = async move |staging| {
            fetch.run(&staging).await?;
            Ok(format!("{}\n", fetch.job.spec.id))
        };
        Ok(self.models.find_or_make(&key, make).await?.path)
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
            let wish = Wish {
                manager,
                folder: &model,
                care: Care::Owner,
                fresh: words.fresh,
            };
            let environment = self.environments.provide(wish, &job, &log).await?;
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
        pip: PipConfig {
            constraints: config.pip.constraints.map(path).transpose()?,
            ..config.pip
        },
        uv: config.uv.map(path).transpose()?,
        ..config
    })
}
