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
    /// How long a crash is remembered, and how long a version that counts as failed has to run without
    /// one until it is trusted again.
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

    /// The pause after which even what looks hopeless is tried again.
    pub(crate) fn long_pause(&self) -> Duration {
        self.shortened(self.longest_pause)
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
    /// As many as count now. More than `recent` has once the budget was exceeded.
    counted: u32,
    /// Since when nothing is missing.
    whole_since: Option<Instant>,
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
        let ran = self.whole_since.take();
        if ran.is_some_and(|since| now.duration_since(since) >= policy.window) {
            self.forget();
        }
        if self.counted > policy.crashes {
            // The long pauses outlast the window: time alone forgives nothing here.
            self.counted = self.counted.saturating_add(1);
        } else {
            self.recent
                .retain(|crash| now.duration_since(*crash) < policy.window);
            self.recent.push_back(now);
            self.counted = u32::try_from(self.recent.len()).unwrap_or(u32::MAX);
        }
        let loops = self.counted > policy.crashes;
        let pause = if loops {
            policy.long_pause()
        } else {
            policy.pause(self.counted)
        };
        Verdict {
            pause,
            crashes: self.counted,
            loops,
        }
    }

    /// Takes into account that at `now` nothing is missing: a healthy run begins or goes on.
    pub(crate) fn whole(&mut self, now: Instant) {
        self.whole_since.get_or_insert(now);
    }

    /// Forgives everything: something was changed that may have been the cause.
    pub(crate) fn forget(&mut self) {
        self.recent.clear();
        self.counted = 0;
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
        let mut crashed = |second| {
            let verdict = record.crashed(&exact(), start + seconds(second));
            (verdict.pause.as_secs(), verdict.loops)
        };
        let loops = [0, 1, 2, 3, 700, 701, 702, 703, 704, 705].map(&mut crashed);
        assert_eq!(
            loops,
            [
                (1, false),
                (2, false),
                (4, false),
                (8, false),
                (1, false),
                (2, false),
                (4, false),
                (8, false),
                (16, false),
                (300, true),
            ]
        );
        // Nothing was running for most of the time since.
        assert_eq!([2_000, 4_000].map(crashed), [(300, true); 2]);
        record.forget();
        assert!(!record.crashed(&exact(), start + seconds(4_001)).loops);
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_healthy_run_ends_a_loop() {
        let mut record = CrashRecord::default();
        let start = Instant::now();
        let mut crashed = |whole_at: u64, second| {
            record.whole(start + seconds(whole_at));
            // Whatever happens during the run, it began when it began.
            record.whole(start + seconds(second));
            record.crashed(&exact(), start + seconds(second)).crashes
        };
        let counted = [0, 1, 2, 3, 4, 5].map(|second| crashed(second, second));
        assert_eq!(counted, [1, 2, 3, 4, 5, 6]);
        assert_eq!(crashed(306, 905), 7);
        assert_eq!(crashed(1_206, 1_806), 1);
    }
}
