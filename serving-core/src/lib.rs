//! The engine: brings a set of servables from what is seen to what is aspired, and lets callers reach the
//! ready ones. It knows no network, no database and no processes, so that any program can embed it;
//! `examples/in_process.rs` does.
//!
//! A [`Manager`] is given two values that change: what a source of versions has ([`Aspired`]), and what
//! people want served ([`Intents`]). It compares them with what it sees, and starts one supervisor for each
//! version that is missing. The supervisor has the version prepared and started by a [`Loader`], keeps its
//! [`Replicas`] alive, and ends them when the version is not wanted any more. Callers [enter](Router::enter)
//! versions by number or label through the [`RoutingTable`], which the manager swaps as one value.
//!
//! What is seen is in the [`Snapshot`], what has happened in the [`Event`]s.

mod aspired;
pub mod batch;
mod clock;
mod config;
mod demand;
mod event;
mod gate;
mod handle;
mod id;
mod intent;
mod loader;
mod log;
mod manager;
mod permits;
mod phase;
mod plan;
mod policy;
mod replica_range;
mod replicas;
mod restart;
mod routing;
mod settings;
mod snapshot;
mod spec;
mod supervisor;
mod takeover;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod version_policy;
mod wanted;
mod work;

pub use aspired::{Aspired, AspiredModel, AspiredVersion, Source};
pub use clock::{Clock, RuntimeClock, SystemClock};
pub use config::ManagerConfig;
pub use demand::{Demand, WaitingCaller};
pub use event::{Event, Fact, Note, Particular};
pub use handle::{Handle, UnknownServable};
pub use id::{
    Generation, Incarnation, Label, ModelName, NotAVersion, ReplicaId, ServableId, Version,
};
pub use intent::{Intent, Intents, overlay};
pub use loader::{Exit, Instance, LoadError, LoadJob, Loader, Prepared, Progress, Retry, Stop};
pub use manager::{BuildStack, Inputs, Manager};
pub use phase::{Failure, FailureKind, Phase};
pub use replica_range::{InvalidReplicas, ReplicaRange};
pub use replicas::{Replica, ReplicaGuard, ReplicaSet, Replicas, StackSeed};
pub use restart::RestartPolicy;
pub use routing::{
    Entered, LabelRoute, ModelRoutes, Reference, Route, Router, RoutingTable, Unrouted,
    VersionRoute,
};
pub use settings::{Batching, Settings};
pub use snapshot::{ModelSnapshot, Snapshot, VersionSnapshot};
pub use spec::VersionSpec;
pub use takeover::Takeover;
pub use version_policy::VersionPolicy;
pub use work::{WorkPermit, WorkPermits};
