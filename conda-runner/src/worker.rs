//! A live worker, as a gateway is offered it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::model::ModelFacts;

/// One worker that answers `/invocations`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worker {
    /// Where it listens.
    pub endpoint: WorkerEndpoint,
    /// From its own `/version`: decides which formats it takes.
    pub mlflow_version: String,
    /// How long an idle connection lives at the worker; zero if it closes each after its answer.
    pub keep_alive: Duration,
    /// What its model says about itself.
    pub facts: Arc<ModelFacts>,
}

/// Where a worker listens.
///
/// Every scoring server of MLflow that is known here can be put on a Unix socket (see `process::command`), so there
/// is no port that another process could answer on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerEndpoint {
    /// A socket in a folder that only this user can enter.
    Unix(PathBuf),
}
