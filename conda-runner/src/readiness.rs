//! Waits until a worker answers, checks that it is what was started, and has it score once.

use std::path::Path;
use std::time::Duration;

use http::StatusCode;
use serving_core::{LoadError, Note, Progress};
use tokio::time::{Instant, timeout};

use crate::attempts::OpenAttempt;
use crate::model::Example;
use crate::process::child::EndWatch;
use crate::process::diagnosis::failed_start;
use crate::process::probe;

/// Between two looks at a worker that does not answer yet: the first pause and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(250));
/// For an answer to `/ping` and `/version` of a worker that accepts connections.
const ANSWER: Duration = Duration::from_secs(10);
/// How long a worker that broke off its answer may take to be seen dead.
const AGONY: Duration = Duration::from_secs(2);

/// A worker that is waited for.
pub(crate) struct Expected<'a> {
    pub(crate) watch: &'a EndWatch,
    /// Where it is to listen.
    pub(crate) socket: &'a Path,
    pub(crate) attempt: &'a OpenAttempt,
    pub(crate) progress: &'a Progress,
    /// The version of MLflow that it is to tell.
    pub(crate) mlflow_version: &'a str,
    /// What it scores once; else why it does not.
    pub(crate) example: Result<&'a Example, &'a str>,
    /// When it has to answer at the latest.
    pub(crate) answers_by: Instant,
    /// How long the example may take, and until when.
    pub(crate) warm_up: (Duration, Instant),
}

/// A worker that answers.
#[derive(Debug)]
pub(crate) struct Answering {
    /// As it told itself.
    pub(crate) mlflow_version: String,
    /// What came of the example.
    pub(crate) note: Note,
    /// Whether the example was never answered, which may be the worker's fault as well as the example's.
    pub(crate) is_silent: bool,
}

/// What came of scoring the example.
enum Scored {
    In(Duration),
    Refused(String),
    Never(String),
}

impl Expected<'_> {
    /// Waits until the worker answers, and warms it up; `None` if it does not answer in time.
    pub(crate) async fn ready(&self) -> Result<Option<Answering>, LoadError> {
        let left = self.answers_by.duration_since(Instant::now());
        let Ok(version) = timeout(left, self.answer()).await else {
            return Ok(None);
        };
        let mlflow_version = version?;
        let (note, is_silent) = self.warm().await?;
        Ok(Some(Answering {
            mlflow_version,
            note,
            is_silent,
        }))
    }

    /// Waits until the worker answers, and checks that it is what was started.
    async fn answer(&self) -> Result<String, LoadError> {
        self.progress.step("waiting for the worker to answer");
        answers(self.socket).await;
        self.version().await
    }

    /// Has it score once, so that the first caller does not wait for what it does only then. Returns what came of it,
    /// and whether that was nothing.
    async fn warm(&self) -> Result<(Note, bool), LoadError> {
        let example = match self.example {
            Ok(example) => example,
            Err(why) => return Ok((not_warmed(why), false)),
        };
        self.progress.step("scoring the input example");
        let (limit, end) = self.warm_up;
        let limit = limit.min(end.duration_since(Instant::now()));
        let (trouble, is_silent) = match self.score(example, limit).await? {
            Scored::In(took) => {
                let length = if took < Duration::from_secs(1) {
                    format!("{} ms", took.as_millis())
                } else {
                    format!("{:.1} s", took.as_secs_f64())
                };
                let message = format!("The worker has scored the input example in {length}");
                return Ok((Note::new("warmed", message).took(took), false));
            }
            Scored::Refused(trouble) => (trouble, false),
            Scored::Never(trouble) => (trouble, true),
        };
        self.progress
            .step("going on although the input example could not be scored");
        let trouble = format!("the input example could not be scored: {trouble}");
        let log = self.attempt.log();
        log.line(&format!("--- {trouble} ---")).await;
        Ok((not_warmed(&trouble), is_silent))
    }

    async fn version(&self) -> Result<String, LoadError> {
        let expected = self.mlflow_version;
        let answer = timeout(ANSWER, probe::get(self.socket, "/version")).await;
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
            StatusCode::NOT_FOUND => Ok(expected.to_owned()),
            _ => Err(LoadError::permanent(format!(
                "the worker says it is MLflow {version:?}, but its environment has {expected}: \
                 something else than the environment's own MLflow answers"
            ))),
        }
    }

    /// The example may be wrong, and the model right: only a worker that dies of it is a failure.
    async fn score(&self, example: &Example, limit: Duration) -> Result<Scored, LoadError> {
        let began = Instant::now();
        let body = example.body.clone();
        let asked = probe::post(self.socket, "/invocations", &example.content_type, body);
        Ok(match timeout(limit, asked).await {
            Ok(Ok((status, _))) if status.is_success() => Scored::In(began.elapsed()),
            Ok(Ok((status, answer))) => {
                let answer = String::from_utf8_lossy(&answer);
                let start: String = answer.chars().take(2000).collect();
                Scored::Refused(format!("it was answered with status {status}: {start}"))
            }
            Ok(Err(error)) => {
                if let Ok(ended) = timeout(AGONY, self.watch.end()).await {
                    return Err(failed_start(&ended));
                }
                Scored::Refused(format!("it was not answered: {error}"))
            }
            Err(_) => Scored::Never(format!(
                "it was not answered within {} seconds",
                limit.as_secs()
            )),
        })
    }
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
