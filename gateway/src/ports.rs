//! What the gateway needs of the registry and of the workers' host, in its own words.
//!
//! `assemble.rs` puts registry-sync and conda-runner behind these traits, tests put scripts behind them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use serving_core::{ModelName, ServableId};

/// The registry as the control plane sees it.
#[async_trait]
pub trait Registry: Send + Sync {
    /// All registered models as last seen; never waits.
    fn catalog(&self) -> Arc<Catalog>;

    /// Asks the registry now whether `model` is registered.
    async fn is_registered(&self, model: &ModelName) -> Result<bool, RegistryUnavailable>;

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

/// How polling goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistryStatus {
    /// When the registry last answered; `None` if never in this process.
    pub last_success: Option<SystemTime>,
    /// The last error, cleared by a success.
    pub error: Option<String>,
}

/// Files that workers write and that people read. Paths may not exist yet.
pub trait WorkerFiles: Send + Sync {
    /// The log files of one kind, oldest first, the current one last.
    fn logs(&self, id: &ServableId, kind: LogKind) -> Vec<PathBuf>;

    /// Appends `text` to the version's worker log. Never blocks: text that does not fit into the queue is dropped.
    fn note(&self, id: &ServableId, text: &str);
}

/// What a log tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogKind {
    /// Fetching the model and building its environment.
    Build,
    /// What the workers print.
    Worker,
}
