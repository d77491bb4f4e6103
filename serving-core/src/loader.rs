//! The loader: whoever can make a servable live. Called a few times a minute, so object-safe and boxed.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::event::Note;
use crate::id::{Generation, ReplicaId};
use crate::spec::VersionSpec;
use crate::work::WorkPermits;

/// Fetches and builds. Idempotent and cached: preparing the same spec again is cheap.
#[async_trait]
pub trait Loader<S>: Send + Sync {
    /// Everything that has to be done once per version. Dropping the future abandons the work and leaves
    /// nothing that counts as done.
    async fn prepare(&self, job: LoadJob) -> Result<Arc<dyn Prepared<S>>, LoadError>;
}

/// A version whose files and environment exist: there is no order of calls to get wrong.
#[async_trait]
pub trait Prepared<S>: Send + Sync {
    /// Starts one replica and returns when it answers and is warm. Dropping the future kills what was started.
    async fn load(&self, replica: ReplicaId) -> Result<Instance<S>, LoadError>;
}

/// What is to be prepared.
#[derive(Clone, Debug)]
pub struct LoadJob {
    /// The version; `spec.source` is `Readable`.
    pub spec: Arc<VersionSpec>,
    /// Which life of it this is.
    pub generation: Generation,
    /// Where to say what is being done.
    pub progress: Progress,
    /// Where to get the right to do heavy work. Take it around that alone: what is found done already
    /// waits for nobody.
    pub work: WorkPermits,
}

/// Says what a version is being prepared or started with, for people who wait: "downloading 3 files"; and what of it is
/// worth keeping.
#[derive(Clone)]
pub struct Progress {
    step: watch::Sender<Option<Arc<str>>>,
    keep: Option<Arc<dyn Fn(Note) + Send + Sync>>,
}

/// A live replica. Dropping it kills what is behind it.
pub struct Instance<S> {
    /// What callers use.
    pub servable: S,
    /// Resolves when the replica has died, for whatever reason; stays silent after `stop` was called.
    pub exit: Pin<Box<dyn Future<Output = Exit> + Send>>,
    /// Resolves with a reason for people when the replica lives, and another one should take its place: "it used 1.3GB".
    /// That one is started first, and callers of this one end in peace. `std::future::pending` where nobody can tell.
    pub give_up: Pin<Box<dyn Future<Output = Arc<str>> + Send>>,
    /// Stops it in good order.
    pub stop: Box<dyn Stop>,
}

/// Stops a replica: asks, waits a little, then kills, and returns when nothing of it is left.
#[async_trait]
pub trait Stop: Send {
    /// Consumes the handle: a replica is stopped once.
    async fn stop(self: Box<Self>);
}

/// How a replica died.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// For people: "exit code 1", "killed by signal 9".
    pub reason: Arc<str>,
    /// The last lines it printed, oldest first; may be empty.
    pub last_lines: Vec<String>,
}

/// Why a version could not be prepared or started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LoadError {
    /// Whether trying again without a change could help.
    pub retry: Retry,
    /// A word for programs that says what kind of trouble it was, in the loader's own vocabulary; `None` if it has none.
    pub code: Option<Arc<str>>,
    /// One or two sentences for people: what was wrong, where, what to do.
    pub message: Arc<str>,
    /// The last lines that the failed step printed, oldest first; may be empty.
    pub last_lines: Vec<String>,
}

/// Whether to try again (law 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// No: it would fail the same way until something is changed.
    Never,
    /// Yes, with growing pauses.
    Later,
}

impl LoadError {
    /// An error that waits for a change.
    pub fn permanent(message: impl Into<Arc<str>>) -> Self {
        Self {
            retry: Retry::Never,
            code: None,
            message: message.into(),
            last_lines: Vec::new(),
        }
    }

    /// An error that is worth another try.
    pub fn transient(message: impl Into<Arc<str>>) -> Self {
        Self {
            retry: Retry::Later,
            code: None,
            message: message.into(),
            last_lines: Vec::new(),
        }
    }

    /// The same with a word for programs.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<Arc<str>>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// The same with the last lines of what was printed.
    #[must_use]
    pub fn with_last_lines(mut self, lines: Vec<String>) -> Self {
        self.last_lines = lines;
        self
    }
}

impl Progress {
    /// A progress and the receiver that sees its latest step. Nobody keeps its notes.
    pub fn channel() -> (Self, watch::Receiver<Option<Arc<str>>>) {
        let (step, receiver) = watch::channel(None);
        (Self { step, keep: None }, receiver)
    }

    /// The same with somebody who keeps the notes. `keep` waits for nothing.
    #[must_use]
    pub fn with_notes(mut self, keep: impl Fn(Note) + Send + Sync + 'static) -> Self {
        self.keep = Some(Arc::new(keep));
        self
    }

    /// Something that happened and is worth keeping.
    pub fn note(&self, note: Note) {
        if let Some(keep) = &self.keep {
            keep(note);
        }
    }

    /// The current step, in the present participle, without a full stop.
    pub fn step(&self, step: impl Into<Arc<str>>) {
        self.step.send_replace(Some(step.into()));
    }

    /// The end of `step`, if nothing else has been said since.
    pub(crate) fn end(&self, step: &str) {
        self.step.send_if_modified(|current| {
            let ends = current.as_deref() == Some(step);
            if ends {
                *current = None;
            }
            ends
        });
    }
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Progress")
            .field("step", &*self.step.borrow())
            .finish_non_exhaustive()
    }
}

impl<S: std::fmt::Debug> std::fmt::Debug for Instance<S> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Instance")
            .field("servable", &self.servable)
            .finish_non_exhaustive()
    }
}
