//! Stories that are no law: re-created things, restarts, replicas that come and go, the end.

use std::time::Duration;

use tokio::time::Instant;

use super::world::{World, config, id, label, number};
use crate::testing::{Call, Outcome, Script, Step, Timeline};
use crate::{ManagerConfig, Note, ReplicaId, ReplicaRange, Settings, Source};

fn settings(replicas: u32) -> Settings {
    Settings {
        replicas: ReplicaRange::new(replicas, replicas).unwrap(),
        ..Settings::default()
    }
}

fn live(world: &World) -> Vec<u64> {
    let entered = world.enter("iris", &number(1)).unwrap();
    let set = entered.target.replicas.current();
    set.live.iter().map(|replica| replica.id.0).collect()
}

#[tokio::test(start_paused = true)]
async fn a_version_that_was_re_created_never_answers_with_the_old_one() {
    let mut world = World::with_iris();
    world.register("iris", 1);
    world.point("iris", "Production", 1);
    world.pass(10).await;
    world.story();
    world.register_as("iris", 1, "second", Source::Readable("files".into()));
    world.pass(1).await;
    for references in [number(1), label("Production")] {
        assert_eq!(
            world.ask("iris", &references),
            "version 1 is not ready: BUILDING"
        );
    }
    world.pass(10).await;
    assert_eq!(
        world.story(),
        [
            "10.0 iris@1 draining",
            "10.0 iris Production moved from 1 to nowhere",
            "10.0 iris@1 retired",
            "10.0 iris@1 discovered as generation 2",
            "11.0 iris@1 prepared",
            "12.0 iris@1 replica 0 started",
            "12.0 iris@1 ready",
            "12.0 iris@1 Production moved from nowhere to 1",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_loader_found_worth_keeping_is_in_the_log_before_what_came_of_it() {
    let mut world = World::with_iris();
    let note = Note::new("house_reused", "House 7 was there");
    let script = Script {
        note: Some(note),
        ..Script::default()
    };
    world.loader.script(&id("iris", 1), script);
    world.register("iris", 1);
    world.pass(10).await;
    assert_eq!(
        world.story(),
        [
            "0.0 iris@1 discovered as generation 1",
            "1.0 iris@1 house_reused: House 7 was there",
            "1.0 iris@1 prepared",
            "2.0 iris@1 replica 0 started",
            "2.0 iris@1 ready",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_model_that_was_re_created_keeps_no_label_of_the_old_one() {
    let mut world = World::with_iris();
    world.register("iris", 7);
    world.point("iris", "Production", 7);
    world.pass(10).await;
    world.story();
    world.model("iris", |model| {
        model.incarnation = "second".into();
        model.versions.clear();
    });
    world.register("iris", 1);
    world.point("iris", "Production", 1);
    world.pass(1).await;
    assert_eq!(
        world.ask("iris", &label("Production")),
        "version 1 is not ready: BUILDING"
    );
    world.pass(10).await;
    assert_eq!(world.ask("iris", &label("Production")), "iris@1 g2");
}

#[tokio::test(start_paused = true)]
async fn a_restart_replaces_the_replicas_without_a_gap_and_waits_for_their_callers() {
    let mut world = World::with_iris();
    world.enable_with("iris", settings(2));
    world.register("iris", 1);
    world.pass(10).await;
    world.story();
    let stack = world.enter("iris", &number(1)).unwrap();
    let mut sets = stack.target.replicas.subscribe();
    let old = stack.target.replicas.current().live[0].clone();
    let caller = old.enter().unwrap();
    world.handle.restart(&id("iris", 1)).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while let Ok(Ok(())) = tokio::time::timeout_at(deadline, sets.changed()).await {
        assert!(sets.borrow_and_update().live.len() >= 2);
    }
    assert_eq!(live(&world), [2, 3]);
    assert!(old.enter().is_none());
    let stopped = |replica| {
        let stop = |call: &Call| matches!(call, Call::Stop(_, _, id) if *id == replica);
        world.loader.calls().iter().any(stop)
    };
    assert!(!stopped(ReplicaId(0)));
    assert!(stopped(ReplicaId(1)));
    drop(caller);
    world.pass(1).await;
    assert!(stopped(ReplicaId(0)));
    assert_eq!(
        world.story(),
        [
            "10.0 iris@1 restarting",
            "11.0 iris@1 prepared",
            "12.0 iris@1 replica 2 started",
            "12.0 iris@1 replica 0 replaced: newly prepared workers take over",
            "13.0 iris@1 replica 3 started",
            "13.0 iris@1 replica 1 replaced: newly prepared workers take over",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_restart_that_is_asked_for_while_the_first_replica_is_made_needs_no_other() {
    let mut world = World::with_iris();
    world.register("iris", 1);
    world.pass(1).await;
    world.handle.restart(&id("iris", 1)).await.unwrap();
    world.pass(100).await;
    assert_eq!(live(&world), [0]);
    assert_eq!(world.story().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_caller_of_a_replaced_replica_is_cut_off_at_the_drain_deadline() {
    let world = World::with_iris();
    world.register("iris", 1);
    world.pass(10).await;
    let stack = world.enter("iris", &number(1)).unwrap();
    let _caller = stack.target.replicas.current().live[0].enter().unwrap();
    world.handle.restart(&id("iris", 1)).await.unwrap();
    let stops = |world: &World| {
        let calls = world.loader.calls();
        let stops = calls.iter().filter(|call| matches!(call, Call::Stop(..)));
        stops.count()
    };
    world.pass(30).await;
    assert_eq!(stops(&world), 0);
    world.pass(5).await;
    assert_eq!(stops(&world), 1);
}

#[tokio::test(start_paused = true)]
async fn other_words_for_the_loader_replace_the_replicas_and_a_failure_leaves_the_old_ones() {
    let mut world = World::with_iris();
    world.register("iris", 1);
    world.pass(10).await;
    world.story();
    world.prepare(&id("iris", 1), Step::ends(Outcome::FailsForGood));
    let mut words = Settings::default();
    words.loader.insert("env_manager".into(), "conda".into());
    world.enable_with("iris", words.clone());
    world.pass(100).await;
    assert_eq!(world.phase(&id("iris", 1)), "READY");
    assert_eq!(live(&world), [0]);
    // One that crashes meanwhile is loaded from what is known to work.
    world.loader.crash(&id("iris", 1), "killed");
    world.pass(10).await;
    assert_eq!(live(&world), [1]);
    world.prepare(&id("iris", 1), Step::works(1));
    words.loader.insert("env_manager".into(), "uv".into());
    world.enable_with("iris", words);
    world.pass(10).await;
    assert_eq!(live(&world), [2]);
    assert_eq!(
        world.story(),
        [
            "10.0 iris@1 restarting",
            "11.0 iris@1 failed, Permanent: preparing cannot work",
            "110.0 iris@1 replica 0 crashed: killed; next in 1.0 s",
            "112.0 iris@1 replica 1 started",
            "120.0 iris@1 restarting",
            "121.0 iris@1 prepared",
            "122.0 iris@1 replica 2 started",
            "122.0 iris@1 replica 1 replaced: newly prepared workers take over",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn other_settings_take_effect_without_new_replicas() {
    let world = World::with_iris();
    world.register("iris", 1);
    world.pass(10).await;
    world.enable_with("iris", settings(3));
    world.pass(10).await;
    assert_eq!(live(&world), [0, 1, 2]);
    let more = Settings {
        max_queue: 7,
        ..settings(1)
    };
    world.enable_with("iris", more);
    world.pass(10).await;
    assert_eq!(live(&world), [0]);
    let entered = world.enter("iris", &number(1)).unwrap();
    assert_eq!(entered.target.settings.borrow().max_queue, 7);
}

#[tokio::test(start_paused = true)]
async fn recycled_replicas_are_replaced_one_at_a_time_and_the_new_one_comes_first() {
    let mut world = World::with_iris();
    world.enable_with("iris", settings(3));
    world.register("iris", 1);
    world.pass(10).await;
    world.story();
    let entered = world.enter("iris", &number(1)).unwrap();
    for replica in &entered.target.replicas.current().live[..2] {
        replica.recycle("work piles up");
        replica.recycle("asked twice");
    }
    world.pass(10).await;
    assert_eq!(
        world.story(),
        [
            "11.0 iris@1 replica 3 started",
            "11.0 iris@1 replica 0 replaced: work piles up",
            "12.0 iris@1 replica 4 started",
            "12.0 iris@1 replica 1 replaced: work piles up",
        ]
    );
    assert_eq!(live(&world), [2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_its_loader_gives_up_is_replaced_once_another_one_answers() {
    let mut world = World::with_iris();
    world.register("iris", 1);
    world.pass(10).await;
    world.story();
    let caller = world.enter("iris", &number(1)).unwrap();
    assert!(world.loader.give_up(&id("iris", 1), "it used 1.3GB"));
    world.pass(10).await;
    assert_eq!(
        world.story(),
        [
            "11.0 iris@1 replica 1 started",
            "11.0 iris@1 replica 0 replaced: it used 1.3GB",
        ]
    );
    assert_eq!(live(&world), [1]);
    drop(caller);
    assert!(world.loader.give_up(&id("iris", 1), "it used 1.4GB"));
    world.pass(10).await;
    assert_eq!(live(&world), [2], "its successor may be given up, too");
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_loader_is_one_more_transient_failure() {
    let mut world = World::with_iris();
    world.prepare(&id("iris", 1), Step::ends(Outcome::Panics));
    world.register("iris", 1);
    world.register("iris", 2);
    world.pass(2).await;
    world.prepare(&id("iris", 1), Step::works(1));
    world.pass(10).await;
    assert_eq!(
        world.story(),
        [
            "0.0 iris@2 discovered as generation 1",
            "0.0 iris@1 discovered as generation 2",
            "1.0 iris@2 prepared",
            "1.0 iris@1 failed, Transient: An internal fault: preparing panicked",
            "2.0 iris@2 replica 0 started",
            "2.0 iris@2 ready",
            "3.0 iris@1 prepared",
            "4.0 iris@1 replica 0 started",
            "4.0 iris@1 ready",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_an_instance_leaves_the_route_where_it_is() {
    let mut world = World::with_iris();
    world.register("iris", 1);
    world.point("iris", "Production", 1);
    world.pass(10).await;
    world.story();
    world.loader.panic(&id("iris", 1));
    world.pass(2).await;
    assert_eq!(world.ask("iris", &label("Production")), "iris@1 g1");
    world.pass(10).await;
    assert_eq!(
        world.story(),
        [
            "10.0 iris@1 failed, Transient: An internal fault: the exit panicked",
            "12.0 iris@1 prepared",
            "13.0 iris@1 replica 1 started",
            "13.0 iris@1 ready",
        ]
    );
    assert_eq!(live(&world), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_a_second_replica_is_loaded_leaves_the_first_one_alone() {
    let world = World::with_iris();
    world.register("iris", 1);
    world.pass(10).await;
    world.load(&id("iris", 1), Outcome::Panics);
    world.enable_with("iris", settings(2));
    world.pass(2).await;
    assert_eq!(live(&world), [0]);
    world.load(&id("iris", 1), Outcome::Works);
    world.pass(10).await;
    assert_eq!(live(&world).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_restart_that_comes_during_the_shutdown_is_answered() {
    let world = World::with_iris();
    world.register("iris", 1);
    world.pass(10).await;
    let caller = world.enter("iris", &number(1)).unwrap();
    world.shutdown.cancel();
    world.pass(1).await;
    let began = Instant::now();
    assert!(world.handle.restart(&id("iris", 1)).await.is_err());
    assert_eq!(began.elapsed(), Duration::ZERO);
    drop(caller);
}

#[tokio::test(start_paused = true)]
async fn work_that_never_ends_is_given_up_at_its_deadline() {
    let mut world = World::with(ManagerConfig {
        prepare_deadline: Duration::from_secs(60),
        load_deadline: Duration::from_secs(20),
        ..config()
    });
    world.registry(|_| {});
    world.enable("iris");
    world.prepare(&id("iris", 1), Step::ends(Outcome::Hangs));
    world.load(&id("iris", 2), Outcome::Hangs);
    world.register("iris", 1);
    world.register("iris", 2);
    world.pass(61).await;
    let failed: Vec<String> = world
        .story()
        .into_iter()
        .filter(|line| line.contains("failed"))
        .collect();
    assert_eq!(
        failed,
        [
            "21.0 iris@2 failed, Transient: It took longer than 20 s to start, and was given up.",
            "43.0 iris@2 failed, Transient: It took longer than 20 s to start, and was given up.",
            "60.0 iris@1 failed, Transient: It took longer than 60 s to prepare, and was given up.",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_version_that_retires_waits_for_its_callers_until_the_drain_deadline() {
    let mut world = World::with_iris();
    world.register("iris", 1);
    world.register("iris", 2);
    world.pass(10).await;
    world.story();
    let short = world.enter("iris", &number(1)).unwrap();
    let endless = world.enter("iris", &number(2)).unwrap();
    world.disable("iris");
    world.pass(3).await;
    assert_eq!(world.loader.live().len(), 2);
    drop(short);
    world.pass(60).await;
    assert_eq!(
        world.story(),
        [
            "10.0 iris@1 draining",
            "10.0 iris@2 draining",
            "13.0 iris@1 retired",
            "40.0 iris@2 retired, 1 cut off",
        ]
    );
    assert_eq!(world.handle.snapshot().borrow().models.len(), 0);
    drop(endless);
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_dies_while_callers_are_still_inside_is_replaced_for_them() {
    let world = World::with_iris();
    world.register("iris", 1);
    world.pass(10).await;
    let caller = world.enter("iris", &number(1)).unwrap();
    world.disable("iris");
    world.pass(1).await;
    world.loader.crash(&id("iris", 1), "killed");
    world.pass(5).await;
    assert_eq!(caller.target.replicas.current().live.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_drains_everything_in_parallel_and_returns() {
    let mut world = World::with_iris();
    for version in 1..=5 {
        world.register("iris", version);
        world.stop_takes(&id("iris", version), 3);
    }
    world.prepare(&id("iris", 5), Step::ends(Outcome::Hangs));
    world.pass(10).await;
    let caller = world.enter("iris", &number(1)).unwrap();
    let began = Instant::now();
    world.shutdown.cancel();
    world.managers.join_next().await.unwrap().unwrap();
    assert_eq!(began.elapsed().as_secs(), 33);
    assert_eq!(world.loader.live(), []);
    assert_eq!(world.handle.snapshot().borrow().models.len(), 0);
    assert!(world.handle.restart(&id("iris", 1)).await.is_err());
    drop(caller);
}

#[tokio::test(start_paused = true)]
async fn a_full_event_log_stops_nothing() {
    let mut world = World::with_log(config(), Timeline::with_room_for(2));
    world.registry(|_| {});
    world.enable("iris");
    world.register("iris", 1);
    world.pass(10).await;
    assert_eq!(world.ask("iris", &number(1)), "iris@1 g1");
    assert_eq!(world.story().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_step_that_the_loader_names_is_seen_while_it_lasts() {
    let world = World::with_iris();
    world.prepare(&id("iris", 1), Step::works(10));
    world.register("iris", 1);
    world.pass(1).await;
    let step = |world: &World| world.seen(&id("iris", 1)).unwrap().step;
    assert_eq!(step(&world).as_deref(), Some("building"));
    world.pass(20).await;
    assert_eq!(step(&world), None);
}

#[tokio::test(start_paused = true)]
async fn only_what_is_served_can_be_restarted() {
    let world = World::with_iris();
    world.register("iris", 1);
    world.pass(10).await;
    assert!(world.handle.restart(&id("iris", 1)).await.is_ok());
    let error = world.handle.restart(&id("iris", 2)).await.unwrap_err();
    assert_eq!(error.to_string(), "iris@2 is not served");
}

#[tokio::test(start_paused = true)]
async fn a_cached_version_is_served_while_all_places_to_build_are_taken() {
    let world = World::with(ManagerConfig {
        prepare_permits: 2,
        ..config()
    });
    world.registry(|_| {});
    world.enable("iris");
    world.enable("wine");
    for version in 1..=3 {
        world.prepare(&id("iris", version), Step::works(1200));
        world.register("iris", version);
    }
    let cached = Script {
        cached: true,
        ..Script::default()
    };
    world.loader.script(&id("wine", 1), cached);
    world.register("wine", 1);
    world.pass(3).await;
    assert_eq!(world.phase(&id("wine", 1)), "READY");
    let waiting = world.seen(&id("iris", 1)).unwrap();
    assert_eq!(waiting.phase.name(), "BUILDING");
    let step = waiting.step.unwrap();
    assert_eq!(&*step, "waiting for a free place to build");
    world.pass(1200).await;
    let building = world.seen(&id("iris", 1)).unwrap();
    assert_eq!(building.step.as_deref(), Some("building"));
    world.pass(1200).await;
    assert_eq!(world.phase(&id("iris", 1)), "READY");
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_a_place_to_build_does_not_count_against_the_deadline() {
    let mut world = World::with(ManagerConfig {
        prepare_permits: 1,
        prepare_deadline: Duration::from_secs(100),
        ..config()
    });
    world.registry(|_| {});
    world.enable("iris");
    for version in 1..=3 {
        world.prepare(&id("iris", version), Step::works(80));
        world.register("iris", version);
    }
    world.pass(300).await;
    let failed = |line: &String| line.contains("failed");
    assert_eq!(world.story().iter().find(|line| failed(line)), None);
    // The work itself still does.
    world.prepare(&id("iris", 4), Step::works(101));
    world.register("iris", 4);
    world.pass(101).await;
    assert_eq!(world.phase(&id("iris", 4)), "FAILED");
}

#[tokio::test(start_paused = true)]
async fn who_has_caught_up_sees_what_was_wanted_before() {
    let world = World::with_iris();
    for version in 1..=20 {
        world.register("iris", version);
        world.handle.caught_up().await;
        let seen = world.handle.snapshot().borrow().clone();
        assert!(
            seen.models["iris"]
                .versions
                .contains_key(&id("iris", version).version)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_manager_that_is_gone() {
    let mut world = World::with_iris();
    world.shutdown.cancel();
    while world.managers.join_next().await.is_some() {}
    world.handle.caught_up().await;
}
