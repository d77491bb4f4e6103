//! What follows from newly prepared editions of a version that serves, and from those that could not be had.

use std::sync::Arc;

use tokio::time::Instant;

use super::{NEWER_EDITION, Serving};
use crate::event::Fact;
use crate::loader::{LoadError, Retry};
use crate::permits::Urgency;
use crate::phase::{Failure, FailureKind};
use crate::supervisor::renewal::Renewal;
use crate::supervisor::workshop::Renewed;
impl<S: Send + Sync + 'static> Serving<'_, S> {
    /// Another number of replicas is wanted: what has failed before gets another chance, and who waits hears of that.
    pub(super) fn resized(&mut self) {
        let is_wanting = self.orders.ask_for_new_replicas(&self.made_under);
        let at_rest = !self.renewal.under_way() && self.renewal.retry_at().is_none();
        if is_wanting && at_rest && !self.running.is_empty() {
            self.renew(Urgency::Awaited);
        }
        self.fail_renewal(None);
        if self.failed_starts > 0 && !self.running.is_empty() {
            self.resume_at = None;
        }
    }

    pub(super) fn renew(&mut self, urgency: Urgency) {
        let spec = Arc::clone(&self.orders.spec);
        self.fail_renewal(None);
        self.renewal = Renewal::begin(self.workshop, spec, urgency, !self.scale.is_asleep());
    }

    pub(super) fn renewed(&mut self, made: Result<Renewed<S>, LoadError>) {
        let ordered = self.orders.ask_for_new_replicas(&self.made_under);
        let edition = match made {
            Ok(edition) => edition,
            Err(error) => return self.renewal_failed(error, ordered),
        };
        if ordered {
            // Something was changed that may have been the cause.
            self.crashes.forget();
            self.given_up.forget();
        }
        self.made_under = self.orders.clone();
        self.prepared = edition.prepared;
        self.edition += 1;
        for old in &mut self.running {
            old.replace = Some(NEWER_EDITION.into());
        }
        self.resume_at = None;
        match edition.first {
            Some(first) => self.adopt(self.edition, first),
            // The old ones make room first.
            None => self.doubtful = false,
        }
        if ordered && self.scale.is_asleep() && self.workshop.status.has_failed() {
            // Whoever ordered it wants to know whether that has helped: a caller could not have asked for more.
            self.replicas.demand().found_nobody();
        }
    }

    pub(super) fn renewal_failed(&mut self, error: LoadError, ordered: bool) {
        let policy = &self.workshop.equipment.config.restart;
        // Without an order it was begun for want of a replica, and has no pauses of its own.
        let attempts = if ordered {
            self.renewal.failed(error.retry, policy)
        } else {
            0
        };
        if self.doubtful {
            // What is wanted now may be what cannot be prepared: next comes what worked once.
            self.doubtful = false;
            self.failed_starts += 1;
            let pause = match error.retry {
                Retry::Never => policy.long_pause(),
                Retry::Later => policy.pause(self.failed_starts),
            };
            return self.pause(pause, error);
        }
        let (kind, next_try) = match (error.retry, self.renewal.retry_at()) {
            (Retry::Later, Some(at)) => {
                let pause = at.duration_since(Instant::now());
                (FailureKind::Transient, Some(self.clock.now() + pause))
            }
            _ => (FailureKind::Permanent, None),
        };
        // The old replicas serve on, so the phase stays what it is.
        let failure = Failure {
            kind,
            code: error.code,
            message: error.message,
            last_lines: error.last_lines,
            next_try,
            attempts,
        };
        self.fail_renewal(Some(failure.clone()));
        self.workshop.log(Fact::Failed { failure });
    }

    pub(super) fn fail_renewal(&self, failure: Option<Failure>) {
        self.workshop
            .status
            .update(|status| status.renewal_failure = failure);
    }
}
