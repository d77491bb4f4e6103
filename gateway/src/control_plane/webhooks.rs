//! Webhooks of the registry: a delivery is a mere hint to look at a model now. The registry stays the source of truth, and
//! polling finds what no delivery told of.

mod deliver;
mod desk;
mod figures;
mod manage;
mod message;
mod seen;
mod signature;

pub(super) use deliver::deliver;
pub use desk::Webhooks;
pub(super) use manage::{install, list, remove, test};

/// Where the registry delivers to.
const PATH: &str = "/api/v1/webhooks/mlflow";
