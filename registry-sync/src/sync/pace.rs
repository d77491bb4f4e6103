//! When to ask next: a jittered interval while all is well, growing pauses while it is not.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::{Interest, changed};
use crate::error::RegistryError;

/// Pause after the first failure; doubled with each further one.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);

/// No pause after a failure is longer, unless the interval itself is.
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);

/// While the registry fails it is not asked more often than this, whoever asks.
const SPACING_WHILE_FAILING: Duration = Duration::from_secs(1);

/// Decides when to ask next, and says once when things go wrong and once when they are right again.
#[derive(Debug)]
pub(super) struct Pace {
    doing: &'static str,
    interval: Duration,
    spacing: Duration,
    took: Duration,
    failures: u32,
}

impl Pace {
    /// Every `interval`, and with at least `spacing` between two rounds, whoever asks for them.
    pub(super) fn new(doing: &'static str, interval: Duration, spacing: Duration) -> Self {
        Self {
            doing,
            interval,
            spacing,
            took: Duration::ZERO,
            failures: 0,
        }
    }

    /// Failures since the last success.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// A round succeeded and took so long.
    pub(super) fn succeeded(&mut self, took: Duration) {
        self.took = took;
        if self.failures > 0 {
            tracing::info!(failures = self.failures, "{} works again", self.doing);
        }
        self.failures = 0;
    }

    /// A round failed.
    pub(super) fn failed(&mut self, error: &RegistryError) {
        if self.failures == 0 {
            tracing::warn!(%error, "{} fails; what was last known stands", self.doing);
        } else {
            tracing::debug!(%error, "{} still fails", self.doing);
        }
        self.failures = self.failures.saturating_add(1);
    }

    /// Waits for the next round: for the pause, another interest, or a nudge when the registry has had its rest.
    pub(super) async fn wait(
        &self,
        nudged: &mut watch::Receiver<u64>,
        interest: &mut watch::Receiver<Interest>,
    ) {
        let now = Instant::now();
        let rested_nudge = async {
            sleep_until(now + self.rest()).await;
            changed(nudged).await;
        };
        sleep_until(now + self.spacing()).await;
        tokio::select! {
            () = sleep_until(now + self.pause(rand::random_range(0.0..=1.0))) => {}
            () = rested_nudge => {}
            () = changed(interest) => {}
        }
    }

    /// The pause before the next round. `chance` in 0..=1 chooses within the jitter.
    fn pause(&self, chance: f64) -> Duration {
        if self.failures == 0 {
            let interval = self.interval.mul_f64(0.9 + 0.2 * chance);
            return interval.max(self.rest());
        }
        let doublings = (self.failures - 1).min(16);
        let backoff = FIRST_BACKOFF * 2_u32.pow(doublings);
        // Half of it is jitter: gateways that lost the registry together do not come back together.
        let backoff = backoff.min(LONGEST_BACKOFF.max(self.interval));
        backoff.mul_f64(0.5 + 0.5 * chance).max(self.spacing())
    }

    /// How long the registry is left alone: as long as it worked, so that it is busy with us half of the time
    /// at most, however large it is.
    fn rest(&self) -> Duration {
        self.spacing().max(self.took)
    }

    /// Between two rounds there is at least this much, whatever happens.
    fn spacing(&self) -> Duration {
        if self.failures == 0 {
            self.spacing
        } else {
            SPACING_WHILE_FAILING
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(interval: u64, failures: u32) -> Pace {
        Pace {
            failures,
            ..Pace::new("testing", Duration::from_secs(interval), Duration::ZERO)
        }
    }

    #[test]
    fn the_interval_is_jittered_by_a_tenth() {
        let pace = pace(10, 0);
        assert_eq!(pace.pause(0.0), Duration::from_secs(9));
        assert_eq!(pace.pause(1.0), Duration::from_secs(11));
    }

    #[test]
    fn the_registry_rests_as_long_as_it_worked() {
        let mut pace = pace(5, 0);
        pace.succeeded(Duration::from_secs(20));
        assert_eq!(pace.pause(0.5), Duration::from_secs(20));
    }

    #[test]
    fn pauses_double_while_failing_up_to_half_a_minute() {
        let longest: Vec<_> = (1..=7)
            .map(|failures| pace(5, failures).pause(1.0).as_secs())
            .collect();
        assert_eq!(longest, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(pace(5, 6).pause(0.0), Duration::from_secs(15));
        assert_eq!(pace(5, u32::MAX).pause(1.0), Duration::from_secs(30));
        assert_eq!(pace(300, 60).pause(1.0), Duration::from_secs(300));
    }
}
