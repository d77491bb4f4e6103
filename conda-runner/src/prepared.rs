//! A prepared version: starts workers, and returns each when it answers and is warm.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use serving_core::{Instance, LoadError, Note, Prepared, Progress, ReplicaId, ServableId};
use tokio::time::{Instant, timeout, timeout_at};

use crate::attempts::OpenAttempt;
use crate::env::Environment;
use crate::error::without_place;
use crate::files::{RunnerFiles, template_log};
use crate::launcher::Launcher;
use crate::model::{ModelFacts, ModelNeeds};
use crate::process::child::{EndWatch, Ended};
use crate::process::command::{self, Serving};
use crate::process::diagnosis::{failed_start, last_lines};
use crate::process::host::Host;
use crate::process::sockets::{Sockets, WorkerFolder};
use crate::readiness::Expected;
use crate::running::{Post, RunnerWorkers};
use crate::shelf::InUse;
use crate::started::{Running, StopWorker, exit};
use crate::template::{Start, TemplateTrouble, Templates, Why};
use crate::time::rfc3339;
use crate::words::Words;
use crate::worker::{Worker, WorkerEndpoint};

/// The part of the time for a start in which a fork has to answer: the rest is for a process of its own, if none does.
const SHARE_OF_FORK: u32 = 3;
/// How much longer than its start a worker may take in all, warm: it is one deadline for the engine.
const WARM_UP_AFTER_START: Duration = Duration::from_secs(30);
/// How long it may take until all is known of a worker that was killed.
const POST_MORTEM: Duration = Duration::from_secs(5);

/// What all prepared versions share.
pub(crate) struct Tools<S> {
    pub(crate) host: Host,
    pub(crate) sockets: Sockets,
    /// For versions that do not say.
    pub(crate) launcher: Launcher,
    pub(crate) templates: Templates,
    pub(crate) workers: RunnerWorkers,
    pub(crate) longest_timeout: Duration,
    pub(crate) start_timeout: Duration,
    pub(crate) warm_up_timeout: Duration,
    pub(crate) stop_grace: Duration,
    pub(crate) access_log: bool,
    /// Where all is that workers may name, and callers need not know.
    pub(crate) data_dir: PathBuf,
    pub(crate) offer: Arc<dyn Fn(Worker) -> S + Send + Sync>,
}

/// A version whose model folder and environment are there.
pub(crate) struct PreparedModel<S> {
    pub(crate) tools: Arc<Tools<S>>,
    pub(crate) id: ServableId,
    pub(crate) files: RunnerFiles,
    pub(crate) progress: Progress,
    pub(crate) environment: Environment,
    pub(crate) model: PathBuf,
    /// Keeps both on the disk. Each worker has it as well: it may outlive what it was prepared as.
    pub(crate) in_use: InUse,
    pub(crate) words: Words,
    pub(crate) facts: Arc<ModelFacts>,
    pub(crate) needs: ModelNeeds,
    /// Whether a fork of it failed before.
    pub(crate) is_no_fork: AtomicBool,
}

/// How one worker is to be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way<'a> {
    /// By MLflow's command, or without it where that is the same and wanted.
    Own { direct: bool },
    /// As a fork of the template of this name.
    Fork(&'a str),
}

/// Why a worker did not come to be.
enum Failure {
    /// Whatever the way.
    Load(LoadError),
    /// On this way.
    Template(TemplateTrouble),
}

#[async_trait]
impl<S: Send + 'static> Prepared<S> for PreparedModel<S> {
    async fn load(&self, replica: ReplicaId) -> Result<Instance<S>, LoadError> {
        let loaded = match self.words.launcher.unwrap_or(self.tools.launcher) {
            Launcher::MlflowServe => self.own(replica, false).await,
            Launcher::Direct => self.own(replica, true).await,
            Launcher::Template => self.forked_or_direct(replica).await,
        };
        loaded.map_err(|error| without_place(error, &self.tools.data_dir))
    }
}

impl<S: Send + 'static> PreparedModel<S> {
    /// A process of its own, with the whole time for a start.
    async fn own(&self, replica: ReplicaId, direct: bool) -> Result<Instance<S>, LoadError> {
        self.own_since(replica, direct, Instant::now()).await
    }

    /// The same with what is left of a time that began at `first`.
    async fn own_since(
        &self,
        replica: ReplicaId,
        direct: bool,
        first: Instant,
    ) -> Result<Instance<S>, LoadError> {
        let (way, answers_by) = (Way::Own { direct }, first + self.tools.start_timeout);
        let loaded = self.loaded(replica, way, first, answers_by).await;
        loaded.map_err(|failure| match failure {
            Failure::Load(error) => error,
            Failure::Template(trouble) => LoadError::transient(trouble.message),
        })
    }

    /// A fork, and if none comes of it, a process of its own: in what is left of the time for one start. A version that
    /// cannot be forked is not tried that way again, and has all of the time from then on.
    async fn forked_or_direct(&self, replica: ReplicaId) -> Result<Instance<S>, LoadError> {
        let templates = &self.tools.templates;
        let key = self.serving().template_key(&self.tools.host);
        let is_open =
            |key: &String| !templates.is_given_up(key) && !self.is_no_fork.load(Ordering::Relaxed);
        let Some(key) = key.filter(is_open) else {
            return self.own(replica, true).await;
        };
        let key = key.as_str();
        let first = Instant::now();
        let answers_by = first + self.tools.start_timeout / SHARE_OF_FORK;
        let trouble = match self
            .loaded(replica, Way::Fork(key), first, answers_by)
            .await
        {
            Ok(instance) => {
                templates.was_of_use(key, &self.needs.flavors);
                return Ok(instance);
            }
            Err(Failure::Load(error)) => return Err(error),
            Err(Failure::Template(trouble)) => {
                templates.understood(key, trouble, first, answers_by)
            }
        };
        if trouble.why == Why::Silent {
            // Whoever comes next is not to wait as long, even if what follows takes longer than there is time for.
            self.is_no_fork.store(true, Ordering::Relaxed);
        }
        let instance = self.own_since(replica, true, first).await?;
        // It was the fork's fault: without it, the same model is there. Not so where there was none yet.
        if !matches!(trouble.why, Why::NotReady | Why::Stale) {
            self.is_no_fork.store(true, Ordering::Relaxed);
        }
        templates.was_of_no_use(key, &trouble);
        self.progress
            .note(fell_back(&trouble, key).about("replica", replica.0));
        Ok(instance)
    }

    /// A worker that answers, and has scored its example if it can.
    async fn loaded(
        &self,
        replica: ReplicaId,
        way: Way<'_>,
        first: Instant,
        answers_by: Instant,
    ) -> Result<Instance<S>, Failure> {
        let folder = self.tools.sockets.next().map_err(LoadError::from)?;
        let socket = folder.socket();
        let attempt = self.files.begin_worker(&self.id).await;
        let starting = self.start(replica, way, folder, &attempt);
        // A template that has to be started before goes on with that.
        let started = match timeout_at(answers_by, starting).await {
            Ok(started) => started,
            Err(_) if way.is_fork() => Err(Failure::Template(TemplateTrouble::new(
                Why::Silent,
                "it did not fork in time",
            ))),
            Err(_) => Err(LoadError::transient("the worker could not be started in time").into()),
        };
        let mut running = match started {
            Ok(running) => running,
            Err(failure) => return Err(noted(&attempt, failure).await),
        };
        let watch = running.process.end_watch();
        let excess = self.tools.workers.enter(self.post(replica), watch.clone());
        let expected = self.expected(&watch, &socket, &attempt, answers_by, first);
        // Whatever it is asked, a worker that ends will not answer any more.
        let ready = tokio::select! {
            biased;
            // A peak while it loads says little of what it will take; what cannot be borne says enough.
            reason = excess.clone().unbearable() => Err(too_large(&reason).into()),
            ended = watch.end() => Err(self.died(&ended, way)),
            ready = expected.ready() => ready.map_err(|error| unfit(error, &watch, way)),
        };
        // What it takes is known when callers see it, and one that is too large to begin with is not shown to any.
        let ready = match (excess.look().await, ready) {
            (Some(reason), _) => Err(too_large(&reason).into()),
            (None, ready) => ready,
        };
        let answering = match ready {
            Ok(Some(answering)) if !(answering.is_silent && way.is_fork()) => answering,
            Ok(silent) => {
                running.has_failed();
                let failure = if silent.is_some() {
                    let message = "the fork did not answer its input example";
                    TemplateTrouble::new(Why::Silent, message).into()
                } else {
                    let time = answers_by.duration_since(first);
                    self.too_slow(running, &watch, way, time).await
                };
                return Err(noted(&attempt, failure).await);
            }
            Err(failure) => {
                running.has_failed();
                return Err(noted(&attempt, failure).await);
            }
        };
        self.progress
            .note(answering.note.about("replica", replica.0));
        attempt.log().line("--- ready ---").await;
        let data_dir = self.tools.data_dir.clone();
        Ok(Instance {
            servable: (self.tools.offer)(Worker {
                endpoint: WorkerEndpoint::Unix(socket),
                mlflow_version: answering.mlflow_version,
                keep_alive: command::keep_alive(self.environment.server),
                facts: Arc::clone(&self.facts),
            }),
            give_up: Box::pin(excess.clone().bearable()),
            exit: Box::pin(async move { exit(&*watch.death().await, &excess, &data_dir) }),
            stop: Box::new(StopWorker {
                running,
                grace: self.tools.stop_grace,
            }),
        })
    }
}

impl<S> PreparedModel<S> {
    async fn start(
        &self,
        replica: ReplicaId,
        way: Way<'_>,
        folder: WorkerFolder,
        attempt: &Arc<OpenAttempt>,
    ) -> Result<Running, Failure> {
        self.progress.step("starting worker");
        self.in_use.touch().await;
        let host = &self.tools.host;
        let log = attempt.log();
        let serving = self.serving();
        let process = match way {
            Way::Own { direct } => {
                let launch = direct.then(|| serving.direct(host, &folder)).flatten();
                let launch = launch.unwrap_or_else(|| serving.mlflow_serve(host, &folder));
                log.line(&begins(replica, &launch.shown())).await;
                host.start(&launch, log.clone(), self.keep(folder, attempt))?
            }
            Way::Fork(key) => {
                log.line(&begins(replica, &format!("a fork of template {key}")))
                    .await;
                let launch = |folder: &WorkerFolder| {
                    let program = Templates::program(folder);
                    serving.template(host, folder, &program, &self.needs.flavors)
                };
                let start = Start {
                    key,
                    environment: self.environment.key.as_deref(),
                    host,
                    sockets: &self.tools.sockets,
                    launch: &launch,
                    log: &self.files.of_template(key),
                    keep: self.environment.hold.clone(),
                };
                let order = serving.order(host, &folder, &self.needs.modules);
                let keep = self.keep(folder, attempt);
                let templates = &self.tools.templates;
                templates.fork(&start, &order, log, keep).await?
            }
        };
        Ok(Running {
            process,
            attempt: Arc::downgrade(attempt),
        })
    }

    /// What a worker of this version is told.
    fn serving(&self) -> Serving<'_> {
        Serving {
            environment: &self.environment,
            model: &self.model,
            words: &self.words,
            longest_timeout: self.tools.longest_timeout,
            start_timeout: self.tools.start_timeout,
            access_log: self.tools.access_log,
        }
    }

    /// What goes with the last of a worker's group; the attempt ends then.
    fn keep(
        &self,
        folder: WorkerFolder,
        attempt: &Arc<OpenAttempt>,
    ) -> (WorkerFolder, InUse, Arc<OpenAttempt>) {
        (folder, self.in_use.clone(), Arc::clone(attempt))
    }

    fn post(&self, replica: ReplicaId) -> Post {
        Post {
            id: self.id.clone(),
            replica,
            memory_limit: self.words.memory_limit,
        }
    }

    fn expected<'a>(
        &'a self,
        watch: &'a EndWatch,
        socket: &'a Path,
        attempt: &'a OpenAttempt,
        answers_by: Instant,
        first: Instant,
    ) -> Expected<'a> {
        let example = self.facts.example.as_ref();
        let example = example.ok_or("no input example was logged with it");
        let end = first + self.tools.start_timeout + WARM_UP_AFTER_START;
        Expected {
            watch,
            socket,
            attempt,
            progress: &self.progress,
            mlflow_version: &self.environment.mlflow_version,
            example: if self.words.warm_up {
                example
            } else {
                Err("the setting warm_up is off")
            },
            answers_by,
            warm_up: (self.tools.warm_up_timeout, end),
        }
    }

    /// A worker ended before it was ready. What a fork dies of may be the template's fault; not so an exception of a model
    /// like others that were ready in a fork of it.
    fn died(&self, ended: &Ended, way: Way<'_>) -> Failure {
        let error = failed_start(ended);
        let Way::Fork(key) = way else {
            return Failure::Load(error);
        };
        if ended.model_raised && self.tools.templates.is_proven(key, &self.needs.flavors) {
            return Failure::Load(error);
        }
        let trouble = TemplateTrouble::new(Why::Died, &*error.message);
        Failure::Template(trouble.with_lines(error.last_lines))
    }

    /// Kills the worker, and tells what it said last: that is what it was busy with.
    async fn too_slow(
        &self,
        running: Running,
        watch: &EndWatch,
        way: Way<'_>,
        time: Duration,
    ) -> Failure {
        drop(running);
        let lines = match timeout(POST_MORTEM, watch.end()).await {
            Ok(ended) => last_lines(&ended),
            Err(_) => Vec::new(),
        };
        let seconds = time.as_secs();
        if way.is_fork() {
            let message = format!("the fork did not answer within {seconds} seconds");
            return Failure::Template(TemplateTrouble::new(Why::Silent, message).with_lines(lines));
        }
        let error = LoadError::transient(format!(
            "the worker did not answer within {seconds} seconds"
        ));
        Failure::Load(error.with_last_lines(lines))
    }
}

impl Way<'_> {
    fn is_fork(self) -> bool {
        matches!(self, Self::Fork(_))
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        Self::Load(error)
    }
}

impl From<TemplateTrouble> for Failure {
    fn from(trouble: TemplateTrouble) -> Self {
        Self::Template(trouble)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Load(error) => error.fmt(formatter),
            Self::Template(trouble) => formatter.write_str(&trouble.message),
        }
    }
}

/// The first line of an attempt.
fn begins(replica: ReplicaId, what: &str) -> String {
    let now = rfc3339(SystemTime::now());
    format!("--- attempt at {now}, replica {replica}, {what} ---")
}

/// A worker was found to be of no use while it lived, or in its last moments.
fn unfit(error: LoadError, watch: &EndWatch, way: Way<'_>) -> Failure {
    if way.is_fork() && watch.leader().is_none() {
        let trouble = TemplateTrouble::new(Why::Died, &*error.message);
        return Failure::Template(trouble.with_lines(error.last_lines));
    }
    Failure::Load(error)
}

/// What people hear of a fork that failed where a process of its own did not.
fn fell_back(trouble: &TemplateTrouble, key: &str) -> Note {
    let message = format!(
        "The worker was started by itself, since none came of a fork: {}",
        trouble.message
    );
    let log = template_log(Path::new("logs"), key);
    Note::new("fork_failed", message)
        .about("code", trouble.why.code())
        .about("template_log", &*log.to_string_lossy())
}

async fn noted(attempt: &OpenAttempt, failure: Failure) -> Failure {
    let log = attempt.log();
    log.line(&format!("--- failed: {failure} ---")).await;
    // Others are of the worker itself, and stand there already.
    if let Failure::Template(trouble) = &failure
        && trouble.why == Why::NotStarted
    {
        for line in &trouble.lines {
            log.line(line).await;
        }
    }
    failure
}

/// The word for programs where a worker takes more memory than it may before anybody has asked it anything.
const MEMORY_LIMIT: &str = "MEMORY_LIMIT";

/// The next one would be as large.
fn too_large(reason: &str) -> LoadError {
    LoadError::permanent(format!(
        "the worker was too large to be started: {reason}; give it more with the setting memory_limit"
    ))
    .with_code(MEMORY_LIMIT)
}
