//! The permits that a loader takes around the heavy part of preparing a version: a fetch, a build.
//!
//! Only the loader knows whether there is any work. A version that it finds complete in its cache has
//! to get into service without waiting until the builds of others have ended.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Duration, Instant, sleep};

use crate::loader::Progress;
use crate::permits::{Permit, Permits, Ticket};

/// What is shown of a version that waits.
const WAITING: &str = "waiting for a free place to build";

/// Where a loader gets the right to do heavy work. It asks in the name of one version: how urgent that
/// one is, and how early it was decided on, tells whose turn it is.
#[derive(Clone, Debug)]
pub struct WorkPermits {
    source: Option<Source>,
}

/// The right to do heavy work, until it is dropped.
#[derive(Debug)]
#[must_use = "dropping it gives the right to the next one"]
pub struct WorkPermit {
    _permit: Option<Permit>,
}

#[derive(Clone, Debug)]
struct Source {
    permits: Arc<Permits>,
    ticket: Ticket,
    progress: Progress,
    /// How many permits are waited for.
    waits: watch::Sender<usize>,
}

/// One permit is waited for.
struct Wait<'a> {
    source: &'a Source,
}

impl WorkPermits {
    /// Permits without end, for loaders that are used without a manager.
    pub fn unlimited() -> Self {
        Self { source: None }
    }

    pub(crate) fn of(permits: Arc<Permits>, ticket: Ticket, progress: Progress) -> Self {
        let (waits, _) = watch::channel(0);
        Self {
            source: Some(Source {
                permits,
                ticket,
                progress,
                waits,
            }),
        }
    }

    /// Waits for the right to do heavy work. To be taken around a fetch or a build, and neither around
    /// a look into a cache nor around waiting for the same work in other hands: two versions that
    /// need the same thing hold one permit.
    ///
    /// While it waits, the version's step says so, and the deadline of `prepare` stands still. Dropping
    /// the future gives up the place in the queue. Whoever asks while holding a permit may wait for ever.
    pub async fn permit(&self) -> WorkPermit {
        let permit = match &self.source {
            Some(source) => Some(source.permit().await),
            None => None,
        };
        WorkPermit { _permit: permit }
    }

    /// Returns once `limit` has passed, not counting the time in which a permit was waited for.
    pub(crate) async fn exhausted(&self, limit: Duration) {
        let Some(source) = &self.source else {
            return sleep(limit).await;
        };
        let mut waits = source.waits.subscribe();
        let mut left = limit;
        loop {
            // The other end is in `self`: it is not closed.
            let _ = waits.wait_for(|waits| *waits == 0).await;
            let began = Instant::now();
            tokio::select! {
                biased;
                () = sleep(left) => return,
                _ = waits.wait_for(|waits| *waits > 0) => {}
            }
            left = left.saturating_sub(began.elapsed());
        }
    }
}

impl Source {
    async fn permit(&self) -> Permit {
        let granted = self.permits.ask(self.ticket).granted();
        tokio::pin!(granted);
        if let Some(permit) = futures_util::FutureExt::now_or_never(granted.as_mut()) {
            return permit;
        }
        let _wait = Wait::new(self);
        granted.await
    }
}

impl<'a> Wait<'a> {
    fn new(source: &'a Source) -> Self {
        source.progress.step(WAITING);
        source.waits.send_modify(|waits| *waits += 1);
        Self { source }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.source.progress.end(WAITING);
        self.source.waits.send_modify(|waits| *waits -= 1);
    }
}
