//! Webhooks of the registry: a delivery is a mere hint to look at a model now. The registry stays the source of truth, and
//! polling finds what no delivery told of.

pub(super) mod deliver;
mod desk;
mod figures;
pub(super) mod manage;
mod message;
mod seen;
mod signature;

pub use desk::Webhooks;

/// Where the registry delivers to.
const PATH: &str = "/api/v1/webhooks/mlflow";
