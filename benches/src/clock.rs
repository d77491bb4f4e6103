//! The real time: what is measured here is never paused.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Rounds of a measurement; the best one counts, because everything else on the machine only makes it slower.
const ROUNDS: usize = 7;

/// Now.
#[expect(clippy::disallowed_methods, reason = "a benchmark wants the real time")]
pub fn now() -> Instant {
    Instant::now()
}

/// The time of one call of `work`, in the best of several rounds of `calls` calls.
pub fn time_of<T>(calls: u32, mut work: impl FnMut() -> T) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let started = now();
        for _ in 0..calls {
            black_box(work());
        }
        best = best.min(started.elapsed());
    }
    best / calls
}
