//! The open loop: requests are due at a fixed rate, whether or not earlier ones were answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Connection, Load, Tally};
use crate::clock::now;

/// The shortest time between two looks at what is due: all that is due then is sent together.
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
    tasks: &mut JoinSet<Tally>,
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
        tasks.spawn(async move {
            let mut tally = Tally::default();
            let mut connection = Connection::new(load.endpoint.clone());
            // Closed at the end.
            while let Some((number, intended)) = due.next().await {
                let request = usize::try_from(number).unwrap_or_default() % load.requests.len();
                let checked = match connection.send(&load.requests[request]).await {
                    Ok(answer) => (load.check)(request, &answer),
                    Err(reason) => Err(reason),
                };
                match checked {
                    Ok(()) => tally.answered(now().saturating_duration_since(intended)),
                    Err(reason) => tally.fail(reason),
                }
            }
            tally
        });
    }
    let end = load.duration;
    // On a thread of its own: the kernel wakes it to some ten microseconds, tokio's timers have steps of a millisecond.
    tasks.spawn_blocking(move || {
        let mut tally = Tally::default();
        for _ in 0..due.tell(end) {
            tally.fail("it was due and could not be sent in twice the time".to_owned());
        }
        tally
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
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let after = Duration::from_secs_f64(number as f64 * self.interval);
        (number, self.began + after)
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

    /// Gives out what is due until `end`, waits as long again for all of it to be taken, and says how many were not.
    fn tell(&self, end: Duration) -> u64 {
        let tick = TICK.max(Duration::from_secs_f64(self.interval));
        let mut told = 0;
        loop {
            let after = self.began.elapsed();
            let count = self.count_at(after, end);
            self.permits
                .add_permits(usize::try_from(count - told).unwrap_or_default());
            told = count;
            let taken = self.taken.load(Ordering::Relaxed);
            if after >= end && (taken >= told || after >= end * 2) {
                self.permits.close();
                return told - self.taken.load(Ordering::Relaxed).min(told);
            }
            std::thread::sleep(tick);
        }
    }
}
