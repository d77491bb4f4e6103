//! Making a new edition of a version that serves: prepared again, beside the old replicas; with a first replica, unless
//! memory is short.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use crate::loader::{LoadError, Retry};
use crate::permits::Urgency;
use crate::restart::RestartPolicy;
use crate::spec::VersionSpec;
use crate::supervisor::workshop::{Renewed, Workshop};

/// At most one at a time. As long as it does not succeed, the old replicas stay.
pub(super) struct Renewal<S> {
    attempt: Option<BoxFuture<'static, Result<Renewed<S>, LoadError>>>,
    failures: u32,
    retry_at: Option<Instant>,
    with_replica: bool,
}

impl<S: Send + Sync + 'static> Renewal<S> {
    /// Nothing to renew.
    pub(super) fn none() -> Self {
        Self {
            attempt: None,
            failures: 0,
            retry_at: None,
            with_replica: true,
        }
    }

    /// Begins, in place of one that is under way; `with_replica` unless the version sleeps on.
    pub(super) fn begin(
        workshop: &Arc<Workshop<S>>,
        spec: Arc<VersionSpec>,
        urgency: Urgency,
        with_replica: bool,
    ) -> Self {
        Self {
            attempt: Some(attempt(workshop, spec, urgency, with_replica)),
            with_replica,
            ..Self::none()
        }
    }

    /// Tries again if it failed and the pause is over.
    pub(super) fn resume(&mut self, workshop: &Arc<Workshop<S>>, spec: &Arc<VersionSpec>) {
        if self.retry_at.is_some_and(|at| at <= Instant::now()) {
            self.retry_at = None;
            let (spec, urgency) = (Arc::clone(spec), Urgency::Housekeeping);
            self.attempt = Some(attempt(workshop, spec, urgency, self.with_replica));
        }
    }

    /// When `resume` should be called.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Whether an attempt is under way.
    pub(super) fn under_way(&self) -> bool {
        self.attempt.is_some()
    }

    /// Waits for the attempt that is under way; for ever if there is none. Cancel-safe.
    pub(super) async fn finished(&mut self) -> Result<Renewed<S>, LoadError> {
        let result = match &mut self.attempt {
            Some(attempt) => attempt.await,
            None => std::future::pending().await,
        };
        self.attempt = None;
        result
    }

    /// Takes a failure into account. Returns how often it has failed in a row.
    pub(super) fn failed(&mut self, retry: Retry, policy: &RestartPolicy) -> u32 {
        self.failures += 1;
        self.retry_at = match retry {
            Retry::Never => None,
            Retry::Later => Some(Instant::now() + policy.pause(self.failures)),
        };
        self.failures
    }
}

fn attempt<S: Send + Sync + 'static>(
    workshop: &Arc<Workshop<S>>,
    spec: Arc<VersionSpec>,
    urgency: Urgency,
    with_replica: bool,
) -> BoxFuture<'static, Result<Renewed<S>, LoadError>> {
    let ticket = workshop.equipment.prepares.ticket(urgency);
    let workshop = Arc::clone(workshop);
    // The version stays in its phase: callers see nothing of this.
    async move { workshop.remake(spec, ticket, with_replica).await }.boxed()
}
