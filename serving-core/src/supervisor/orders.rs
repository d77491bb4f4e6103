//! What the manager tells a supervisor: one value that stands, not a stream of commands.

use std::sync::Arc;

use tokio::sync::watch;

use crate::spec::VersionSpec;

/// What is wanted of one life of a version.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Orders {
    /// Always the same servable; source and settings may change.
    pub(crate) spec: Arc<VersionSpec>,
    /// How often new replicas were asked for.
    pub(crate) restarts: u64,
    /// Drain and end. Final.
    pub(crate) retire: bool,
}

impl Orders {
    /// The orders that a life begins with.
    pub(crate) fn new(spec: Arc<VersionSpec>) -> Self {
        Self {
            spec,
            restarts: 0,
            retire: false,
        }
    }

    /// Whether work that was begun under `earlier` orders is in vain now.
    pub(crate) fn overtake(&self, earlier: &Self) -> bool {
        self.retire || self.other_loader_words(earlier) || self.spec.source != earlier.spec.source
    }

    /// Whether something has changed that gives work another chance that failed under `earlier` orders.
    pub(crate) fn give_another_chance(&self, earlier: &Self) -> bool {
        self.overtake(earlier) || self.restarts != earlier.restarts
    }

    /// Whether the replicas that were made under `earlier` orders have to be replaced. A source that
    /// has changed its words alone is no reason: the version is the same one.
    pub(crate) fn ask_for_new_replicas(&self, earlier: &Self) -> bool {
        self.restarts != earlier.restarts || self.other_loader_words(earlier)
    }

    /// Whether another number of replicas is wanted than `earlier`.
    pub(crate) fn want_other_replicas(&self, earlier: &Self) -> bool {
        self.spec.settings.replicas != earlier.spec.settings.replicas
    }

    fn other_loader_words(&self, earlier: &Self) -> bool {
        self.spec.settings.loader != earlier.spec.settings.loader
    }
}

/// Waits until the orders are such that `condition` holds.
pub(crate) async fn ordered(
    orders: &mut watch::Receiver<Orders>,
    mut condition: impl FnMut(&Orders) -> bool,
) {
    // Without a manager nobody will ever order anything, and the supervisor is dropped with it.
    if orders.wait_for(|orders| condition(orders)).await.is_err() {
        std::future::pending::<()>().await;
    }
}
