//! When to try again after something failed: growing pauses with jitter, and a budget of crashes.

use std::collections::VecDeque;
use std::time::Duration;

use rand::RngExt;
use tokio::time::Instant;

/// How patient the engine is with what fails.
#[derive(Clone, Debug, PartialEq)]
pub struct RestartPolicy {
    /// Pause after the first failure. Each further one doubles it.
    pub first_pause: Duration,
    /// The pause grows no longer than this.
    pub longest_pause: Duration,
    /// Share of a pause that chance may take off, 0 to 1, so that what failed together is not tried
    /// again together.
    pub jitter: f64,
    /// Crashes within `window` that are forgiven. With one more the version counts as failed and the
    /// longest pause follows.
    pub crashes: u32,
    /// How long a crash is remembered.
    pub window: Duration,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(5 * 60),
            jitter: 0.2,
            crashes: 5,
            window: Duration::from_secs(10 * 60),
        }
    }
}

impl RestartPolicy {
    /// The pause after the `failures`-th failure in a row, counted from one.
    pub(crate) fn pause(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(30);
        self.shortened(self.first_pause.saturating_mul(1 << doublings))
    }

    fn shortened(&self, pause: Duration) -> Duration {
        let chance: f64 = rand::rng().random();
        pause
            .min(self.longest_pause)
            .mul_f64(1.0 - self.jitter.clamp(0.0, 1.0) * chance)
    }
}

/// The crashes of one version that still count.
#[derive(Debug, Default)]
pub(crate) struct CrashRecord {
    recent: VecDeque<Instant>,
}

/// What follows from a crash.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// No new replica before this has passed.
    pub(crate) pause: Duration,
    /// Crashes that count now, this one included.
    pub(crate) crashes: u32,
    /// Whether they are more than the budget allows.
    pub(crate) loops: bool,
}

impl CrashRecord {
    /// Takes a crash at `now` into account.
    pub(crate) fn crashed(&mut self, policy: &RestartPolicy, now: Instant) -> Verdict {
        self.recent
            .retain(|crash| now.duration_since(*crash) < policy.window);
        let counted = u32::try_from(self.recent.len()).unwrap_or(u32::MAX);
        self.recent.push_back(now);
        let crashes = counted.saturating_add(1);
        let loops = crashes > policy.crashes;
        let pause = if loops {
            policy.shortened(policy.longest_pause)
        } else {
            policy.pause(crashes)
        };
        Verdict {
            pause,
            crashes,
            loops,
        }
    }

    /// Forgives everything: something was changed that may have been the cause.
    pub(crate) fn forget(&mut self) {
        self.recent.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn exact() -> RestartPolicy {
        RestartPolicy {
            jitter: 0.0,
            ..RestartPolicy::default()
        }
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses = [1, 2, 3, 9, 10, 11, u32::MAX].map(|failures| exact().pause(failures));
        assert_eq!(pauses, [1, 2, 4, 256, 300, 300, 300].map(seconds));
    }

    #[test]
    fn jitter_shortens_a_pause_by_at_most_its_share() {
        let policy = RestartPolicy {
            jitter: 0.5,
            ..RestartPolicy::default()
        };
        let pauses: Vec<Duration> = (0..100).map(|_| policy.pause(4)).collect();
        assert!(
            pauses
                .iter()
                .all(|pause| (seconds(4)..=seconds(8)).contains(pause))
        );
        assert!(pauses.iter().any(|pause| *pause != pauses[0]));
    }

    #[tokio::test(start_paused = true)]
    async fn more_crashes_within_the_window_than_the_budget_are_a_loop() {
        let mut record = CrashRecord::default();
        let start = Instant::now();
        let loops = [0, 1, 2, 3, 4, 5, 700, 701].map(|second| {
            let verdict = record.crashed(&exact(), start + seconds(second));
            (verdict.pause.as_secs(), verdict.loops)
        });
        assert_eq!(
            loops,
            [
                (1, false),
                (2, false),
                (4, false),
                (8, false),
                (16, false),
                (300, true),
                (1, false),
                (2, false),
            ]
        );
        record.forget();
        assert!(!record.crashed(&exact(), start + seconds(702)).loops);
    }
}
