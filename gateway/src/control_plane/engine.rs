//! The engine as the control plane sees it.

use std::sync::Arc;

use async_trait::async_trait;
use serving_core::{Handle, ServableId, Snapshot, UnknownServable, Version, VersionRoute};
use tokio::sync::watch;

use crate::data_plane::{Example, VersionStack};

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
}

#[async_trait]
impl Engine for Handle<Arc<VersionStack>> {
    fn snapshot(&self) -> watch::Receiver<Arc<Snapshot>> {
        Self::snapshot(self)
    }

    async fn restart(&self, id: &ServableId) -> Result<(), UnknownServable> {
        Self::restart(self, id).await
    }

    /// The manager answers one order a pass. The first answer may end a pass that began before this call; the second
    /// one comes after a pass that began later, and a pass looks at everything that is wanted.
    async fn caught_up(&self) {
        // No registry has a model without a name, so this orders nothing.
        let nothing = ServableId::new("", Version(0));
        for _ in 0..2 {
            let _ = Self::restart(self, &nothing).await;
        }
    }

    fn example(&self, id: &ServableId) -> Option<Example> {
        let table = self.router().table();
        match table.models.get(&id.model)?.versions.get(&id.version)? {
            VersionRoute::Reachable(route) => route.target.about()?.example.clone(),
            VersionRoute::Unreachable(_) => None,
        }
    }
}
