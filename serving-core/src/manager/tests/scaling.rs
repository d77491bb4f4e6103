//! Versions whose replicas come and go with their callers: grown, shrunk, asleep, woken.

use std::time::Duration;

use super::world::{Stack, World, id, label, number};
use crate::testing::{Call, Outcome, Script, Step};
use crate::{Entered, Failure, Phase, ReplicaRange, Settings, Takeover};

fn from(least: u32, most: u32) -> Settings {
    Settings {
        replicas: ReplicaRange::new(least, most).unwrap(),
        scale_down_after: Duration::from_secs(60),
        ..Settings::default()
    }
}

/// A world in which version 1 of `iris` serves since second 2; its story is read.
async fn serving(settings: Settings) -> World {
    let mut world = World::with_iris();
    world.enable_with("iris", settings);
    world.register("iris", 1);
    world.pass(10).await;
    world.story();
    world
}

/// Everything happens that needs no time.
async fn moment() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// A caller, who says what a stack would say for it.
fn call(world: &World) -> Entered<Stack> {
    let entered = world.enter("iris", &number(1)).unwrap();
    let replicas = &entered.target.replicas;
    replicas.demand().came();
    if replicas.current().live.is_empty() {
        replicas.demand().found_nobody();
    }
    entered
}

fn live(world: &World) -> usize {
    let entered = world.enter("iris", &number(1)).unwrap();
    entered.target.replicas.current().live.len()
}

fn failure(world: &World) -> Option<Failure> {
    let entered = world.enter("iris", &number(1)).unwrap();
    entered.target.replicas.current().failure.clone()
}

/// State, replicas that answer, replicas that are wanted, whether it sleeps.
fn seen(world: &World) -> (&'static str, u32, u32, bool) {
    let seen = world.seen(&id("iris", 1)).unwrap();
    let phase = Phase::name(&seen.phase);
    (phase, seen.replicas, seen.replicas_wanted, seen.asleep)
}

fn loads(world: &World) -> usize {
    let is_load = |call: &&Call| matches!(call, Call::Load(..));
    world.loader.calls().iter().filter(is_load).count()
}

fn scripted(load: Step) -> Script {
    Script {
        load,
        ..Script::default()
    }
}

#[tokio::test(start_paused = true)]
async fn it_grows_while_callers_wait_and_shrinks_when_fewer_would_do() {
    let mut world = serving(from(1, 3)).await;
    let callers: Vec<_> = (0..20).map(|_| call(&world)).collect();
    {
        let target = &callers[0].target;
        let waiting: Vec<_> = (0..12).map(|_| target.replicas.demand().waits()).collect();
        world.pass(1).await;
        assert_eq!(seen(&world), ("READY", 1, 2, false));
        let renewing = || world.seen(&id("iris", 1)).unwrap().renewing;
        assert!(!renewing(), "what callers ask for is waited for by nobody");
        world.pass(3).await;
        assert_eq!(seen(&world), ("READY", 3, 3, false));
        drop(waiting);
    }
    world.pass(100).await;
    assert_eq!(live(&world), 3, "20 callers need places of 3 replicas");
    drop(callers);
    world.pass(59).await;
    assert_eq!(live(&world), 3);
    world.pass(5).await;
    assert_eq!(seen(&world), ("READY", 1, 1, false));
    assert_eq!(
        world.story(),
        [
            "10.2 iris@1 scaled from 1 to 2: 12 requests waited, and all places stayed taken",
            "11.2 iris@1 replica 1 started",
            "11.5 iris@1 scaled from 2 to 3: 12 requests waited, and all places stayed taken",
            "12.5 iris@1 replica 2 started",
            "173.6 iris@1 scaled from 3 to 1: 1 would have had places enough for the last 60 s",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn only_the_first_who_waits_wakes_the_supervisor_and_nobody_where_nothing_could_follow() {
    let world = serving(from(1, 2)).await;
    let caller = call(&world);
    let demand = caller.target.replicas.demand();
    assert!(demand.is_listened_to());
    let first = demand.waits();
    moment().await;
    let pressed = [demand.waits(), demand.waits()];
    assert!(
        !demand.is_listened_to(),
        "it looks by itself while they wait"
    );
    world.pass(1).await;
    assert_eq!(seen(&world), ("READY", 1, 2, false));
    assert!(!demand.is_listened_to(), "another one is on its way");
    world.pass(3).await;
    assert_eq!(seen(&world), ("READY", 2, 2, false));
    drop((first, pressed));
    world.pass(30).await;
    assert!(!demand.is_listened_to(), "there may be no more");
    world.pass(40).await;
    assert_eq!(seen(&world), ("READY", 1, 1, false));
    assert!(demand.is_listened_to());
    let _again = demand.waits();
    world.pass(3).await;
    assert_eq!(seen(&world), ("READY", 2, 2, false));
}

#[tokio::test(start_paused = true)]
async fn the_least_busy_replica_goes_and_its_callers_end_in_peace() {
    let world = serving(from(1, 2)).await;
    {
        let caller = call(&world);
        let _waiting = caller.target.replicas.demand().waits();
        world.pass(3).await;
    }
    let entered = world.enter("iris", &number(1)).unwrap();
    let set = entered.target.replicas.current();
    let _busy = [set.live[1].enter().unwrap(), set.live[1].enter().unwrap()];
    let idler = set.live[0].enter().unwrap();
    world.pass(70).await;
    assert_eq!(entered.target.replicas.current().live[0].id.0, 1);
    assert_eq!(world.loader.alive(), 2, "one still has a caller");
    drop(idler);
    world.pass(1).await;
    assert_eq!(world.loader.alive(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_too_many_answers_for_as_long_as_a_request_may_take() {
    let timeout = Duration::from_secs(200);
    let world = serving(Settings {
        timeout,
        ..from(1, 2)
    })
    .await;
    {
        let caller = call(&world);
        let _waiting = caller.target.replicas.demand().waits();
        world.pass(3).await;
    }
    let entered = world.enter("iris", &number(1)).unwrap();
    let set = entered.target.replicas.current();
    let _slow = [set.live[0].enter().unwrap(), set.live[1].enter().unwrap()];
    world.pass(70).await;
    assert_eq!(live(&world), 1);
    world.pass(180).await;
    assert_eq!(world.loader.alive(), 2, "longer than a restart would wait");
    world.pass(20).await;
    assert_eq!(world.loader.alive(), 1);
}

#[tokio::test(start_paused = true)]
async fn it_sleeps_when_nobody_comes_and_the_first_caller_wakes_it() {
    let mut world = serving(from(0, 2)).await;
    world.point("iris", "Production", 1);
    world.pass(30).await;
    drop(call(&world));
    world.pass(58).await;
    assert_eq!(live(&world), 1);
    world.pass(5).await;
    assert_eq!(seen(&world), ("READY", 0, 0, true));
    assert_eq!(world.loader.alive(), 0);
    assert_eq!(world.ask("iris", &label("Production")), "iris@1 g1");
    world.pass(10_000).await;
    let callers: Vec<_> = (0..32).map(|_| call(&world)).collect();
    moment().await;
    assert_eq!(seen(&world), ("READY", 0, 1, true));
    let renewing = world.seen(&id("iris", 1)).unwrap().renewing;
    assert!(!renewing);
    world.pass(3).await;
    assert_eq!(seen(&world), ("READY", 1, 1, false));
    assert_eq!(loads(&world), 2);
    drop(callers);
    assert_eq!(
        world.story(),
        [
            "10.0 iris@1 Production moved from nowhere to 1",
            "100.4 iris@1 asleep after 60.0 s",
            "10104.0 iris@1 replica 1 started",
            "10104.0 iris@1 woken in 1.0 s",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_version_is_loaded_once_before_it_may_sleep_and_labels_move_to_it_asleep() {
    let mut world = serving(from(0, 1)).await;
    world.point("iris", "Production", 1);
    world.register("iris", 2);
    world.prepare(&id("iris", 2), Step::works(200));
    world.pass(100).await;
    assert_eq!(world.phase(&id("iris", 2)), "BUILDING");
    world.point("iris", "Production", 2);
    world.pass(50).await;
    assert_eq!(world.ask("iris", &label("Production")), "iris@1 g1");
    world.archive("iris", 1);
    world.pass(10).await;
    assert_eq!(seen(&world), ("READY", 0, 0, true), "the label protects it");
    world.pass(300).await;
    assert_eq!(world.ask("iris", &label("Production")), "iris@2 g2");
    assert_eq!(
        world.ask("iris", &number(1)),
        "the model has no such version or label"
    );
    world.register("iris", 3);
    world.pass(200).await;
    world.story();
    world.point("iris", "Production", 3);
    world.pass(1).await;
    assert!(world.seen(&id("iris", 3)).unwrap().asleep);
    assert_eq!(
        world.story(),
        ["670.0 iris@3 Production moved from 2 to 3"],
        "one that sleeps is ready"
    );
}

#[tokio::test(start_paused = true)]
async fn a_wake_that_fails_is_told_and_tried_again_after_its_pause_only_for_who_comes() {
    let mut world = serving(from(0, 1)).await;
    world.pass(100).await;
    world.story();
    let before = loads(&world);
    let load = Step::ends(Outcome::FailsForNow);
    world.loader.script(&id("iris", 1), scripted(load));
    let caller = call(&world);
    world.pass(1).await;
    moment().await;
    let told = failure(&world).unwrap();
    assert_eq!((told.attempts, told.next_try.is_some()), (1, true));
    assert_eq!(seen(&world), ("FAILED", 0, 1, false));
    drop(caller);
    // This one wants another try.
    drop(call(&world));
    world.pass(2).await;
    assert_eq!(failure(&world).unwrap().attempts, 2);
    world.pass(10_000).await;
    assert_eq!(loads(&world), before + 2, "nobody has come");
    assert_eq!(seen(&world), ("FAILED", 0, 0, true));
    assert!(failure(&world).is_none(), "who comes waits for a try");
    let Phase::Failed(shown) = world.seen(&id("iris", 1)).unwrap().phase else {
        panic!("it is shown as failed");
    };
    assert!(shown.next_try.is_none());
    drop(call(&world));
    world.pass(20).await;
    assert_eq!(failure(&world), None);
    world
        .loader
        .script(&id("iris", 1), scripted(Step::works(1)));
    let _caller = call(&world);
    world.pass(2).await;
    assert_eq!(seen(&world), ("READY", 1, 1, false));
    assert_eq!(
        world.story(),
        [
            "111.0 iris@1 replica 1 crashed: could not be started: starting did not work; next in 1.0 s",
            "111.0 iris@1 failed, Transient: starting did not work",
            "113.0 iris@1 replica 2 crashed: could not be started: starting did not work; next in 2.0 s",
            "113.0 iris@1 failed, Transient: starting did not work",
            "10114.0 iris@1 replica 3 crashed: could not be started: starting did not work; next in 4.0 s",
            "10114.0 iris@1 failed, Transient: starting did not work",
            "10134.0 iris@1 replica 4 started",
            "10134.0 iris@1 woken in 1.0 s",
            "10134.0 iris@1 ready",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn one_that_failed_to_wake_and_sleeps_is_tried_once_when_a_person_changes_something() {
    for takeover in [
        Takeover::AvailabilityPreserving,
        Takeover::ResourcePreserving,
    ] {
        let mut settings = Settings {
            takeover,
            ..from(0, 1)
        };
        let mut world = serving(settings.clone()).await;
        world.pass(100).await;
        let fails = Step::ends(Outcome::FailsForNow);
        world.loader.script(&id("iris", 1), scripted(fails));
        drop(call(&world));
        world.pass(100).await;
        assert_eq!(seen(&world), ("FAILED", 0, 0, true));
        world.story();
        let mut loaded = loads(&world);
        for (limit, load, phase) in [("1", fails, "FAILED"), ("2", Step::works(1), "READY")] {
            world.loader.script(&id("iris", 1), scripted(load));
            settings.loader.insert("memory_limit".into(), limit.into());
            world.enable_with("iris", settings.clone());
            moment().await;
            let mut renewing = 0;
            while world.seen(&id("iris", 1)).unwrap().renewing {
                world.pass(1).await;
                renewing += 1;
            }
            assert!(renewing > 0);
            loaded += 1;
            assert_eq!(world.phase(&id("iris", 1)), phase, "{takeover:?}");
            assert_eq!(loads(&world), loaded);
            world.pass(300).await;
            assert_eq!(seen(&world), (phase, 0, 0, true));
            assert_eq!(loads(&world), loaded, "nobody calls");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_dies_right_after_it_woke_is_started_again_like_any_other() {
    let mut world = serving(from(0, 1)).await;
    world.pass(100).await;
    world.story();
    let _caller = call(&world);
    world.pass(2).await;
    world.loader.crash(&id("iris", 1), "killed");
    world.pass(4).await;
    assert_eq!(seen(&world), ("READY", 1, 1, false));
    assert_eq!(
        world.story(),
        [
            "111.0 iris@1 replica 1 started",
            "111.0 iris@1 woken in 1.0 s",
            "112.0 iris@1 replica 1 crashed: killed; next in 1.0 s",
            "114.0 iris@1 replica 2 started",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn one_that_dies_over_and_over_and_that_nobody_calls_falls_asleep() {
    let mut world = serving(Settings {
        scale_down_after: Duration::from_secs(20),
        ..from(0, 1)
    })
    .await;
    world.pass(100).await;
    drop(call(&world));
    world.pass(2).await;
    world.story();
    let mut crashes = 0;
    while !world.seen(&id("iris", 1)).unwrap().asleep {
        if live(&world) > 0 {
            world.loader.crash(&id("iris", 1), "killed");
            crashes += 1;
        }
        world.pass(1).await;
        assert!(crashes < 20);
    }
    assert!(crashes > 1, "somebody came a moment ago");
    assert_eq!(
        seen(&world),
        ("READY", 0, 0, true),
        "after {crashes} crashes"
    );
    let loaded = loads(&world);
    world.pass(10_000).await;
    assert_eq!(loads(&world), loaded);
    let story = world.story();
    assert!(
        story.last().unwrap().contains("iris@1 asleep after "),
        "{story:?}"
    );
    let _caller = call(&world);
    world.pass(3).await;
    assert_eq!(seen(&world), ("READY", 1, 1, false));
}

#[tokio::test(start_paused = true)]
async fn one_that_sleeps_is_retired_at_once_and_nothing_is_started_for_it() {
    let mut world = serving(from(0, 1)).await;
    world.pass(100).await;
    world.story();
    let before = loads(&world);
    world.archive("iris", 1);
    world.pass(1).await;
    assert_eq!(
        world.story(),
        ["110.0 iris@1 draining", "110.0 iris@1 retired"]
    );
    assert_eq!(loads(&world), before);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_one_that_is_retired_while_it_wakes_gets_it_before_it_goes() {
    let world = serving(from(0, 1)).await;
    world.pass(100).await;
    let caller = call(&world);
    world.archive("iris", 1);
    world.pass(2).await;
    assert_eq!(caller.target.replicas.current().live.len(), 1);
    drop(caller);
    world.pass(1).await;
    assert_eq!(world.loader.alive(), 0);
    assert_eq!(world.phase(&id("iris", 1)), "-");
}

#[tokio::test(start_paused = true)]
async fn one_that_sleeps_stays_asleep_through_a_restart_and_wakes_as_the_new_edition() {
    for takeover in [
        Takeover::AvailabilityPreserving,
        Takeover::ResourcePreserving,
    ] {
        let settings = Settings {
            takeover,
            ..from(0, 1)
        };
        let mut world = serving(settings.clone()).await;
        world.pass(100).await;
        world.story();
        let mut words = settings;
        words.loader.insert("memory_limit".into(), "1".into());
        world.enable_with("iris", words.clone());
        world.pass(1).await;
        assert!(world.seen(&id("iris", 1)).unwrap().renewing);
        world.pass(10).await;
        assert_eq!(seen(&world), ("READY", 0, 0, true));
        assert!(!world.seen(&id("iris", 1)).unwrap().renewing);
        assert_eq!(
            world.story(),
            ["110.0 iris@1 restarting", "111.0 iris@1 prepared"]
        );
        let caller = call(&world);
        world.pass(3).await;
        let set = caller.target.replicas.current();
        assert_eq!(set.live[0].servable.spec.settings.loader, words.loader);
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_that_is_overtaken_by_a_caller_ends_with_one_replica_of_the_new_edition() {
    let world = serving(from(0, 1)).await;
    world.pass(100).await;
    world.prepare(&id("iris", 1), Step::works(20));
    let mut words = from(0, 1);
    words.loader.insert("env_manager".into(), "uv".into());
    world.enable_with("iris", words.clone());
    world.pass(1).await;
    let caller = call(&world);
    world.pass(3).await;
    assert_eq!(live(&world), 1, "callers do not wait for that");
    world.pass(30).await;
    let set = caller.target.replicas.current();
    let now: Vec<_> = set
        .live
        .iter()
        .map(|one| &one.servable.spec.settings.loader)
        .collect();
    assert_eq!(now, [&words.loader]);
}

#[tokio::test(start_paused = true)]
async fn other_numbers_wake_it_grow_it_and_end_its_sleep_for_good() {
    let world = serving(from(0, 1)).await;
    world.pass(100).await;
    world.enable_with("iris", from(2, 3));
    moment().await;
    assert!(world.seen(&id("iris", 1)).unwrap().renewing);
    world.pass(200).await;
    assert_eq!(seen(&world), ("READY", 2, 2, false));
    world.enable_with("iris", from(1, 1));
    world.pass(200).await;
    assert_eq!(seen(&world), ("READY", 1, 1, false));
    world.enable_with("iris", from(0, 1));
    world.pass(200).await;
    assert_eq!(seen(&world), ("READY", 0, 0, true));
}

#[tokio::test(start_paused = true)]
async fn one_more_that_cannot_be_started_leaves_the_others_and_goes_out_of_mind_when_not_needed() {
    let mut world = serving(from(1, 2)).await;
    let load = Step::ends(Outcome::FailsForNow);
    world.loader.script(&id("iris", 1), scripted(load));
    {
        let caller = call(&world);
        let _waiting = caller.target.replicas.demand().waits();
        world.pass(20).await;
        assert_eq!(seen(&world), ("READY", 1, 2, false));
    }
    world.loader.crash(&id("iris", 1), "killed");
    world
        .loader
        .script(&id("iris", 1), scripted(Step::works(1)));
    world.pass(40).await;
    assert_eq!(seen(&world), ("READY", 2, 2, false));
    world.pass(60).await;
    assert_eq!(seen(&world), ("READY", 1, 1, false));
    let story = world.story();
    let scaled = story.iter().filter(|line| line.contains("scaled"));
    assert_eq!(scaled.count(), 2, "{story:?}");
}

#[tokio::test(start_paused = true)]
async fn callers_that_keep_coming_keep_it_awake() {
    let world = serving(from(0, 1)).await;
    for _ in 0..100 {
        world.pass(40).await;
        drop(call(&world));
    }
    assert_eq!(loads(&world), 1);
    let _slow = call(&world);
    world.pass(1_000).await;
    assert_eq!(live(&world), 1, "one that is answered for long counts");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_retired_while_its_callers_are_looked_at_waits_for_them_in_peace() {
    let mut world = serving(from(0, 3)).await;
    let _caller = call(&world);
    world.archive("iris", 1);
    world.pass(1_000).await;
    assert_eq!(
        world.story(),
        ["10.0 iris@1 draining", "40.0 iris@1 retired, 1 cut off"]
    );
}
