//! The open loop: requests are due at a fixed rate, whether or not earlier ones were answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Connection, Counts, Load};
use crate::clock::now;

/// The shortest time between two looks at what is due: all that is due then is sent together. Otherwise the next look is
/// when the next request is due: looks at intervals of their own drift against it, and each request is late by up to one.
const TICK: Duration = Duration::from_micros(50);

/// Requests that are due, in their order.
struct Due {
    /// One permit for each that nobody has taken.
    permits: Semaphore,
    taken: AtomicU64,
    began: Instant,
    interval: f64,
}

/// Begins so many connections, and what tells them that a request is due, `rate` times a second.
pub(super) fn begin(
    tasks: &mut JoinSet<()>,
    counts: &Counts,
    load: &Load,
    connections: usize,
    began: Instant,
    rate: f64,
) {
    let due = Arc::new(Due {
        permits: Semaphore::new(0),
        taken: AtomicU64::new(0),
        began,
        interval: rate.recip(),
    });
    for _ in 0..connections {
        let load = load.clone();
        let due = Arc::clone(&due);
        let counts = counts.clone();
        let end = began + load.duration;
        tasks.spawn(async move {
            let mut connection = Connection::new(load.endpoint.clone());
            // Closed at the end.
            while let Some((number, intended)) = due.next().await {
                let request = usize::try_from(number).unwrap_or_default() % load.requests.len();
                let checked = match connection.send(&load.requests[request]).await {
                    Ok(answer) => (load.check)(request, &answer),
                    Err(reason) => Err(reason),
                };
                match checked {
                    Ok(()) => {
                        let ended = now();
                        let took = ended.saturating_duration_since(intended);
                        counts.lock().answered(took, ended <= end);
                    }
                    Err(reason) => counts.lock().fail(reason),
                }
            }
        });
    }
    let end = load.duration;
    // On a thread of its own: the kernel wakes it to some ten microseconds, tokio's timers have steps of a millisecond.
    let counts = counts.clone();
    let patience = load.patience / 2;
    tasks.spawn_blocking(move || {
        for _ in 0..due.tell(end, patience, |late| counts.lock().late(late)) {
            let reason = "it was due, and all connections were waiting for answers to the end";
            counts.lock().fail(reason.to_owned());
        }
    });
}

impl Due {
    /// The next request, when it is due: its number, and when it should be sent.
    async fn next(&self) -> Option<(u64, Instant)> {
        self.permits.acquire().await.ok()?.forget();
        Some(self.take())
    }

    fn take(&self) -> (u64, Instant) {
        let number = self.taken.fetch_add(1, Ordering::Relaxed);
        (number, self.began + self.after(number))
    }

    /// How long after the beginning the request of this number is due.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn after(&self, number: u64) -> Duration {
        Duration::from_secs_f64(number as f64 * self.interval)
    }

    /// How long to wait, if so many are told and so much time has passed: until the next one is due, or until the end.
    fn pause(&self, told: u64, after: Duration, end: Duration) -> Duration {
        let next = self.after(told);
        // Behind the end there are none: what is told has to be taken.
        let next = if next < end { next } else { end };
        next.saturating_sub(after).max(TICK)
    }

    /// How many are due after so long, of those that are due before `end`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive, and far below 2^52"
    )]
    fn count_at(&self, after: Duration, end: Duration) -> u64 {
        let due = (after.as_secs_f64() / self.interval).floor() as u64 + 1;
        // A little less, because a whole number of intervals is rarely one to the last bit.
        let all = (end.as_secs_f64() / self.interval - 1e-6).ceil() as u64;
        due.min(all)
    }

    /// Gives out what is due until `end`, waits for so long for all of it to be taken, and says how many were not.
    /// `late` is told of each how long after it was due it was given out: what is not the subject's.
    fn tell(&self, end: Duration, patience: Duration, mut late: impl FnMut(Duration)) -> u64 {
        let mut told = 0;
        loop {
            let after = self.began.elapsed();
            let count = self.count_at(after, end);
            self.permits
                .add_permits(usize::try_from(count - told).unwrap_or_default());
            for number in told..count {
                late(after.saturating_sub(self.after(number)));
            }
            told = count;
            let taken = self.taken.load(Ordering::Relaxed);
            if after >= end && (taken >= told || after >= end + patience) {
                self.permits.close();
                return told - self.taken.load(Ordering::Relaxed).min(told);
            }
            std::thread::sleep(self.pause(told, after, end));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_look_is_when_the_next_request_is_due() {
        let milliseconds = Duration::from_millis;
        let due = Due {
            permits: Semaphore::new(0),
            taken: AtomicU64::new(0),
            began: now(),
            interval: 0.01,
        };
        let end = milliseconds(100);
        // Three are told of: the next one is due at 30 ms, however late the last look was.
        assert_eq!(due.pause(3, milliseconds(20), end), milliseconds(10));
        assert_eq!(due.pause(3, milliseconds(29), end), milliseconds(1));
        assert_eq!(due.pause(3, milliseconds(30), end), TICK);
        assert_eq!(due.pause(3, milliseconds(31), end), TICK);
        // All are told of.
        assert_eq!(due.pause(10, milliseconds(91), end), milliseconds(9));
        assert_eq!(due.pause(10, milliseconds(120), end), TICK);
    }
}
