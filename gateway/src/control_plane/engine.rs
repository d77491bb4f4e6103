//! The engine as the control plane sees it.

use std::sync::Arc;

use async_trait::async_trait;
use serving_core::{Handle, ServableId, Snapshot, UnknownServable, VersionRoute};
use tokio::sync::watch;

use crate::data_plane::{BatchingState, Example, VersionStack};

/// What can be asked of the engine. The manager's handle is one; tests have a scripted one.
#[async_trait]
pub trait Engine: Send + Sync {
    /// What is seen, as it changes.
    fn snapshot(&self) -> watch::Receiver<Arc<Snapshot>>;

    /// Asks for new workers of a version; returns when that is accepted.
    async fn restart(&self, id: &ServableId) -> Result<(), UnknownServable>;

    /// Resolves when what was wanted before this call is taken up and shown. Callers bound it.
    async fn caught_up(&self);

    /// The logged input example of a version, if it has one and has been ready.
    fn example(&self, id: &ServableId) -> Option<Example>;

    /// Whether requests to a version share calls of its workers, if callers can reach it.
    fn batching(&self, id: &ServableId) -> Option<BatchingState>;
}

#[async_trait]
impl Engine for Handle<Arc<VersionStack>> {
    fn snapshot(&self) -> watch::Receiver<Arc<Snapshot>> {
        Self::snapshot(self)
    }

    async fn restart(&self, id: &ServableId) -> Result<(), UnknownServable> {
        Self::restart(self, id).await
    }

    async fn caught_up(&self) {
        Self::caught_up(self).await;
    }

    fn example(&self, id: &ServableId) -> Option<Example> {
        let table = self.router().table();
        match table.models.get(&id.model)?.versions.get(&id.version)? {
            VersionRoute::Reachable(route) => route.target.about()?.example.clone(),
            VersionRoute::Unreachable(_) => None,
        }
    }

    fn batching(&self, id: &ServableId) -> Option<BatchingState> {
        let table = self.router().table();
        match table.models.get(&id.model)?.versions.get(&id.version)? {
            VersionRoute::Reachable(route) => Some(route.target.batching()),
            VersionRoute::Unreachable(_) => None,
        }
    }
}
