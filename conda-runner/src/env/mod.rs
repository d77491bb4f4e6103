//! Environments: what a model declares, the key that equal declarations share, and the cache that builds each once.

mod advice;
mod background;
mod build;
mod builds;
mod cache;
mod declared;
mod environment;
mod facts;
mod key;
mod loading;
mod lock;
mod logs;
mod maker;
mod marker;
mod provided;
mod requirements;
mod secrets;
mod trouble;

pub use build::{Package, StepTime};
pub(crate) use cache::{Care, Environments, Wish};
pub(crate) use environment::Environment;
#[cfg(test)]
pub(crate) use facts::Facts;
pub(crate) use facts::ScoringServer;
pub(crate) use lock::Lock;
pub(crate) use marker::Marker;
pub(crate) use trouble::Trouble;

/// Where a built environment has its interpreter: most often a link to one of the machine's, which may go away.
pub(crate) const INTERPRETER: &str = "bin/python";
