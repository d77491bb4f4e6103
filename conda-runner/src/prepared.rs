//! A prepared version: starts workers, and returns each when it answers and is warm.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use http::StatusCode;
use serving_core::{Exit, Instance, LoadError, Prepared, Progress, ReplicaId, ServableId, Stop};
use tokio::time::{Instant, timeout};

use crate::env::Environment;
use crate::model::{Example, ModelFacts};
use crate::process::child::{EndWatch, Ended, Process};
use crate::process::command::{self, Serving};
use crate::process::diagnosis::{failed_start, last_lines, reason};
use crate::process::host::Host;
use crate::process::logs::Log;
use crate::process::probe;
use crate::process::sockets::{Sockets, WorkerFolder};
use crate::running::{Excess, Post, RunnerWorkers};
use crate::shelf::InUse;
use crate::time::rfc3339;
use crate::words::Words;
use crate::worker::{Worker, WorkerEndpoint};

/// Between two looks at a worker that does not answer yet: the first pause and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(250));
/// For an answer to `/ping` and `/version` of a worker that accepts connections.
const ANSWER: Duration = Duration::from_secs(10);
/// How long a worker that broke off its answer may take to be seen dead.
const AGONY: Duration = Duration::from_secs(2);

/// How much longer than its start a worker may take in all, warm: it is one deadline for the engine.
const WARM_UP_AFTER_START: Duration = Duration::from_secs(30);
/// How long it may take until all is known of a worker that was killed.
const POST_MORTEM: Duration = Duration::from_secs(5);

/// What all prepared versions share.
pub(crate) struct Tools<S> {
    pub(crate) host: Host,
    pub(crate) sockets: Sockets,
    pub(crate) workers: RunnerWorkers,
    pub(crate) request_timeout: Duration,
    pub(crate) start_timeout: Duration,
    pub(crate) warm_up_timeout: Duration,
    pub(crate) stop_grace: Duration,
    pub(crate) offer: Arc<dyn Fn(Worker) -> S + Send + Sync>,
}

/// A version whose model folder and environment are there.
pub(crate) struct PreparedModel<S> {
    pub(crate) tools: Arc<Tools<S>>,
    pub(crate) request_timeout: Duration,
    pub(crate) id: ServableId,
    pub(crate) log: Log,
    pub(crate) progress: Progress,
    pub(crate) environment: Environment,
    pub(crate) model: PathBuf,
    /// Keeps both on the disk. Each worker has it as well: it may outlive what it was prepared as.
    pub(crate) in_use: InUse,
    pub(crate) words: Words,
    pub(crate) facts: Arc<ModelFacts>,
}

#[async_trait]
impl<S: Send + 'static> Prepared<S> for PreparedModel<S> {
    async fn load(&self, replica: ReplicaId) -> Result<Instance<S>, LoadError> {
        let folder = self.tools.sockets.next()?;
        let socket = folder.socket();
        let process = self.start(replica, folder).await?;
        let watch = process.end_watch();
        let excess = self.tools.workers.enter(self.post(replica), watch.clone());
        // Whatever it is asked, a worker that ends will not answer any more.
        let ready = tokio::select! {
            biased;
            reason = excess.clone().over() => Err(too_large(&reason)),
            ended = watch.end() => Err(failed_start(&ended)),
            ready = self.ready(&watch, &socket) => ready,
        };
        // What it takes is known when callers see it, and one that is too large to begin with is not shown to any.
        let ready = match (excess.look().await, ready) {
            (Some(reason), _) => Err(too_large(&reason)),
            (None, ready) => ready,
        };
        let mlflow_version = match ready {
            Ok(Some(version)) => version,
            Ok(None) => {
                let error = self.too_slow(process, &watch).await;
                return Err(self.noted(error).await);
            }
            Err(error) => return Err(self.noted(error).await),
        };
        self.log.line("--- ready ---").await;
        Ok(Instance {
            servable: (self.tools.offer)(Worker {
                endpoint: WorkerEndpoint::Unix(socket),
                mlflow_version,
                keep_alive: command::keep_alive(self.environment.server),
                facts: Arc::clone(&self.facts),
            }),
            give_up: Box::pin(excess.clone().bearable()),
            exit: Box::pin(async move { exit(&*watch.death().await, &excess) }),
            stop: Box::new(StopWorker {
                process,
                grace: self.tools.stop_grace,
            }),
        })
    }
}

impl<S> PreparedModel<S> {
    async fn start(&self, replica: ReplicaId, folder: WorkerFolder) -> Result<Process, LoadError> {
        self.progress.step("starting worker");
        self.in_use.touch().await;
        let serving = Serving {
            environment: &self.environment,
            model: &self.model,
            folder: &folder,
            words: &self.words,
            request_timeout: self.request_timeout,
            start_timeout: self.tools.start_timeout,
        };
        let launch = serving.launch(&self.tools.host);
        let now = rfc3339(SystemTime::now());
        let header = format!(
            "--- attempt at {now}, replica {replica}, {} ---",
            launch.shown()
        );
        self.log.line(&header).await;
        let keep = (folder, self.in_use.clone());
        self.tools.host.start(&launch, self.log.clone(), keep)
    }

    fn post(&self, replica: ReplicaId) -> Post {
        Post {
            id: self.id.clone(),
            replica,
            memory_limit: self.words.memory_limit,
        }
    }

    /// Waits until the worker answers, and warms it up; `None` if it does not answer in time.
    async fn ready(&self, watch: &EndWatch, socket: &Path) -> Result<Option<String>, LoadError> {
        let started = Instant::now();
        let Ok(version) = timeout(self.tools.start_timeout, self.answer(socket)).await else {
            return Ok(None);
        };
        let version = version?;
        self.warm(watch, socket, started).await?;
        Ok(Some(version))
    }

    /// Waits until the worker answers, and checks that it is what was started.
    async fn answer(&self, socket: &Path) -> Result<String, LoadError> {
        self.progress.step("waiting for the worker to answer");
        answers(socket).await;
        self.version(socket).await
    }

    /// Has it score once, so that the first caller does not wait for what it does only then.
    async fn warm(
        &self,
        watch: &EndWatch,
        socket: &Path,
        started: Instant,
    ) -> Result<(), LoadError> {
        let Some(example) = self.facts.example.as_ref().filter(|_| self.words.warm_up) else {
            return Ok(());
        };
        self.progress.step("scoring the input example");
        let end = started + self.tools.start_timeout + WARM_UP_AFTER_START;
        let limit = [
            self.tools.warm_up_timeout,
            self.request_timeout,
            end.duration_since(Instant::now()),
        ];
        let limit = limit.into_iter().min().unwrap_or_default();
        self.score(watch, socket, example, limit).await
    }

    async fn version(&self, socket: &Path) -> Result<String, LoadError> {
        let expected = &self.environment.mlflow_version;
        let answer = timeout(ANSWER, probe::get(socket, "/version")).await;
        let Ok(Ok((status, body))) = answer else {
            return Err(LoadError::transient(
                "the worker answers /ping but not /version",
            ));
        };
        let version = String::from_utf8_lossy(&body)
            .trim()
            .trim_matches('"')
            .to_owned();
        match status {
            StatusCode::OK if version == *expected => Ok(version),
            // Only this worker can listen in its folder: a server too old to tell its version is the right one.
            StatusCode::NOT_FOUND => Ok(expected.clone()),
            _ => Err(LoadError::permanent(format!(
                "the worker says it is MLflow {version:?}, but its environment has {expected}: \
                 something else than the environment's own MLflow answers"
            ))),
        }
    }

    /// The example may be wrong, and the model right: only a worker that dies of it is a failure.
    async fn score(
        &self,
        watch: &EndWatch,
        socket: &Path,
        example: &Example,
        limit: Duration,
    ) -> Result<(), LoadError> {
        let body = example.body.clone();
        let asked = probe::post(socket, "/invocations", &example.content_type, body);
        let trouble = match timeout(limit, asked).await {
            Ok(Ok((status, _))) if status.is_success() => return Ok(()),
            Ok(Ok((status, answer))) => {
                let answer = String::from_utf8_lossy(&answer);
                let start: String = answer.chars().take(2000).collect();
                format!("it was answered with status {status}: {start}")
            }
            Ok(Err(error)) => {
                if let Ok(ended) = timeout(AGONY, watch.end()).await {
                    return Err(failed_start(&ended));
                }
                format!("it was not answered: {error}")
            }
            Err(_) => format!("it was not answered within {} seconds", limit.as_secs()),
        };
        self.progress
            .step("going on although the input example could not be scored");
        self.log
            .line(&format!(
                "--- the input example could not be scored: {trouble} ---"
            ))
            .await;
        Ok(())
    }

    /// Kills the worker, and tells what it said last: that is what it was busy with.
    async fn too_slow(&self, process: Process, watch: &EndWatch) -> LoadError {
        drop(process);
        let lines = match timeout(POST_MORTEM, watch.end()).await {
            Ok(ended) => last_lines(&ended),
            Err(_) => Vec::new(),
        };
        let seconds = self.tools.start_timeout.as_secs();
        LoadError::transient(format!(
            "the worker did not answer within {seconds} seconds"
        ))
        .with_last_lines(lines)
    }

    async fn noted(&self, error: LoadError) -> LoadError {
        self.log.line(&format!("--- failed: {error} ---")).await;
        error
    }
}

/// Resolves when `/ping` is answered with 200.
async fn answers(socket: &Path) {
    let mut pause = PAUSES.0;
    loop {
        let answer = timeout(ANSWER, probe::get(socket, "/ping")).await;
        if matches!(answer, Ok(Ok((StatusCode::OK, _)))) {
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
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

fn exit(ended: &Ended, excess: &Excess) -> Exit {
    Exit {
        reason: excess.killed_for().unwrap_or_else(|| reason(ended).into()),
        last_lines: last_lines(ended),
    }
}

struct StopWorker {
    process: Process,
    grace: Duration,
}

#[async_trait]
impl Stop for StopWorker {
    async fn stop(self: Box<Self>) {
        self.process.stop(self.grace).await;
    }
}
