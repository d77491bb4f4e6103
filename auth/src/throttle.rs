//! Slows down addresses that keep failing: their refusals are held back, longer each time.
//!
//! Only refusals wait. A caller with a good credential is never slowed, also not one that shares its address with others
//! (a proxy, a company's gateway).

use std::collections::HashMap;
use std::mem;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

/// How refusals are held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThrottleConfig {
    /// Failures in a row that cost nothing: a mistyped token.
    pub free_failures: u32,
    /// How long the first refusal after these is held back; each further one twice as long.
    pub first_delay: Duration,
    /// The longest that a refusal is held back.
    pub longest_delay: Duration,
    /// After so long without a failure an address starts anew.
    pub forget_after: Duration,
    /// Addresses to remember; up to twice as many are for a while. The least recent ones are forgotten first.
    pub addresses: usize,
    /// Refusals held back at a time; one more is answered at once, so that a flood costs no memory.
    pub held_back: usize,
}

impl Default for ThrottleConfig {
    fn default() -> Self {
        Self {
            free_failures: 3,
            first_delay: Duration::from_millis(50),
            longest_delay: Duration::from_secs(2),
            forget_after: Duration::from_secs(60),
            addresses: 1024,
            held_back: 1024,
        }
    }
}

/// Remembers who failed.
#[derive(Debug)]
pub(crate) struct Throttle {
    config: ThrottleConfig,
    /// False while nobody has failed lately: successes then need no lock. Written under the lock of `records`.
    remembers: AtomicBool,
    records: Mutex<Records>,
    places: Semaphore,
}

/// Two generations of addresses: when `recent` is full it becomes `older`, and what was `older` is forgotten. Each
/// operation takes the same time however many addresses there are.
#[derive(Debug, Default)]
struct Records {
    recent: HashMap<IpAddr, Record>,
    older: HashMap<IpAddr, Record>,
    /// Of whichever address.
    last_failure: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    failures: u32,
    last: Instant,
}

impl Throttle {
    pub(crate) fn new(config: ThrottleConfig) -> Self {
        Self {
            config,
            remembers: AtomicBool::new(false),
            records: Mutex::default(),
            places: Semaphore::new(config.held_back.min(Semaphore::MAX_PERMITS)),
        }
    }

    /// Counts a failure of `peer` and holds its refusal back.
    pub(crate) async fn hold_back(&self, peer: IpAddr) {
        let delay = self.failed(peer);
        if delay.is_zero() {
            return;
        }
        if let Ok(_place) = self.places.try_acquire() {
            sleep(delay).await;
        }
    }

    /// Forgets the failures of `peer`.
    pub(crate) fn succeeded(&self, peer: IpAddr) {
        if !self.remembers.load(Ordering::Relaxed) {
            return;
        }
        let now = Instant::now();
        let mut records = self.records();
        records.forget(neighbourhood(peer));
        let stale = |last| now.duration_since(last) >= self.config.forget_after;
        if records.last_failure.is_none_or(stale) {
            *records = Records::default();
            self.remembers.store(false, Ordering::Relaxed);
        }
    }

    /// Counts a failure of `peer`; how long its refusal is to be held back.
    fn failed(&self, peer: IpAddr) -> Duration {
        let now = Instant::now();
        let failures = {
            let mut records = self.records();
            let record = records.recent(neighbourhood(peer), now, self.config.addresses);
            if now.duration_since(record.last) >= self.config.forget_after {
                record.failures = 0;
            }
            record.failures = record.failures.saturating_add(1);
            record.last = now;
            let failures = record.failures;
            records.last_failure = Some(now);
            self.remembers.store(true, Ordering::Relaxed);
            failures
        };
        self.config.delay(failures)
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        // Nothing panics under the lock, and a lost count would not matter.
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ThrottleConfig {
    /// How long the refusal of the `failures`th failure in a row is held back.
    fn delay(&self, failures: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(self.free_failures.saturating_add(1)) else {
            return Duration::ZERO;
        };
        let factor = 2_u32.saturating_pow(doublings);
        self.first_delay
            .saturating_mul(factor)
            .min(self.longest_delay)
    }
}

impl Records {
    /// The record of `address` among the recent ones, a fresh one if there is none.
    fn recent(&mut self, address: IpAddr, now: Instant, limit: usize) -> &mut Record {
        if self.recent.len() >= limit && !self.recent.contains_key(&address) {
            self.older = mem::take(&mut self.recent);
        }
        let older = &mut self.older;
        self.recent.entry(address).or_insert_with(|| {
            let fresh = Record {
                failures: 0,
                last: now,
            };
            older.remove(&address).unwrap_or(fresh)
        })
    }

    fn forget(&mut self, address: IpAddr) {
        self.recent.remove(&address);
        self.older.remove(&address);
    }
}

/// Who counts as one: an IPv4 address, or the /64 network of an IPv6 address, which one host usually has to itself.
pub(crate) fn neighbourhood(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            // Loopback is a /128, but nobody else is in that network.
            IpAddr::V6(Ipv6Addr::from(network))
        }
    }
}

#[cfg(test)]
mod tests;
