//! What came of requests: how many, how long they took, what went wrong.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Longer requests are counted as this long.
const LONGEST: Duration = Duration::from_secs(600);
/// Two digits would be one per cent; the third costs memory only.
const DIGITS: u8 = 3;

/// Counts of one connection, or of several.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Nanoseconds.
    latencies: Histogram<u64>,
    /// Nanoseconds.
    lateness: Histogram<u64>,
    /// Good answers that came before the end.
    in_time: u64,
    errors: u64,
    first_error: Option<String>,
}

/// What came of a load.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Requests that were answered as they had to be.
    pub requests: u64,
    /// Those that were not.
    pub errors: u64,
    /// What was wrong with the first of those.
    pub first_error: Option<String>,
    /// For how long requests were begun.
    pub duration: Duration,
    /// Good answers that came within it; the others have a latency and no share in the rate, which they would stretch.
    pub in_time: u64,
    /// CPU time of the generator itself, with all else that its process did.
    pub own_cpu: Duration,
    latencies: Histogram<u64>,
    lateness: Histogram<u64>,
}

impl Default for Tally {
    fn default() -> Self {
        let longest = u64::try_from(LONGEST.as_nanos()).unwrap_or(u64::MAX);
        // The bounds are constants that make a histogram.
        let empty = Histogram::new_with_bounds(100, longest, DIGITS);
        let empty = empty.unwrap_or_else(|_| unreachable!("the bounds are right"));
        Self {
            latencies: empty.clone(),
            lateness: empty,
            in_time: 0,
            errors: 0,
            first_error: None,
        }
    }
}

impl Tally {
    /// A request that was answered as it had to be, before the end or after it.
    pub fn answered(&mut self, took: Duration, in_time: bool) {
        self.in_time += u64::from(in_time);
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.latencies.saturating_record(nanoseconds);
    }

    /// A request of the open loop that the generator itself gave out so long after it was due.
    pub fn late(&mut self, by: Duration) {
        let nanoseconds = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.lateness.saturating_record(nanoseconds);
    }

    /// One that was not.
    pub fn fail(&mut self, reason: String) {
        self.errors += 1;
        self.first_error.get_or_insert(reason);
    }

    /// The other's counts as well.
    pub fn add(&mut self, other: &Self) {
        // Both have the same bounds.
        let _ = self.latencies.add(&other.latencies);
        let _ = self.lateness.add(&other.lateness);
        self.in_time += other.in_time;
        self.errors += other.errors;
        if self.first_error.is_none() {
            self.first_error.clone_from(&other.first_error);
        }
    }

    pub(super) fn into_outcome(self, duration: Duration, own_cpu: Duration) -> Outcome {
        Outcome {
            requests: self.latencies.len(),
            errors: self.errors,
            first_error: self.first_error,
            duration,
            in_time: self.in_time,
            own_cpu,
            latencies: self.latencies,
            lateness: self.lateness,
        }
    }
}

impl Outcome {
    /// Good answers a second, of those that came before the end.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub fn rate(&self) -> f64 {
        self.in_time as f64 / self.duration.as_secs_f64()
    }

    /// The time within which this part of the good answers came, from 0 to 1.
    pub fn quantile(&self, part: f64) -> Duration {
        Duration::from_nanos(self.latencies.value_at_quantile(part))
    }

    /// The time within which this part of the requests of an open loop was given out, from 0 to 1, from when they were due: the
    /// generator's own share of [`Outcome::quantile`]. Zero in a closed loop.
    pub fn lateness(&self, part: f64) -> Duration {
        Duration::from_nanos(self.lateness.value_at_quantile(part))
    }

    /// How many requests of an open loop were given out.
    #[cfg(test)]
    pub(super) fn given_out(&self) -> u64 {
        self.lateness.len()
    }

    /// `amount` for each good answer, in microseconds.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub fn microseconds_each(&self, amount: Duration) -> f64 {
        amount.as_secs_f64() * 1e6 / (self.requests.max(1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_all_parts_together() {
        let mut whole = Tally::default();
        for half in [1..=50_u64, 51..=100] {
            let mut part = Tally::default();
            for milliseconds in half {
                part.answered(Duration::from_millis(milliseconds), milliseconds > 20);
            }
            part.fail("no".to_owned());
            whole.add(&part);
        }
        let outcome = whole.into_outcome(Duration::from_secs(2), Duration::from_millis(1));
        assert_eq!((outcome.requests, outcome.errors), (100, 2));
        let close = |part, milliseconds: f64| {
            let seen = outcome.quantile(part).as_secs_f64() * 1e3;
            assert!(
                (seen - milliseconds).abs() < milliseconds / 500.0,
                "{part}: {seen} ms"
            );
        };
        close(0.5, 50.0);
        close(0.99, 99.0);
        assert!((outcome.rate() - 40.0).abs() < 1e-9);
        assert!((outcome.microseconds_each(outcome.own_cpu) - 10.0).abs() < 1e-9);
    }
}
