//! What can be set about inherited rights.

use std::time::Duration;

/// How long answers of the registry count, and how it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InheritedConfig {
    /// The longest that an answer counts: a right that is taken away ends within it. While a caller is busy, answers are
    /// asked for again in the last quarter of it, so that no request waits.
    pub age: Duration,
    /// The same for answers that allow nothing, also for wrong passwords: so soon a right that is given is seen. (MLflow
    /// before 3.13 tells all of a user's rights at once; there it is seen within `age`.)
    pub denied_age: Duration,
    /// While the registry does not answer, the last answer stands for so much longer.
    pub outage: Duration,
    /// How long one question may take; it may have to queue as long before. Less than a quarter of `age`, or a busy
    /// caller may have to wait after all when the registry stops answering.
    pub deadline: Duration,
    /// Answers to remember, of each kind; up to twice as many are for a while. The least recent ones are forgotten first.
    pub remembered: usize,
    /// Questions that are asked at a time. Passwords are checked beside them, half as many at a time.
    pub at_a_time: usize,
    /// Questions that may wait for their turn; one more is not asked.
    pub waiting: usize,
}

impl Default for InheritedConfig {
    fn default() -> Self {
        Self {
            age: Duration::from_secs(60),
            denied_age: Duration::from_secs(10),
            outage: Duration::from_secs(600),
            deadline: Duration::from_secs(10),
            remembered: 20_000,
            at_a_time: 8,
            waiting: 256,
        }
    }
}
