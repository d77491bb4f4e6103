//! Environments: what a model declares, the key that equal declarations share, and the cache that builds each once.

mod build;
mod cache;
mod declared;
mod facts;
mod key;
mod lock;
mod marker;
mod requirements;
mod trouble;

pub use build::{Package, StepTime};
pub(crate) use cache::{Environment, Environments, INTERPRETER};
pub(crate) use facts::ScoringServer;
pub(crate) use lock::{Lock, Locks};
pub(crate) use marker::Marker;
pub(crate) use trouble::Trouble;
