//! Stories of versions that have served, have no replica left, and are brought back.

use super::world::{World, config, id, number};
use crate::testing::{Call, Outcome, Script, Step};
use crate::{Failure, FailureKind, ManagerConfig, ReplicaRange, Settings};

fn failure(world: &World) -> Option<Failure> {
    let entered = world.enter("iris", &number(1)).unwrap();
    entered.target.replicas.current().failure.clone()
}

fn load_takes(world: &World, seconds: u64, outcome: Outcome) {
    let mut load = Step::works(seconds);
    load.outcome = outcome;
    let script = Script {
        load,
        ..Script::default()
    };
    world.loader.script(&id("iris", 1), script);
}

/// A world in which version 1 of `iris` serves; its story is read.
async fn serving() -> World {
    let mut world = World::with_iris();
    world.register("iris", 1);
    world.pass(10).await;
    world.story();
    world
}

#[tokio::test(start_paused = true)]
async fn starts_that_fail_slowly_are_told_to_callers_and_back_off_all_the_same() {
    let mut world = serving().await;
    world.loader.crash(&id("iris", 1), "killed");
    load_takes(&world, 300, Outcome::FailsForNow);
    world.pass(100).await;
    assert_eq!(failure(&world), None);
    world.pass(202).await;
    let told = failure(&world).unwrap();
    assert_eq!((told.kind, told.attempts), (FailureKind::Transient, 1));
    assert_eq!(world.phase(&id("iris", 1)), "FAILED");
    world.pass(10_000).await;
    let starts: Vec<String> = world
        .story()
        .iter()
        .filter_map(|line| Some(line.split_once("next in ")?.1.to_owned()))
        .collect();
    assert_eq!(
        starts[..7],
        [
            "1.0 s", "1.0 s", "2.0 s", "4.0 s", "8.0 s", "16.0 s", "32.0 s"
        ]
    );
    assert_eq!(starts.last().unwrap(), "300.0 s");
    load_takes(&world, 1, Outcome::Works);
    world.pass(1000).await;
    assert_eq!(world.phase(&id("iris", 1)), "READY");
    assert_eq!(failure(&world), None);
    // A replica that lived makes up for all that.
    world.loader.crash(&id("iris", 1), "killed");
    load_takes(&world, 1, Outcome::FailsForNow);
    world.pass(3).await;
    assert_eq!(failure(&world).unwrap().attempts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_cannot_work_any_more_is_followed_by_preparing_again() {
    let mut world = serving().await;
    world.loader.crash(&id("iris", 1), "killed");
    world.load(&id("iris", 1), Outcome::FailsForGood);
    world.pass(2).await;
    world.load(&id("iris", 1), Outcome::Works);
    world.pass(10).await;
    assert_eq!(
        world.story(),
        [
            "10.0 iris@1 replica 0 crashed: killed; next in 1.0 s",
            "12.0 iris@1 replica 1 crashed: could not be started: starting cannot work; next in 1.0 s",
            "12.0 iris@1 failed, Transient: starting cannot work",
            "14.0 iris@1 prepared",
            "15.0 iris@1 replica 2 started",
            "15.0 iris@1 ready",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn starts_that_fail_more_often_than_is_forgiven_are_followed_by_preparing_again() {
    let mut world = serving().await;
    world.loader.crash(&id("iris", 1), "killed");
    world.load(&id("iris", 1), Outcome::FailsForNow);
    world.pass(100).await;
    let story = world.story();
    let failed = |line: &&String| line.contains("failed, Transient");
    let prepared = story.iter().position(|line| line.ends_with("prepared"));
    let before = &story[..prepared.unwrap()];
    assert_eq!(before.iter().filter(failed).count(), 6);
}

#[tokio::test(start_paused = true)]
async fn what_worked_once_is_tried_again_though_what_is_wanted_now_cannot_be_prepared() {
    let mut world = serving().await;
    world.prepare(&id("iris", 1), Step::ends(Outcome::FailsForGood));
    let mut words = Settings::default();
    words.loader.insert("env_manager".into(), "conda".into());
    world.enable_with("iris", words);
    world.pass(10).await;
    let script = |load| Script {
        prepare: Step::ends(Outcome::FailsForGood),
        load: Step::ends(load),
        ..Script::default()
    };
    world
        .loader
        .script(&id("iris", 1), script(Outcome::FailsForGood));
    world.loader.crash(&id("iris", 1), "killed");
    world.pass(5).await;
    world.loader.script(&id("iris", 1), script(Outcome::Works));
    world.pass(600).await;
    assert_eq!(
        world.story(),
        [
            "10.0 iris@1 restarting",
            "11.0 iris@1 failed, Permanent: preparing cannot work",
            "20.0 iris@1 replica 0 crashed: killed; next in 1.0 s",
            "22.0 iris@1 replica 1 crashed: could not be started: starting cannot work; next in 1.0 s",
            "22.0 iris@1 failed, Transient: starting cannot work",
            "24.0 iris@1 failed, Transient: preparing cannot work",
            "325.0 iris@1 replica 2 started",
            "325.0 iris@1 ready",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn one_that_dies_for_ever_gets_no_fresh_burst_after_the_window() {
    let mut world = serving().await;
    for _ in 0..2 * 3600 / 5 {
        world.loader.crash(&id("iris", 1), "killed");
        world.pass(5).await;
    }
    let story = world.story();
    let pauses = story.iter().filter(|line| line.contains("crashed"));
    let short = pauses
        .clone()
        .filter(|line| !line.ends_with("next in 300.0 s"));
    assert_eq!(short.count(), 5);
    // A healthy run is what it takes.
    world.pass(1000).await;
    world.loader.crash(&id("iris", 1), "killed");
    world.pass(3).await;
    let story = world.story();
    let crash = story.iter().rfind(|line| line.contains("crashed"));
    assert!(crash.unwrap().ends_with("next in 1.0 s"), "{story:?}");
    assert!(story.last().unwrap().ends_with("started"), "{story:?}");
}

#[tokio::test(start_paused = true)]
async fn new_versions_that_hang_at_their_start_do_not_hold_up_a_recovery() {
    let world = World::with(ManagerConfig {
        load_permits: 2,
        ..config()
    });
    world.registry(|_| {});
    world.enable("iris");
    world.register("iris", 1);
    world.pass(10).await;
    for version in 2..=4 {
        world.load(&id("iris", version), Outcome::Hangs);
        world.register("iris", version);
    }
    world.pass(10).await;
    world.loader.crash(&id("iris", 1), "killed");
    world.pass(3).await;
    assert_eq!(world.seen(&id("iris", 1)).unwrap().replicas, 1);
    // The third of those that hang does not get the place that is kept for recoveries.
    let loads = |version| {
        let of_it = |call: &&Call| matches!(call, Call::Load(id, ..) if id.version.0 == version);
        world.loader.calls().iter().filter(of_it).count()
    };
    assert_eq!([2, 3, 4].map(loads).iter().sum::<usize>(), 2);
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_at_its_restart_does_not_hold_up_the_recovery_of_another() {
    let world = World::with(ManagerConfig {
        load_permits: 1,
        ..config()
    });
    world.registry(|_| {});
    world.enable("iris");
    for version in 1..=4 {
        world.register("iris", version);
    }
    world.pass(20).await;
    // As many as there are permits: in the end they are in their second try, or wait for it.
    for version in 2..=4 {
        world.load(&id("iris", version), Outcome::Hangs);
        world.loader.crash(&id("iris", version), "killed");
    }
    world.pass(370).await;
    world.loader.crash(&id("iris", 1), "killed");
    world.pass(3).await;
    assert_eq!(world.seen(&id("iris", 1)).unwrap().replicas, 1);
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_cannot_be_added_leaves_the_others_and_the_phase_alone() {
    let world = serving().await;
    world.load(&id("iris", 1), Outcome::FailsForGood);
    let two = Settings {
        replicas: ReplicaRange::new(2, 2).unwrap(),
        ..Settings::default()
    };
    world.enable_with("iris", two);
    world.pass(100).await;
    assert_eq!(world.phase(&id("iris", 1)), "READY");
    assert_eq!(failure(&world), None);
    let prepares = |call: &&Call| matches!(call, Call::Prepare(..));
    assert_eq!(world.loader.calls().iter().filter(prepares).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn replicas_that_are_given_up_again_and_again_are_replaced_after_growing_pauses() {
    let mut world = serving().await;
    let mut minutes = 0;
    let mut replaced = Vec::new();
    while minutes < 60 {
        // Each is too large as soon as it answers.
        while world.loader.give_up(&id("iris", 1), "it used 1.3GB") {}
        world.pass(60).await;
        minutes += 1;
        let story = world.story().into_iter();
        replaced.extend(story.filter(|line| line.contains("replaced")));
    }
    let waited: Vec<&str> = replaced
        .iter()
        .map(|line| line.split_once("it used 1.3GB").unwrap().1)
        .collect();
    let kept = |times: u32, pause: &str| {
        format!("; given up {times} times of late, so it was kept for {pause} s more")
    };
    assert_eq!(waited[0], "");
    assert_eq!(waited[1], kept(2, "1.0"));
    assert_eq!(waited[4], kept(5, "8.0"));
    assert_eq!(waited[5], kept(6, "300.0"));
    assert!(waited.len() <= 5 + 60 / 5, "{waited:?}");
    assert_eq!(world.seen(&id("iris", 1)).unwrap().crashes, 0);
    // A good run is what it takes.
    world.pass(1000).await;
    world.story();
    assert!(world.loader.give_up(&id("iris", 1), "it used 1.3GB"));
    world.pass(3).await;
    let story = world.story();
    assert!(
        story.last().unwrap().ends_with("it used 1.3GB"),
        "{story:?}"
    );
}
