//! The engine: brings a set of servables from what is seen to what is aspired, and lets callers reach the ready ones.

mod aspired;
mod clock;
mod event;
mod id;
mod intent;
mod loader;
mod phase;
mod settings;
mod spec;

pub use aspired::{Aspired, AspiredModel, AspiredVersion, Source};
pub use clock::{Clock, RuntimeClock, SystemClock};
pub use event::{Event, Fact};
pub use id::{
    Generation, Incarnation, Label, ModelName, NotAVersion, ReplicaId, ServableId, Version,
};
pub use intent::{Intent, Intents, overlay};
pub use loader::{Exit, Instance, LoadError, LoadJob, Loader, Prepared, Progress, Retry, Stop};
pub use phase::{Failure, FailureKind, Phase};
pub use settings::Settings;
pub use spec::VersionSpec;
