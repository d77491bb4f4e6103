//! Which versions are served, and how new ones and new replicas take over from old ones.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

use super::world::{World, id, label, number};
use crate::testing::{Outcome, Step};
use crate::{Reference, ReplicaRange, Settings, Takeover, Version, VersionPolicy};

fn latest(count: u32) -> Settings {
    Settings {
        versions: VersionPolicy::Latest(NonZeroU32::new(count).unwrap()),
        ..Settings::default()
    }
}

fn listed<const N: usize>(versions: [u64; N]) -> Settings {
    Settings {
        versions: VersionPolicy::Listed(versions.map(Version).into()),
        ..Settings::default()
    }
}

fn replicas(count: u32) -> Settings {
    Settings {
        replicas: ReplicaRange::new(count, count).unwrap(),
        ..Settings::default()
    }
}

fn stopping_first(settings: Settings) -> Settings {
    Settings {
        takeover: Takeover::ResourcePreserving,
        ..settings
    }
}

fn with_word(settings: &Settings, word: &str) -> Settings {
    let mut settings = settings.clone();
    settings.loader.insert("word".into(), word.into());
    settings
}

fn served(world: &World) -> Vec<u64> {
    let snapshot = world.handle.snapshot().borrow().clone();
    let model = &snapshot.models["iris"];
    model.versions.keys().map(|version| version.0).collect()
}

#[tokio::test(start_paused = true)]
async fn a_new_version_takes_the_place_of_the_oldest_only_when_it_answers() {
    let mut world = World::with_iris();
    world.enable_with("iris", latest(2));
    for version in [1, 2, 3] {
        world.register("iris", version);
    }
    world.pass(10).await;
    assert_eq!(served(&world), [2, 3]);
    world.story();
    world.register("iris", 4);
    world.pass(10).await;
    assert_eq!(
        world.story(),
        [
            "10.0 iris@4 discovered as generation 3",
            "11.0 iris@4 prepared",
            "12.0 iris@4 replica 0 started",
            // One swap of the table: there is no moment between the two.
            "12.0 iris@2 draining",
            "12.0 iris@4 ready",
            "12.0 iris@2 retired",
        ]
    );
    // One that cannot be started takes nobody's place.
    world.prepare(&id("iris", 5), Step::ends(Outcome::FailsForGood));
    world.register("iris", 5);
    world.pass(100).await;
    assert_eq!(served(&world), [3, 4, 5]);
    assert_eq!(world.ask("iris", &[Reference::Latest]), "iris@4 g3");
    world.register("iris", 6);
    world.pass(10).await;
    // 6 answers and 5 does not: the next newest that answers is 4.
    assert_eq!(served(&world), [4, 5, 6]);
    world.archive("iris", 4);
    world.pass(10).await;
    assert_eq!(served(&world), [5, 6]);
}

#[tokio::test(start_paused = true)]
async fn what_a_label_should_point_at_is_served_besides_the_latest() {
    let mut world = World::with_iris();
    world.enable_with("iris", latest(1));
    for version in [1, 2, 3] {
        world.register("iris", version);
    }
    world.point("iris", "Production", 1);
    world.pass(10).await;
    assert_eq!(served(&world), [1, 3]);
    assert_eq!(world.ask("iris", &label("Production")), "iris@1 g1");
    world.story();
    world.point("iris", "Production", 2);
    world.pass(10).await;
    assert_eq!(
        world.story(),
        [
            "10.0 iris@2 discovered as generation 3",
            "11.0 iris@2 prepared",
            "12.0 iris@2 replica 0 started",
            "12.0 iris@2 ready",
            "12.0 iris@2 Production moved from 1 to 2",
            "12.0 iris@1 draining",
            "12.0 iris@1 retired",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn listed_versions_are_exactly_those_and_a_label_does_not_leave_them() {
    let mut world = World::with_iris();
    for version in [1, 2, 3] {
        world.register("iris", version);
    }
    world.point("iris", "Production", 2);
    world.point("iris", "Staging", 3);
    world.pass(10).await;
    world.story();
    world.enable_with("iris", listed([1, 3, 9]));
    world.pass(10).await;
    assert_eq!(
        world.story(),
        [
            "10.0 iris Production moved from 2 to nowhere",
            "10.0 iris@2 draining",
            "10.0 iris@2 retired",
        ]
    );
    let labels = world.handle.snapshot().borrow().models["iris"]
        .labels
        .clone();
    let production = labels["Production"];
    assert_eq!(
        (production.aspired, production.current),
        (Some(Version(2)), None)
    );
    // A label that answers from a listed one stays there.
    world.point("iris", "Staging", 2);
    world.pass(10).await;
    assert_eq!(world.ask("iris", &label("Staging")), "iris@3 g1");
    // What was listed ahead is served when it comes.
    world.register("iris", 9);
    world.pass(10).await;
    assert_eq!(served(&world), [1, 3, 9]);
}

#[tokio::test(start_paused = true)]
async fn the_last_version_that_answers_stays_until_a_listed_one_does() {
    let mut world = World::with_iris();
    world.register("iris", 1);
    world.point("iris", "Production", 1);
    world.pass(10).await;
    world.story();
    world.enable_with("iris", listed([2]));
    world.pass(100).await;
    assert_eq!(world.ask("iris", &label("Production")), "iris@1 g1");
    world.register("iris", 2);
    world.pass(10).await;
    assert_eq!(
        world.story(),
        [
            "110.0 iris@2 discovered as generation 2",
            "111.0 iris@2 prepared",
            "112.0 iris@2 replica 0 started",
            "112.0 iris@2 ready",
            "112.0 iris Production moved from 1 to nowhere",
            "112.0 iris@1 draining",
            "112.0 iris@1 retired",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn where_memory_is_short_the_old_version_is_gone_before_the_new_one_starts() {
    let mut world = World::with_iris();
    world.enable_with("iris", stopping_first(Settings::default()));
    world.stop_takes(&id("iris", 1), 5);
    world.register("iris", 1);
    world.point("iris", "Production", 1);
    world.pass(10).await;
    world.story();
    world.archive("iris", 1);
    world.register("iris", 2);
    world.point("iris", "Production", 2);
    world.pass(1).await;
    assert_eq!(
        world.ask("iris", &label("Production")),
        "version 2 is not ready: PENDING"
    );
    world.pass(20).await;
    assert_eq!(
        world.story(),
        [
            "10.0 iris@1 draining",
            "10.0 iris Production moved from 1 to nowhere",
            "15.0 iris@1 retired",
            "15.0 iris@2 discovered as generation 2",
            "16.0 iris@2 prepared",
            "17.0 iris@2 replica 0 started",
            "17.0 iris@2 ready",
            "17.0 iris@2 Production moved from nowhere to 2",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn where_memory_is_short_the_latest_version_waits_for_the_end_of_the_last_one() {
    let mut world = World::with_iris();
    world.enable_with("iris", stopping_first(latest(1)));
    world.register("iris", 1);
    world.pass(10).await;
    let caller = world.enter("iris", &number(1)).unwrap();
    world.story();
    world.register("iris", 2);
    world.pass(7).await;
    // The callers of the old one end first.
    assert_eq!(world.story(), ["10.0 iris@1 draining"]);
    drop(caller);
    world.pass(10).await;
    assert_eq!(
        world.story(),
        [
            "17.0 iris@1 retired",
            "17.0 iris@2 discovered as generation 2",
            "18.0 iris@2 prepared",
            "19.0 iris@2 replica 0 started",
            "19.0 iris@2 ready",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn where_memory_is_short_an_old_replica_is_gone_before_its_successor_starts() {
    let mut world = World::with_iris();
    let settings = stopping_first(Settings {
        replicas: ReplicaRange::new(2, 2).unwrap(),
        ..Settings::default()
    });
    world.enable_with("iris", settings.clone());
    world.stop_takes(&id("iris", 1), 3);
    world.register("iris", 1);
    world.pass(10).await;
    world.story();
    world.enable_with("iris", with_word(&settings, "new"));
    let mut most = 0;
    for _ in 0..20 {
        world.pass(1).await;
        // Those that stop are among them.
        most = most.max(world.loader.alive());
    }
    assert_eq!(most, 2);
    assert_eq!(
        world.story(),
        [
            "10.0 iris@1 restarting",
            "11.0 iris@1 prepared",
            "11.0 iris@1 replica 0 replaced: newly prepared workers take over",
            "15.0 iris@1 replica 2 started",
            "15.0 iris@1 replica 1 replaced: newly prepared workers take over",
            "19.0 iris@1 replica 3 started",
        ]
    );
    let words = world.loader.live();
    assert!(
        words
            .iter()
            .all(|live| live.spec.settings.loader["word"] == "new")
    );
    assert_eq!(world.phase(&id("iris", 1)), "READY");
}

#[tokio::test(start_paused = true)]
async fn where_memory_is_short_what_cannot_be_prepared_ends_no_replica() {
    let world = World::with_iris();
    let settings = stopping_first(Settings::default());
    world.enable_with("iris", settings.clone());
    world.register("iris", 1);
    world.pass(10).await;
    world.prepare(&id("iris", 1), Step::ends(Outcome::FailsForGood));
    world.enable_with("iris", with_word(&settings, "wrong"));
    world.pass(100).await;
    assert_eq!(world.ask("iris", &number(1)), "iris@1 g1");
    let seen = world.seen(&id("iris", 1)).unwrap();
    assert_eq!((seen.replicas, seen.renewing), (1, false));
    assert!(seen.renewal_failure.is_some());
}

#[tokio::test(start_paused = true)]
async fn new_replicas_that_cannot_be_started_are_tried_again_where_the_old_ones_are_gone() {
    let world = World::with_iris();
    let settings = stopping_first(Settings::default());
    world.enable_with("iris", settings.clone());
    world.register("iris", 1);
    world.pass(10).await;
    world.load(&id("iris", 1), Outcome::FailsForGood);
    world.enable_with("iris", with_word(&settings, "large"));
    world.pass(10).await;
    assert_eq!(world.phase(&id("iris", 1)), "FAILED");
    world.load(&id("iris", 1), Outcome::Works);
    world.enable_with("iris", with_word(&settings, "small"));
    world.pass(10).await;
    assert_eq!(world.phase(&id("iris", 1)), "READY");
    assert!(!world.seen(&id("iris", 1)).unwrap().renewing);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_is_seen_from_its_order_to_its_end() {
    let world = World::with_iris();
    world.register("iris", 1);
    world.pass(10).await;
    let renewing = || world.seen(&id("iris", 1)).unwrap().renewing;
    assert!(!renewing());
    let two = Settings {
        replicas: ReplicaRange::new(2, 2).unwrap(),
        ..Settings::default()
    };
    world.enable_with("iris", two.clone());
    world.handle.caught_up().await;
    assert!(renewing(), "a replica is missing");
    world.pass(10).await;
    assert!(!renewing());
    world.enable_with("iris", with_word(&two, "new"));
    world.handle.caught_up().await;
    assert!(renewing(), "words for the loader have changed");
    world.pass(2).await;
    assert!(renewing(), "one of the old ones is still there");
    world.pass(8).await;
    assert!(!renewing());
    world.handle.restart(&id("iris", 1)).await.unwrap();
    world.handle.caught_up().await;
    assert!(renewing(), "a person asked for new ones");
    world.pass(10).await;
    assert!(!renewing());
    let queue = Settings {
        max_queue: 7,
        ..with_word(&two, "new")
    };
    world.enable_with("iris", queue);
    world.handle.caught_up().await;
    assert!(!renewing(), "that takes no new ones");
}

/// Calls back in the very moment of the wake, within the manager's pass, when no supervisor has had its turn.
struct OnWake<F>(F);

impl<F: Fn() + Send + Sync + 'static> Wake for OnWake<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_caught_up_sees_a_renewal_that_no_supervisor_has_begun_yet() {
    let world = World::with_iris();
    world.register("iris", 1);
    world.pass(10).await;
    world.enable_with("iris", with_word(&Settings::default(), "new"));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let snapshot = world.handle.snapshot();
    let waker = Waker::from(Arc::new(OnWake({
        let seen = Arc::clone(&seen);
        move || {
            let snapshot = snapshot.borrow().clone();
            let version = &snapshot.models["iris"].versions[&Version(1)];
            seen.lock().unwrap().push(version.renewing);
        }
    })));
    let mut caught_up = Box::pin(world.handle.caught_up());
    let polled = caught_up.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    world.pass(1).await;
    assert_eq!(*seen.lock().unwrap(), [true]);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_is_seen_with_its_reason_until_another_one_begins() {
    let world = World::with_iris();
    world.register("iris", 1);
    world.pass(10).await;
    let seen = || world.seen(&id("iris", 1)).unwrap();
    world.prepare(&id("iris", 1), Step::ends(Outcome::FailsForGood));
    world.enable_with("iris", with_word(&Settings::default(), "wrong"));
    world.pass(10).await;
    let failure = seen().renewal_failure.unwrap();
    assert_eq!(&*failure.message, "preparing cannot work");
    assert_eq!(failure.next_try, None);
    assert!(!seen().renewing);
    world.prepare(&id("iris", 1), Step::ends(Outcome::FailsForNow));
    world.enable_with("iris", with_word(&Settings::default(), "unlucky"));
    world.handle.caught_up().await;
    assert_eq!(seen().renewal_failure, None);
    world.pass(2).await;
    assert!(seen().renewing, "it is tried again");
    assert!(seen().renewal_failure.unwrap().next_try.is_some());
    world.prepare(&id("iris", 1), Step::works(1));
    world.pass(10).await;
    assert_eq!((seen().renewing, seen().renewal_failure), (false, None));
}

#[tokio::test(start_paused = true)]
async fn a_failed_version_is_undecided_again_as_soon_as_settings_give_it_another_chance() {
    let world = World::with_iris();
    world.prepare(&id("iris", 1), Step::ends(Outcome::FailsForGood));
    world.register("iris", 1);
    world.pass(10).await;
    let seen = || world.seen(&id("iris", 1)).unwrap();
    assert_eq!((seen().phase.name(), seen().renewing), ("FAILED", false));
    world.enable_with("iris", with_word(&Settings::default(), "right"));
    world.handle.caught_up().await;
    assert!(seen().phase.name() != "FAILED" || seen().renewing);
}

#[tokio::test(start_paused = true)]
async fn a_version_that_has_failed_for_good_stays_decided_when_another_number_of_replicas_is_wanted()
 {
    let world = World::with_iris();
    world.prepare(&id("iris", 1), Step::ends(Outcome::FailsForGood));
    world.register("iris", 1);
    world.pass(10).await;
    world.enable_with("iris", replicas(2));
    world.handle.caught_up().await;
    world.pass(1).await;
    let seen = world.seen(&id("iris", 1)).unwrap();
    assert_eq!((seen.phase.name(), seen.renewing), ("FAILED", false));
}

#[tokio::test(start_paused = true)]
async fn another_number_of_replicas_gives_what_failed_before_another_chance() {
    let world = World::with_iris();
    world.register("iris", 1);
    world.pass(10).await;
    let seen = || world.seen(&id("iris", 1)).unwrap();
    // One that cannot be started.
    world.load(&id("iris", 1), Outcome::FailsForNow);
    world.enable_with("iris", replicas(2));
    world.pass(1000).await;
    assert!(seen().renewal_failure.is_some());
    world.load(&id("iris", 1), Outcome::Works);
    world.enable_with("iris", replicas(3));
    world.handle.caught_up().await;
    assert_eq!((seen().renewing, seen().renewal_failure), (true, None));
    world.pass(5).await;
    assert_eq!((seen().renewing, seen().replicas), (false, 3));
    // New ones that cannot be had: the answer comes anew, and is the same as long as nothing else has changed.
    world.prepare(&id("iris", 1), Step::ends(Outcome::FailsForGood));
    world.enable_with("iris", with_word(&replicas(3), "wrong"));
    world.pass(10).await;
    assert!(seen().renewal_failure.is_some());
    world.enable_with("iris", with_word(&replicas(4), "wrong"));
    world.handle.caught_up().await;
    assert_eq!((seen().renewing, seen().renewal_failure), (true, None));
    world.pass(10).await;
    assert_eq!((seen().renewing, seen().replicas), (false, 4));
    assert!(seen().renewal_failure.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_step_is_seen_with_its_beginning() {
    let world = World::with_iris();
    world.prepare(&id("iris", 1), Step::works(50));
    world.pass(7).await;
    world.register("iris", 1);
    world.pass(20).await;
    let seen = world.seen(&id("iris", 1)).unwrap();
    let since = seen.step_since.unwrap();
    let since = since.duration_since(std::time::SystemTime::UNIX_EPOCH);
    assert_eq!(seen.step.as_deref(), Some("building"));
    assert_eq!(since.unwrap().as_secs(), 7);
}
