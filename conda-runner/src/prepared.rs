//! A prepared version: starts workers, and returns each when it answers and is warm.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use http::StatusCode;
use serving_core::{
    Exit, Instance, LoadError, Note, Prepared, Progress, ReplicaId, ServableId, Stop,
};
use tokio::time::{Instant, timeout};

use crate::attempts::{AttemptOutcome, OpenAttempt};
use crate::env::Environment;
use crate::error::{unplaced_lines, without_place};
use crate::files::RunnerFiles;
use crate::launcher::Launcher;
use crate::model::{Example, ModelFacts};
use crate::process::child::{EndWatch, Ended, Process};
use crate::process::command::{self, Serving};
use crate::process::diagnosis::{failed_start, last_lines, reason};
use crate::process::host::Host;
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
    /// For versions that do not say.
    pub(crate) launcher: Launcher,
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
}

#[async_trait]
impl<S: Send + 'static> Prepared<S> for PreparedModel<S> {
    async fn load(&self, replica: ReplicaId) -> Result<Instance<S>, LoadError> {
        let loaded = self.loaded(replica).await;
        loaded.map_err(|error| without_place(error, &self.tools.data_dir))
    }
}

impl<S: Send + 'static> PreparedModel<S> {
    async fn loaded(&self, replica: ReplicaId) -> Result<Instance<S>, LoadError> {
        let folder = self.tools.sockets.next()?;
        let socket = folder.socket();
        let attempt = self.files.begin_worker(&self.id).await;
        let mut running = match self.start(replica, folder, &attempt).await {
            Ok(running) => running,
            Err(error) => return Err(noted(&attempt, error).await),
        };
        let watch = running.process.end_watch();
        let excess = self.tools.workers.enter(self.post(replica), watch.clone());
        // Whatever it is asked, a worker that ends will not answer any more.
        let ready = tokio::select! {
            biased;
            // A peak while it loads says little of what it will take; what cannot be borne says enough.
            reason = excess.clone().unbearable() => Err(too_large(&reason)),
            ended = watch.end() => Err(failed_start(&ended)),
            ready = self.ready(replica, &watch, &socket, &attempt) => ready,
        };
        // What it takes is known when callers see it, and one that is too large to begin with is not shown to any.
        let ready = match (excess.look().await, ready) {
            (Some(reason), _) => Err(too_large(&reason)),
            (None, ready) => ready,
        };
        let mlflow_version = match ready {
            Ok(Some(version)) => version,
            Ok(None) => {
                running.has_failed();
                let error = self.too_slow(running, &watch).await;
                return Err(noted(&attempt, error).await);
            }
            Err(error) => {
                running.has_failed();
                return Err(noted(&attempt, error).await);
            }
        };
        attempt.log().line("--- ready ---").await;
        let data_dir = self.tools.data_dir.clone();
        Ok(Instance {
            servable: (self.tools.offer)(Worker {
                endpoint: WorkerEndpoint::Unix(socket),
                mlflow_version,
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
        folder: WorkerFolder,
        attempt: &Arc<OpenAttempt>,
    ) -> Result<Running, LoadError> {
        self.progress.step("starting worker");
        self.in_use.touch().await;
        let serving = Serving {
            environment: &self.environment,
            model: &self.model,
            folder: &folder,
            words: &self.words,
            longest_timeout: self.tools.longest_timeout,
            start_timeout: self.tools.start_timeout,
            access_log: self.tools.access_log,
        };
        let host = &self.tools.host;
        let direct = match self.words.launcher.unwrap_or(self.tools.launcher) {
            Launcher::MlflowServe => None,
            Launcher::Direct | Launcher::Template => serving.direct(host),
        };
        let launch = direct.unwrap_or_else(|| serving.mlflow_serve(host));
        let now = rfc3339(SystemTime::now());
        let header = format!(
            "--- attempt at {now}, replica {replica}, {} ---",
            launch.shown()
        );
        attempt.log().line(&header).await;
        // The attempt ends with the last of the group.
        let keep = (folder, self.in_use.clone(), Arc::clone(attempt));
        let process = self
            .tools
            .host
            .start(&launch, attempt.log().clone(), keep)?;
        Ok(Running {
            process,
            attempt: Arc::downgrade(attempt),
        })
    }

    fn post(&self, replica: ReplicaId) -> Post {
        Post {
            id: self.id.clone(),
            replica,
            memory_limit: self.words.memory_limit,
        }
    }

    /// Waits until the worker answers, and warms it up; `None` if it does not answer in time.
    async fn ready(
        &self,
        replica: ReplicaId,
        watch: &EndWatch,
        socket: &Path,
        attempt: &OpenAttempt,
    ) -> Result<Option<String>, LoadError> {
        let started = Instant::now();
        let Ok(version) = timeout(self.tools.start_timeout, self.answer(socket)).await else {
            return Ok(None);
        };
        let version = version?;
        let note = self.warm(watch, socket, attempt, started).await?;
        self.progress.note(note.about("replica", replica.0));
        Ok(Some(version))
    }

    /// Waits until the worker answers, and checks that it is what was started.
    async fn answer(&self, socket: &Path) -> Result<String, LoadError> {
        self.progress.step("waiting for the worker to answer");
        answers(socket).await;
        self.version(socket).await
    }

    /// Has it score once, so that the first caller does not wait for what it does only then. Returns what came of it.
    async fn warm(
        &self,
        watch: &EndWatch,
        socket: &Path,
        attempt: &OpenAttempt,
        started: Instant,
    ) -> Result<Note, LoadError> {
        if !self.words.warm_up {
            return Ok(not_warmed("the setting warm_up is off"));
        }
        let Some(example) = &self.facts.example else {
            return Ok(not_warmed("no input example was logged with it"));
        };
        self.progress.step("scoring the input example");
        let end = started + self.tools.start_timeout + WARM_UP_AFTER_START;
        let left = end.duration_since(Instant::now());
        let limit = self.tools.warm_up_timeout.min(left);
        match self.score(watch, socket, example, limit).await? {
            Ok(took) => {
                let seconds = took.as_secs_f64();
                let message = format!("The worker has scored the input example in {seconds:.1} s");
                Ok(Note::new("warmed", message).took(took))
            }
            Err(trouble) => {
                self.progress
                    .step("going on although the input example could not be scored");
                let trouble = format!("the input example could not be scored: {trouble}");
                attempt.log().line(&format!("--- {trouble} ---")).await;
                Ok(not_warmed(&trouble))
            }
        }
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

    /// The example may be wrong, and the model right: only a worker that dies of it is a failure. Otherwise says how long
    /// it took, or what the trouble was.
    async fn score(
        &self,
        watch: &EndWatch,
        socket: &Path,
        example: &Example,
        limit: Duration,
    ) -> Result<Result<Duration, String>, LoadError> {
        let began = Instant::now();
        let body = example.body.clone();
        let asked = probe::post(socket, "/invocations", &example.content_type, body);
        let trouble = match timeout(limit, asked).await {
            Ok(Ok((status, _))) if status.is_success() => return Ok(Ok(began.elapsed())),
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
        Ok(Err(trouble))
    }

    /// Kills the worker, and tells what it said last: that is what it was busy with.
    async fn too_slow(&self, running: Running, watch: &EndWatch) -> LoadError {
        drop(running);
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
}

async fn noted(attempt: &OpenAttempt, error: LoadError) -> LoadError {
    attempt
        .log()
        .line(&format!("--- failed: {error} ---"))
        .await;
    error
}

/// All of it is in the worker's log; an event is a sentence.
fn not_warmed(why: &str) -> Note {
    let why: String = why
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(300)
        .collect();
    Note::new("not_warmed", format!("The worker is not warm: {why}"))
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

fn exit(ended: &Ended, excess: &Excess, data_dir: &Path) -> Exit {
    Exit {
        reason: excess.killed_for().unwrap_or_else(|| reason(ended).into()),
        last_lines: unplaced_lines(&last_lines(ended), data_dir),
    }
}

/// A worker's process. Dropping it kills it, and then it was stopped, unless it had ended by itself or failed before.
struct Running {
    process: Process,
    /// Gone when the process is.
    attempt: Weak<OpenAttempt>,
}

impl Running {
    /// However it ends, it was of no use.
    fn has_failed(&mut self) {
        self.attempt = Weak::new();
    }

    fn is_unwanted(&self) {
        if let Some(attempt) = self.attempt.upgrade() {
            attempt.ends_as(AttemptOutcome::Stopped);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.is_unwanted();
    }
}

struct StopWorker {
    running: Running,
    grace: Duration,
}

#[async_trait]
impl Stop for StopWorker {
    async fn stop(self: Box<Self>) {
        self.running.is_unwanted();
        self.running.process.stop(self.grace).await;
    }
}
