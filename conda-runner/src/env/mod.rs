//! Environments: what a model declares, its key, building it once, and what is in it.

mod build;
mod cache;
mod facts;
mod key;
mod requirements;
mod spec;

pub(crate) use cache::{Environment, Environments, INTERPRETER};
pub(crate) use facts::ScoringServer;
