//! The loader: from a wanted version to its files and its environment.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use async_trait::async_trait;
use serving_core::{LoadError, LoadJob, Loader, Prepared};

use crate::attempts::AttemptOutcome;
use crate::config::{EnvManager, RunnerConfig};
use crate::data_folder::{DataFolder, absolute};
use crate::env::{Care, Environment, Wish};
use crate::error::{RunnerError, without_place};
use crate::fetch::Fetch;
use crate::files::RunnerFiles;
use crate::model::{ModelFacts, ModelNeeds};
use crate::names;
use crate::prepared::{PreparedModel, Tools};
use crate::process::host::Host;
use crate::process::logs::Log;
use crate::process::sockets::Sockets;
use crate::running::RunnerWorkers;
use crate::shelf::{Finished, Hold};
use crate::source::ModelSource;
use crate::space::{Keeper, RunnerEnvironments};
use crate::template::Templates;
use crate::time::rfc3339;
use crate::words::Words;
use crate::worker::Worker;

/// Runs versions of models as processes, each in the environment that it declares.
pub struct CondaRunner<S> {
    env_manager: EnvManager,
    source: Arc<dyn ModelSource>,
    folder: Arc<DataFolder>,
    space: RunnerEnvironments,
    keeper: Keeper,
    tools: Arc<Tools<S>>,
}

impl<S> CondaRunner<S> {
    /// A runner below `config.data_dir`, which is made if need be and swept of what a killed predecessor left. Blocks
    /// on the disk. `offer` turns a worker that answers into what callers use. In a runtime the quotas are kept from
    /// now on, otherwise from the first version on.
    pub fn new(
        config: RunnerConfig,
        source: Arc<dyn ModelSource>,
        offer: Arc<dyn Fn(Worker) -> S + Send + Sync>,
    ) -> Result<Self, RunnerError> {
        let config = absolute(config)?;
        let folder = Arc::new(DataFolder::open(&config)?);
        let space = RunnerEnvironments::of(Arc::clone(&folder));
        let host = Host::new(&config.inherited_environment, folder.tasks.clone());
        let workers = RunnerWorkers::new();
        Ok(Self {
            env_manager: config.env_manager,
            source,
            keeper: Keeper::new(space.clone()),
            space,
            tools: Arc::new(Tools {
                host,
                sockets: Sockets::open(&config.data_dir)?,
                launcher: config.launcher,
                templates: Templates::new(
                    config.template_idle,
                    config.start_timeout,
                    workers.clone(),
                ),
                workers,
                longest_timeout: config.longest_timeout,
                start_timeout: config.start_timeout,
                warm_up_timeout: config.warm_up_timeout,
                stop_grace: config.stop_grace,
                access_log: config.worker_access_log,
                data_dir: config.data_dir.clone(),
                offer,
            }),
            folder,
        })
    }

    /// The logs of what it runs.
    pub fn files(&self) -> RunnerFiles {
        self.folder.files.clone()
    }

    /// The workers that it runs, and what they take of the machine.
    pub fn workers(&self) -> RunnerWorkers {
        self.tools.workers.clone()
    }

    /// The environments that it builds and runs workers in.
    pub fn environments(&self) -> RunnerEnvironments {
        self.space.clone()
    }

    /// Fetches and builds what the version of `job` needs, as preparing it would, and leaves it on the disk; returns
    /// the key of the environment, `None` where there is none to build ([`EnvManager::Local`]).
    pub async fn build_ahead(&self, job: LoadJob) -> Result<Option<String>, LoadError> {
        let built = async |words: Words, log: Log| {
            let (_model, environment) = self.provide(&job, &words, &log).await?;
            Ok(environment.key)
        };
        self.attempt(&job, built).await
    }

    /// Resolves when no process of it is left and nothing is being cleared up. For the end of a program, after all
    /// that was prepared has been dropped.
    pub async fn idle(&self) {
        self.tools.templates.stop();
        self.folder.environments.stop().await;
        self.folder.tasks.close();
        self.folder.tasks.wait().await;
        self.folder.tasks.reopen();
    }

    async fn model_folder(
        &self,
        job: &LoadJob,
        manager: EnvManager,
        log: &Log,
    ) -> Result<Finished, LoadError> {
        let fetch = Fetch {
            source: Arc::clone(&self.source),
            environments: Arc::clone(&self.folder.environments),
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
        self.folder.models.find_or_make(&key, make).await
    }

    /// Everything that has to be there before a worker starts: the model's folder and its environment.
    async fn provide(
        &self,
        job: &LoadJob,
        words: &Words,
        log: &Log,
    ) -> Result<(Finished, Environment), LoadError> {
        let manager = words.env_manager.unwrap_or(self.env_manager);
        let model = self.model_folder(job, manager, log).await?;
        let wish = Wish {
            manager,
            folder: &model.path,
            care: Care::Shelf(model.hold.clone()),
            fresh: words.fresh,
        };
        let environment = self.folder.environments.provide(wish, job, log).await?;
        Ok((model, environment))
    }

    /// The same, in the hands of its version from then on.
    async fn prepared(
        &self,
        job: &LoadJob,
        words: Words,
        log: &Log,
    ) -> Result<PreparedModel<S>, LoadError> {
        let (model, environment) = self.provide(job, &words, log).await?;
        let held = environment.hold.iter().cloned();
        let held = held.fold(model.hold, Hold::join);
        let facts = ModelFacts::read(&model.path, environment.mlflow_major()).await?;
        let needs = ModelNeeds::read(&model.path).await?;
        log.line(&format!(
            "ready to serve with MLflow {}",
            environment.mlflow_version
        ))
        .await;
        Ok(PreparedModel {
            tools: Arc::clone(&self.tools),
            id: job.spec.id.clone(),
            files: self.folder.files.clone(),
            progress: job.progress.clone(),
            in_use: held.used_by(&job.spec.id).await?,
            environment,
            model: model.path,
            words,
            facts: Arc::new(facts),
            needs,
            is_no_fork: AtomicBool::new(false),
        })
    }

    /// Does `work` for the version of `job` as one attempt, with a log of its own.
    async fn attempt<R, Work>(
        &self,
        job: &LoadJob,
        work: impl FnOnce(Words, Log) -> Work,
    ) -> Result<R, LoadError>
    where
        Work: Future<Output = Result<R, LoadError>>,
    {
        let words = Words::of(&job.spec.settings)?;
        let attempt = self.folder.files.begin_build(&job.spec.id).await;
        let log = attempt.log();
        log.line(&format!(
            "--- attempt at {}, {} ---",
            rfc3339(SystemTime::now()),
            job.spec.id
        ))
        .await;
        let done = work(words, log.clone()).await;
        // Whatever came of it may have taken space.
        self.keeper.wake();
        if let Err(error) = &done {
            log.line(&format!("failed: {error}")).await;
            attempt.ends_as(AttemptOutcome::Failed);
        } else {
            attempt.ends_as(AttemptOutcome::Succeeded);
        }
        done.map_err(|error| without_place(error, &self.folder.root))
    }
}

#[async_trait]
impl<S: Send + 'static> Loader<S> for CondaRunner<S> {
    async fn prepare(&self, job: LoadJob) -> Result<Arc<dyn Prepared<S>>, LoadError> {
        let work = async |words: Words, log: Log| self.prepared(&job, words, &log).await;
        let prepared = self.attempt(&job, work).await?;
        Ok(Arc::new(prepared))
    }
}
