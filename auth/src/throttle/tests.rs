//! Delays under paused time: what is awaited passes at once and is measured exactly.

use std::net::Ipv4Addr;
use std::pin::pin;

use super::*;

const ONE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

fn throttle() -> Throttle {
    Throttle::new(ThrottleConfig::default())
}

async fn held_back(throttle: &Throttle, peer: IpAddr) -> u128 {
    let start = Instant::now();
    throttle.hold_back(peer).await;
    start.elapsed().as_millis()
}

async fn held_back_times(throttle: &Throttle, peer: IpAddr, times: usize) -> Vec<u128> {
    let mut delays = Vec::new();
    for _ in 0..times {
        delays.push(held_back(throttle, peer).await);
    }
    delays
}

#[tokio::test(start_paused = true)]
async fn refusals_are_held_back_longer_each_time_up_to_two_seconds() {
    let delays = held_back_times(&throttle(), ONE, 11).await;
    assert_eq!(delays, [0, 0, 0, 50, 100, 200, 400, 800, 1600, 2000, 2000]);
}

#[tokio::test(start_paused = true)]
async fn one_address_does_not_slow_another() {
    let throttle = throttle();
    held_back_times(&throttle, ONE, 10).await;
    assert_eq!(held_back(&throttle, OTHER).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_success_makes_an_address_start_anew() {
    let throttle = throttle();
    held_back_times(&throttle, ONE, 10).await;
    held_back_times(&throttle, OTHER, 10).await;
    throttle.succeeded(ONE);
    assert_eq!(held_back(&throttle, ONE).await, 0);
    assert_eq!(held_back(&throttle, OTHER).await, 2000);
    throttle.succeeded(OTHER);
    assert_eq!(held_back(&throttle, OTHER).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_success_also_forgets_what_is_about_to_be_forgotten() {
    let throttle = Throttle::new(ThrottleConfig {
        addresses: 1,
        ..ThrottleConfig::default()
    });
    held_back_times(&throttle, ONE, 10).await;
    throttle.failed(OTHER);
    throttle.succeeded(ONE);
    assert_eq!(held_back(&throttle, ONE).await, 0);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_stopped_failing_starts_anew() {
    let throttle = throttle();
    held_back_times(&throttle, ONE, 10).await;
    // The last failure is two seconds old by now, because its refusal was held back.
    tokio::time::advance(Duration::from_secs(57)).await;
    assert_eq!(held_back(&throttle, ONE).await, 2000);
    tokio::time::advance(Duration::from_secs(58)).await;
    assert_eq!(held_back(&throttle, ONE).await, 0);
}

#[tokio::test(start_paused = true)]
async fn failures_without_end_do_not_overflow() {
    let throttle = throttle();
    for _ in 0..100 {
        assert!(throttle.failed(ONE) <= Duration::from_secs(2));
    }
    throttle.records().recent.get_mut(&ONE).unwrap().failures = u32::MAX;
    assert_eq!(throttle.failed(ONE), Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn memory_is_bounded_and_recent_addresses_are_kept() {
    let throttle = Throttle::new(ThrottleConfig {
        addresses: 8,
        ..ThrottleConfig::default()
    });
    for host in 0..10_000_u32 {
        throttle.failed(IpAddr::V4(Ipv4Addr::from(host)));
        // Fails again and again among all the others, and is not forgotten.
        throttle.failed(OTHER);
        let records = throttle.records();
        assert!(records.recent.len() <= 8 && records.older.len() <= 8);
    }
    assert_eq!(throttle.failed(OTHER), Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn more_refusals_than_there_are_places_are_answered_at_once() {
    let throttle = Throttle::new(ThrottleConfig {
        free_failures: 0,
        held_back: 1,
        ..ThrottleConfig::default()
    });
    let mut first = pin!(held_back(&throttle, ONE));
    let mut second = pin!(held_back(&throttle, OTHER));
    tokio::select! {
        biased;
        _ = &mut first => panic!("the only place was free: this one is held back"),
        delay = &mut second => assert_eq!(delay, 0),
    }
    assert_eq!(first.await, 50);
    assert_eq!(held_back(&throttle, OTHER).await, 100);
}

#[tokio::test(start_paused = true)]
async fn when_failures_are_long_past_nothing_is_kept_and_a_success_takes_no_lock() {
    let throttle = throttle();
    held_back_times(&throttle, ONE, 10).await;
    throttle.succeeded(OTHER);
    assert!(throttle.remembers.load(Ordering::Relaxed));
    tokio::time::advance(Duration::from_secs(60)).await;
    throttle.succeeded(OTHER);
    // Would wait for ever if it took the lock.
    let taken = throttle.records();
    throttle.succeeded(ONE);
    assert!(taken.recent.is_empty() && taken.older.is_empty());
}

#[test]
fn an_ipv6_network_counts_as_one_and_a_mapped_address_as_ipv4() {
    let same = |one: &str, other: &str| {
        neighbourhood(one.parse().unwrap()) == neighbourhood(other.parse().unwrap())
    };
    assert!(same("2001:db8::1", "2001:db8::ffff:1"));
    assert!(!same("2001:db8::1", "2001:db8:0:1::1"));
    assert!(same("::ffff:192.0.2.1", "192.0.2.1"));
    assert!(!same("192.0.2.1", "192.0.2.2"));
    assert!(same("::1", "::1"));
    assert!(!same("::1", "127.0.0.1"));
}
