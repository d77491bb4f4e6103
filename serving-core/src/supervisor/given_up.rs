//! Replicas that their loader gives up while they live: the first is replaced at once, further ones after growing pauses.
//! Otherwise a worker that is always too large would be replaced without end.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::restart::{CrashRecord, RestartPolicy};

/// Those of one version that still count.
#[derive(Debug, Default)]
pub(super) struct GivenUp(CrashRecord);

/// A replica that is to be replaced, later.
#[derive(Debug)]
pub(super) struct Postponed {
    /// No successor is started before.
    pub(super) until: Instant,
    /// Why it is replaced, for people.
    pub(super) reason: Arc<str>,
}

impl GivenUp {
    /// Takes into account that one more was given up at `now`.
    pub(super) fn one_more(
        &mut self,
        reason: &str,
        policy: &RestartPolicy,
        now: Instant,
    ) -> Postponed {
        let verdict = self.0.crashed(policy, now);
        let pause = match verdict.crashes {
            ..=1 => Duration::ZERO,
            _ if verdict.loops => verdict.pause,
            times => policy.pause(times - 1),
        };
        let reason = if pause.is_zero() {
            reason.into()
        } else {
            let (times, pause) = (verdict.crashes, pause.as_secs_f64());
            format!(
                "{reason}; given up {times} times of late, so it was kept for {pause:.1} s more"
            )
            .into()
        };
        Postponed {
            until: now + pause,
            reason,
        }
    }

    /// Takes into account that at `now` none is given up: a good run begins or goes on.
    pub(super) fn none(&mut self, now: Instant) {
        self.0.whole(now);
    }

    /// Forgives everything: something was changed that may have been the cause.
    pub(super) fn forget(&mut self) {
        self.0.forget();
    }
}
