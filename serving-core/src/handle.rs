//! What the rest of a program holds of a manager: the way in, what is seen, and a person's restart.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{mpsc, oneshot, watch};

use crate::id::ServableId;
use crate::routing::Router;
use crate::snapshot::Snapshot;

/// The outside of a manager. Clones are equal; it outlives the manager, but then nothing changes any more.
pub struct Handle<T> {
    pub(crate) router: Router<T>,
    pub(crate) snapshot: watch::Receiver<Arc<Snapshot>>,
    pub(crate) asks: mpsc::Sender<Ask>,
    pub(crate) dropped_events: Arc<AtomicU64>,
}

/// Nothing of that name is served now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not served")]
pub struct UnknownServable(pub ServableId);

/// What a manager can be asked from outside.
#[derive(Debug)]
pub(crate) enum Ask {
    /// A person's wish for new replicas.
    Restart {
        id: ServableId,
        /// Answered `true` once it is ordered, `false` if there is no such version.
        accepted: oneshot::Sender<bool>,
    },
    /// Answered after the next pass.
    CatchUp { done: oneshot::Sender<()> },
}

impl<T> Handle<T> {
    /// The way in for callers.
    pub fn router(&self) -> Router<T> {
        self.router.clone()
    }

    /// What is seen, as it changes.
    pub fn snapshot(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.clone()
    }

    /// Events that were dropped so far, because nobody took them out of their queue in time.
    pub fn dropped_events(&self) -> u64 {
        self.dropped_events.load(Ordering::Relaxed)
    }

    /// Replaces the replicas of a version by newly prepared ones without turning a caller away, or
    /// tries a failed version again at once. Returns when it is accepted, not when it is done.
    pub async fn restart(&self, id: &ServableId) -> Result<(), UnknownServable> {
        let (accepted, answer) = oneshot::channel();
        let restart = Ask::Restart {
            id: id.clone(),
            accepted,
        };
        // Without a manager nothing is served, so both channels' ends mean the same as a "no".
        let sent = self.asks.send(restart).await.is_ok();
        if sent && answer.await.unwrap_or(false) {
            Ok(())
        } else {
            Err(UnknownServable(id.clone()))
        }
    }

    /// Resolves when a pass that began after this call has looked at all that is wanted and shown what it decided.
    /// Resolves at once without a manager: then nothing will.
    pub async fn caught_up(&self) {
        let (done, passed) = oneshot::channel();
        if self.asks.send(Ask::CatchUp { done }).await.is_ok() {
            // An error is the manager's end.
            let _ = passed.await;
        }
    }
}

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Self {
        Self {
            router: self.router.clone(),
            snapshot: self.snapshot.clone(),
            asks: self.asks.clone(),
            dropped_events: Arc::clone(&self.dropped_events),
        }
    }
}

impl<T> fmt::Debug for Handle<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Handle").finish_non_exhaustive()
    }
}
