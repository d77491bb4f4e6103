//! Stand-ins for tests, here and in crates that embed the engine (feature `testing`).

mod loader;
mod replicas;
mod timeline;

pub use loader::{Call, Outcome, Script, ScriptedLoader, ScriptedServable, Step};
pub use replicas::HandMadeReplicas;
pub use timeline::Timeline;
