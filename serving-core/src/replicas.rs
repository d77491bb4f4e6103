//! The live replicas of one version, as its stack sees them and as its supervisor changes them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{mpsc, watch};

use crate::demand::Demand;
use crate::gate::{Gate, GateGuard};
use crate::id::{ReplicaId, ServableId};
use crate::phase::Failure;
use crate::settings::Settings;

/// What a version's own stack is built from, once, when the version first becomes ready.
pub struct StackSeed<S> {
    /// Which version.
    pub id: ServableId,
    /// Its replicas, now and later.
    pub replicas: Replicas<S>,
    /// The model's settings, now and later.
    pub settings: watch::Receiver<Arc<Settings>>,
}

/// The replicas of one version, as they change.
pub struct Replicas<S> {
    set: watch::Receiver<Arc<ReplicaSet<S>>>,
    demand: Arc<Demand>,
}

/// The replicas of one version at one moment.
pub struct ReplicaSet<S> {
    /// Those that answer, oldest first. Empty while all of them have died: the next one is on its way,
    /// or `failure` says why not.
    pub live: Vec<Arc<Replica<S>>>,
    /// Why there is none for now and when one is tried again; `live` is empty then.
    pub failure: Option<Failure>,
    /// There is none because nobody came for long. Who comes is to say so (`Demand::found_nobody`), and waits for one.
    pub asleep: bool,
}

/// One live replica.
pub struct Replica<S> {
    /// Which one.
    pub id: ReplicaId,
    /// What callers use.
    pub servable: S,
    gate: Arc<Gate>,
    recycles: mpsc::Sender<Recycle>,
    recycle_asked: AtomicBool,
}

/// A caller of a replica. A replica that is replaced is stopped only when its callers are gone, or the
/// drain deadline has passed.
#[derive(Debug)]
pub struct ReplicaGuard {
    _guard: GateGuard,
}

/// The wish to replace one replica.
#[derive(Debug)]
pub(crate) struct Recycle {
    pub(crate) replica: ReplicaId,
    pub(crate) reason: Arc<str>,
}

/// The supervisor's end: the only one that changes the set.
pub(crate) struct ReplicasWriter<S> {
    set: watch::Sender<Arc<ReplicaSet<S>>>,
    demand: Arc<Demand>,
    recycles: mpsc::Sender<Recycle>,
}

impl<S> Replicas<S> {
    /// The replicas now.
    pub fn current(&self) -> Arc<ReplicaSet<S>> {
        Arc::clone(&self.set.borrow())
    }

    /// The same for a short look, without a count of who looks. Whoever changes them waits until the look is dropped, and
    /// a second look meanwhile may wait for that in turn: take one at a time, across no wait.
    pub fn look(&self) -> watch::Ref<'_, Arc<ReplicaSet<S>>> {
        self.set.borrow()
    }

    /// The replicas as they change. Its first `changed` may report the value that is there already.
    pub fn subscribe(&self) -> watch::Receiver<Arc<ReplicaSet<S>>> {
        self.set.clone()
    }

    /// Where callers say what the supervisor has to know of them.
    pub fn demand(&self) -> &Arc<Demand> {
        &self.demand
    }
}

impl<S> Replica<S> {
    /// Begins a call; `None` if the replica is being replaced: take another one.
    pub fn enter(&self) -> Option<ReplicaGuard> {
        self.gate
            .enter()
            .map(|guard| ReplicaGuard { _guard: guard })
    }

    /// Asks for another replica in place of this one, because of `reason`. Returns at once; asking
    /// again changes nothing.
    pub fn recycle(&self, reason: &str) {
        if self.recycle_asked.swap(true, Ordering::AcqRel) {
            return;
        }
        let recycle = Recycle {
            replica: self.id,
            reason: reason.into(),
        };
        if self.recycles.try_send(recycle).is_err() {
            // The queue is full of the same wish about others: whoever still sees a reason asks again.
            self.recycle_asked.store(false, Ordering::Release);
        }
    }

    /// Turns away new callers.
    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }
}

impl<S> ReplicasWriter<S> {
    /// An empty set, its readers' end, and the wishes to replace replicas of it.
    pub(crate) fn new() -> (Self, Replicas<S>, mpsc::Receiver<Recycle>) {
        const RECYCLE_QUEUE: usize = 16;
        let (set, readers) = watch::channel(Arc::default());
        let (recycles, asked) = mpsc::channel(RECYCLE_QUEUE);
        let demand = Arc::<Demand>::default();
        let replicas = Replicas {
            set: readers,
            demand: Arc::clone(&demand),
        };
        let writer = Self {
            set,
            demand,
            recycles,
        };
        (writer, replicas, asked)
    }

    /// Adds a replica that answers.
    pub(crate) fn add(&self, id: ReplicaId, servable: S) -> Arc<Replica<S>> {
        let replica = Arc::new(Replica {
            id,
            servable,
            gate: Arc::default(),
            recycles: self.recycles.clone(),
            recycle_asked: AtomicBool::new(false),
        });
        let mut live = self.set.borrow().live.clone();
        live.push(Arc::clone(&replica));
        self.publish(live, None, false);
        replica
    }

    /// Takes a replica out.
    pub(crate) fn remove(&self, id: ReplicaId) {
        let (mut live, asleep) = {
            let set = self.set.borrow();
            (set.live.clone(), set.asleep)
        };
        live.retain(|replica| replica.id != id);
        self.publish(live, None, asleep);
    }

    /// Takes all replicas out. `failure` says why the version is given up for now, if it is.
    pub(crate) fn clear(&self, failure: Option<Failure>) {
        self.publish(Vec::new(), failure, false);
    }

    /// Takes all replicas out, because nobody comes.
    pub(crate) fn rest(&self) {
        self.publish(Vec::new(), None, true);
    }

    /// What callers say.
    pub(crate) fn demand(&self) -> &Arc<Demand> {
        &self.demand
    }

    /// The readers' end.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn readers(&self) -> Replicas<S> {
        Replicas {
            set: self.set.subscribe(),
            demand: Arc::clone(&self.demand),
        }
    }

    fn publish(&self, live: Vec<Arc<Replica<S>>>, failure: Option<Failure>, asleep: bool) {
        let set = ReplicaSet {
            live,
            failure,
            asleep,
        };
        self.set.send_replace(Arc::new(set));
    }
}

impl<S> Clone for Replicas<S> {
    fn clone(&self) -> Self {
        Self {
            set: self.set.clone(),
            demand: Arc::clone(&self.demand),
        }
    }
}

impl<S> Default for ReplicaSet<S> {
    fn default() -> Self {
        Self {
            live: Vec::new(),
            failure: None,
            asleep: false,
        }
    }
}

impl<S> fmt::Debug for StackSeed<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("StackSeed")
            .field("id", &self.id)
            .field("replicas", &self.replicas)
            .finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for Replicas<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.current().fmt(formatter)
    }
}

impl<S> fmt::Debug for ReplicaSet<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ReplicaSet")
            .field("live", &self.live)
            .field("failure", &self.failure)
            .field("asleep", &self.asleep)
            .finish()
    }
}

impl<S> fmt::Debug for Replica<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "replica {}", self.id)
    }
}
