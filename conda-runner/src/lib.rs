//! Implements the engine's [`Loader`](serving_core::Loader): builds an environment once, runs workers in it, tells
//! when they die.
//!
//! An environment is what a model declares, in `conda.yaml` or `python_env.yaml`. It is built once for equal
//! declarations, beside its place and renamed when it is whole, and stays while somebody uses it;
//! [`RunnerEnvironments`] shows, builds, packs and removes them. The feature `conda` (on by default) builds from conda
//! channels without an installation of conda, and brings most of the dependencies.
//!
//! A worker is the scoring server of the environment's own MLflow, on a Unix socket, in a process group that dies as a
//! whole and never outlives this process; a [`Launcher`] starts it. `examples/run_model.rs` runs one without a gateway.

mod attempts;
mod bytes;
mod config;
mod data_folder;
mod durable;
mod env;
mod error;
mod fetch;
mod files;
mod launcher;
mod loader;
mod model;
mod names;
mod prepared;
mod process;
mod readiness;
mod running;
mod shelf;
mod single_flight;
mod source;
mod space;
mod started;
mod template;
mod time;
mod words;
mod worker;

pub use attempts::{AttemptOutcome, LogKind, LoggedAttempt};
pub use config::{
    CondaConfig, EnvManager, PipConfig, RunnerConfig, SpaceConfig, UnknownEnvManager,
};
pub use env::{Package, StepTime};
pub use error::RunnerError;
pub use files::RunnerFiles;
pub use launcher::{Launcher, UnknownLauncher};
pub use loader::CondaRunner;
pub use model::{Example, ModelFacts, Signature};
pub use process::pieces::LogPiece;
pub use process::usage::OwnUsage;
pub use running::{RunnerWorkers, RunningTemplate, RunningWorker};
pub use source::{FetchedModel, ModelSource};
pub use space::{
    EnvironmentInfo, HeldEnvironment, Kept, KeptBecause, PruneWish, Pruned, RunnerEnvironments,
    SpaceError,
};
pub use worker::{Worker, WorkerEndpoint};
