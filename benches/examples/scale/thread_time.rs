//! What this thread has taken of the processor.

use std::time::Duration;

/// Since the thread began. Linux counts it in nanoseconds, whatever else runs in the process; zero elsewhere.
pub(crate) fn thread_time() -> Duration {
    // The kernel brings the figure up to date when the thread gives the core away.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|field| field.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or_default())
}

/// For people.
pub(crate) fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
