//! What the gateway needs of the registry and of the workers' host, in its own words.
//!
//! `assemble.rs` and its folder put registry-sync and conda-runner behind these traits, tests put scripts behind them.

mod webhooks;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use serving_core::{
    AspiredVersion, Incarnation, ModelName, Progress, ReplicaId, ServableId, VersionSpec,
};

pub use webhooks::{Delivered, KnownWebhook, RegistryWebhooks, WebhookWish, WebhooksError};

pub use crate::api::{AttemptOutcome, LogKind};
use crate::api::{
    BuildFailure, EnvironmentDetail, EnvironmentSummary, PruneEnvironments, PrunedEnvironments,
};

/// The registry as the control plane sees it.
#[async_trait]
pub trait Registry: Send + Sync {
    /// All registered models as last seen; never waits.
    fn catalog(&self) -> Arc<Catalog>;

    /// Asks the registry now whether `model` is registered.
    async fn is_registered(&self, model: &ModelName) -> Result<bool, RegistryUnavailable>;

    /// Asks the registry now for one version, in whichever stage, of a model that need not be enabled; `None` if there is
    /// none.
    async fn version(
        &self,
        id: &ServableId,
    ) -> Result<Option<RegisteredVersion>, RegistryUnavailable>;

    /// Asks for a poll soon; returns at once.
    fn poll_soon(&self);

    /// Asks for a poll, and resolves when one that began after this call has succeeded. Callers bound it.
    async fn polled(&self);

    /// How polling goes.
    fn status(&self) -> RegistryStatus;
}

/// The registry did not answer: why, for people.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the model registry cannot be asked: {0}")]
pub struct RegistryUnavailable(pub String);

/// All registered models.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    /// By name.
    pub models: BTreeMap<ModelName, RegisteredModel>,
}

/// One registered model as a list shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegisteredModel {
    /// As written in the registry; may be empty.
    pub description: String,
    /// Last change that the registry knows of, milliseconds since the epoch.
    pub last_updated: u64,
}

/// One version as the registry shows it: as it would be aspired if it were served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredVersion {
    /// Of its model.
    pub model_incarnation: Incarnation,
    /// Its incarnation and where its files are.
    pub version: AspiredVersion,
}

/// How polling goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistryStatus {
    /// When the registry last answered; `None` if never in this process.
    pub last_success: Option<SystemTime>,
    /// The last error, cleared by a success.
    pub error: Option<String>,
    /// Polls so far.
    pub polls: u64,
    /// How many of them failed.
    pub failed_polls: u64,
}

/// The processes of this gateway and what they take of the machine. Never waits.
pub trait Processes: Send + Sync {
    /// The workers that run, as they were last looked at.
    fn workers(&self) -> Vec<WorkerProcess>;

    /// The templates that workers are forked of, as they were last looked at.
    fn templates(&self) -> Vec<TemplateProcess> {
        Vec::new()
    }

    /// The gateway itself now; `None` where the system does not tell.
    fn gateway(&self) -> Option<GatewayProcess>;
}

/// One template. What its workers take is not its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateProcess {
    /// Tells it from others.
    pub key: String,
    /// The key of its environment; `None` for the interpreter of `local`.
    pub environment: Option<String>,
    /// Workers of it that live.
    pub workers: usize,
    /// `None` while or where nothing is known.
    pub memory_bytes: Option<u64>,
    /// Time of processors.
    pub cpu: Option<Duration>,
}

/// One worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerProcess {
    /// Its version.
    pub id: ServableId,
    /// Which of its version's replicas it is.
    pub replica: ReplicaId,
    /// The process that leads it.
    pub process: u32,
    /// When it was started.
    pub since: SystemTime,
    /// Of all its processes; `None` while or where nothing is known.
    pub memory_bytes: Option<u64>,
    /// Time of processors, of all its processes.
    pub cpu: Option<Duration>,
    /// Bytes that it may take.
    pub memory_limit: Option<u64>,
}

/// The gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewayProcess {
    /// Bytes in memory.
    pub resident_memory: u64,
    /// Bytes of address space.
    pub virtual_memory: u64,
    /// Time of processors.
    pub cpu: Duration,
    /// Threads.
    pub threads: u64,
    /// Open files and connections.
    pub open_files: u64,
    /// How many may be open; `None` without a limit.
    pub max_files: Option<u64>,
}

/// What builds and workers write and people read.
pub trait WorkerFiles: Send + Sync {
    /// The attempts of a kind that are on the disk, oldest first. Blocks on the disk.
    fn attempts(&self, id: &ServableId, kind: LogKind) -> io::Result<Vec<Attempt>>;

    /// Appends `text` to the version's worker log. Never blocks: text that does not fit into the queue is dropped.
    fn note(&self, id: &ServableId, text: &str);
}

/// Who is told whether requests to a version share calls of its workers.
pub trait BatchingEvents: Send + Sync {
    /// It was decided, or decided anew, that those of `id` do (`on`) or do not. `reason` is a sentence for people. Never
    /// blocks.
    fn decided(&self, id: &ServableId, on: bool, reason: &str);
}

/// Tells nobody.
impl BatchingEvents for () {
    fn decided(&self, _: &ServableId, _: bool, _: &str) {}
}

/// One try to build a version, or one start of a worker, with its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Counts from 1, for each version and kind.
    pub number: u64,
    /// When it began.
    pub started: SystemTime,
    /// When it ended; `None` while it goes on.
    pub ended: Option<SystemTime>,
    /// How far it has come.
    pub outcome: AttemptOutcome,
    /// The files of its log, oldest first. Any of them may be removed meanwhile.
    pub pieces: Vec<LogPiece>,
}

/// One file of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPiece {
    /// Where it is.
    pub path: PathBuf,
    /// Bytes of the log before its first one, those that are gone by now included.
    pub start: u64,
}

/// The environments on this host, and what builds them before somebody waits for it.
#[async_trait]
pub trait Environments: Send + Sync {
    /// All of them, most recently used first.
    async fn list(&self) -> Result<Vec<EnvironmentSummary>, EnvironmentsError>;

    /// The one whose key is, or begins with, `key`.
    async fn find(&self, key: &str) -> Result<EnvironmentDetail, EnvironmentsError>;

    /// What its build wrote, oldest lines first; empty if that is gone.
    async fn build_log(&self, key: &str) -> Result<String, EnvironmentsError>;

    /// Fetches the version, which is readable, and builds its environment, or finds both. Dropping the future abandons
    /// the work, unless somebody else waits for the same.
    async fn build(
        &self,
        spec: Arc<VersionSpec>,
        progress: Progress,
    ) -> Result<EnvironmentDetail, BuildFailure>;

    /// Removes environments that nobody uses.
    async fn prune(
        &self,
        wish: &PruneEnvironments,
    ) -> Result<PrunedEnvironments, EnvironmentsError>;
}

/// Why something cannot be said or done about environments: sentences for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvironmentsError {
    /// No environment has this key.
    #[error("{0}")]
    Unknown(String),
    /// What was asked for can mean several things, or nothing.
    #[error("{0}")]
    Unclear(String),
    /// An environment that cannot be packed, or a file that is no packed environment of this platform.
    #[error("{0}")]
    Unsuitable(String),
    /// A build failed.
    #[error("{}", .0.message)]
    Build(BuildFailure),
    /// The disk.
    #[error("{0}")]
    Failed(String),
}
