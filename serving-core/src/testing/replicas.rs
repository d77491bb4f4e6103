//! A set of replicas in the hands of a test, for those who test a stack without a manager.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::id::{ReplicaId, ServableId};
use crate::phase::Failure;
use crate::replicas::{Recycle, Replicas, ReplicasWriter, StackSeed};
use crate::settings::Settings;

/// A set of replicas in the hands of a test: what a supervisor would do to it, it does itself.
pub struct HandMadeReplicas<S> {
    writer: ReplicasWriter<S>,
    recycles: mpsc::Receiver<Recycle>,
    settings: watch::Sender<Arc<Settings>>,
    next: u64,
}

impl<S> HandMadeReplicas<S> {
    /// An empty set and the seed of a stack over it.
    pub fn new(id: ServableId, settings: Settings) -> (Self, StackSeed<S>) {
        let (writer, replicas, recycles) = ReplicasWriter::new();
        let (settings, watched) = watch::channel(Arc::new(settings));
        let seed = StackSeed {
            id,
            replicas,
            settings: watched,
        };
        let set = Self {
            writer,
            recycles,
            settings,
            next: 0,
        };
        (set, seed)
    }

    /// Adds a live replica. Numbers count from zero.
    pub fn add(&mut self, servable: S) -> ReplicaId {
        let id = ReplicaId(self.next);
        self.next += 1;
        self.writer.add(id, servable);
        id
    }

    /// Takes a replica out, as if it had died or were being replaced; its gate closes.
    pub fn remove(&self, id: ReplicaId) {
        let set = self.replicas().current();
        if let Some(replica) = set.live.iter().find(|replica| replica.id == id) {
            replica.gate().close();
        }
        self.writer.remove(id);
    }

    /// Gives the version up for now.
    pub fn give_up(&self, failure: Failure) {
        self.writer.clear(Some(failure));
    }

    /// Puts the version to sleep: all replicas go.
    pub fn sleep(&self) {
        let set = self.replicas().current();
        self.writer.demand().forget_who_found_nobody();
        self.writer.rest();
        for replica in &set.live {
            replica.gate().close();
        }
    }

    /// Changes the settings that the stack watches.
    pub fn set(&self, settings: Settings) {
        self.settings.send_replace(Arc::new(settings));
    }

    /// The next wish to replace a replica, and why, if there is one already.
    pub fn recycle_asked(&mut self) -> Option<(ReplicaId, Arc<str>)> {
        let recycle = self.recycles.try_recv().ok()?;
        Some((recycle.replica, recycle.reason))
    }

    /// The readers' end.
    pub fn replicas(&self) -> Replicas<S> {
        self.writer.readers()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Version;

    #[test]
    fn a_stack_sees_what_the_test_does() {
        let id = ServableId::new("iris", Version(1));
        let (mut set, seed) = HandMadeReplicas::new(id, Settings::default());
        let replica = set.add("worker");
        let live = seed.replicas.current().live[0].clone();
        let caller = live.enter();
        assert!(caller.is_some());
        live.recycle("slow");
        live.recycle("still slow");
        assert_eq!(set.recycle_asked(), Some((replica, "slow".into())));
        assert_eq!(set.recycle_asked(), None);
        set.remove(replica);
        assert!(live.enter().is_none());
        assert!(seed.replicas.current().live.is_empty());
    }
}
