//! Benchmarks of the whole and of its parts, against peers in the same run.
//!
//! `cargo bench -p benches` runs them. They print figures and judge nothing: a figure means something only beside
//! another one of the same run on the same machine.

use std::hint::black_box;
use std::time::Duration;

/// Rounds of a measurement; the best one counts, because everything else on the machine only makes it slower.
const ROUNDS: usize = 7;

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

#[expect(clippy::disallowed_methods, reason = "a benchmark wants the real time")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}
