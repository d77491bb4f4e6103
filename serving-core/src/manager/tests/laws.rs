//! The nine laws of the manager, each as a story with its golden timeline.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::observer::observe;
use super::world::{World, config, id, label, number};
use crate::supervisor::Ended;
use crate::testing::{Call, Outcome, Step, Timeline};
use crate::{Generation, ManagerConfig, Reference, Source, Version, VersionRoute};

#[tokio::test(start_paused = true)]
async fn law_1_omitted_from_aspired_means_retire_and_present_means_never_retired() {
    let mut world = World::with_iris();
    world.register("iris", 1);
    world.register("iris", 2);
    world.pass(10).await;
    world.archive("iris", 1);
    world.pass(10).await;
    world.register("iris", 3);
    world.pass(1000).await;
    assert_eq!(
        world.story(),
        [
            "0.0 iris@2 discovered as generation 1",
            "0.0 iris@1 discovered as generation 2",
            "1.0 iris@2 prepared",
            "1.0 iris@1 prepared",
            "2.0 iris@2 replica 0 started",
            "2.0 iris@1 replica 0 started",
            "2.0 iris@1 ready",
            "2.0 iris@2 ready",
            "10.0 iris@1 draining",
            "10.0 iris@1 retired",
            "20.0 iris@3 discovered as generation 3",
            "21.0 iris@3 prepared",
            "22.0 iris@3 replica 0 started",
            "22.0 iris@3 ready",
        ]
    );
    assert_eq!(world.ask("iris", &[Reference::Latest]), "iris@3 g3");
    assert_eq!(world.ask("iris", &number(2)), "iris@2 g1");
    assert_eq!(
        world.ask("iris", &number(1)),
        "the model has no such version or label"
    );
}

#[tokio::test(start_paused = true)]
async fn law_2_a_registry_that_sends_nothing_changes_nothing() {
    let mut world = World::new();
    world.enable("iris");
    world.pass(10).await;
    assert_eq!(world.handle.snapshot().borrow().models.len(), 0);
    // The value that was stored before the last shutdown is all that is ever sent.
    world.register("iris", 1);
    world.pass(10).await;
    let (aspired, _) = tokio::sync::watch::channel(None);
    drop(std::mem::replace(&mut world.aspired, aspired));
    world.pass(3000).await;
    assert_eq!(world.ask("iris", &number(1)), "iris@1 g1");
    // People are obeyed all the same.
    world.disable("iris");
    world.pass(1).await;
    assert_eq!(
        world.story(),
        [
            "10.0 iris@1 discovered as generation 1",
            "11.0 iris@1 prepared",
            "12.0 iris@1 replica 0 started",
            "12.0 iris@1 ready",
            "3020.0 iris@1 draining",
            "3020.0 iris@1 retired",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn law_3_an_unreadable_version_is_failed_and_a_running_instance_of_it_is_kept() {
    let mut world = World::with_iris();
    let unreadable = || Source::Unreadable("no such bucket".into());
    world.register("iris", 1);
    world.register_as("iris", 2, "first", unreadable());
    world.pass(10).await;
    world.register_as("iris", 1, "first", unreadable());
    world.pass(100).await;
    assert_eq!(
        world.story(),
        [
            "0.0 iris@2 discovered as generation 1",
            "0.0 iris@1 discovered as generation 2",
            "0.0 iris@2 failed, Permanent: no such bucket",
            "1.0 iris@1 prepared",
            "2.0 iris@1 replica 0 started",
            "2.0 iris@1 ready",
        ]
    );
    assert_eq!(world.phase(&id("iris", 1)), "READY");
    assert_eq!(world.phase(&id("iris", 2)), "FAILED");
    assert_eq!(world.ask("iris", &number(1)), "iris@1 g2");
    // It is not only kept: it is kept alive.
    world.loader.crash(&id("iris", 1), "exit code 1");
    world.pass(10).await;
    assert_eq!(
        world.story(),
        [
            "110.0 iris@1 replica 0 crashed: exit code 1; next in 1.0 s",
            "112.0 iris@1 replica 1 started",
        ]
    );
    // New workers come from where the old ones came from.
    world.handle.restart(&id("iris", 1)).await.unwrap();
    world.pass(10).await;
    assert_eq!(world.seen(&id("iris", 1)).unwrap().replicas, 1);
    assert_eq!(world.loader.violations(), Vec::<String>::new());
    // Once it can be read it is tried.
    world.register("iris", 2);
    world.pass(10).await;
    assert_eq!(world.phase(&id("iris", 2)), "READY");
}

#[tokio::test(start_paused = true)]
async fn law_4_build_load_and_drain_never_hold_up_the_manager() {
    let mut world = World::with_iris();
    world.prepare(&id("iris", 1), Step::ends(Outcome::Hangs));
    world.load(&id("iris", 2), Outcome::Hangs);
    world.stop_takes(&id("iris", 3), 20);
    for version in [1, 2, 3] {
        world.register("iris", version);
    }
    world.pass(10).await;
    let caller = world.enter("iris", &number(3)).unwrap();
    world.archive("iris", 3);
    world.pass(1).await;
    world.story();
    world.register("iris", 4);
    world.pass(3).await;
    assert_eq!(
        world.story(),
        [
            "11.0 iris@4 discovered as generation 4",
            "12.0 iris@4 prepared",
            "13.0 iris@4 replica 0 started",
            "13.0 iris@4 ready",
        ]
    );
    assert_eq!(world.phase(&id("iris", 1)), "BUILDING");
    assert_eq!(world.phase(&id("iris", 2)), "STARTING");
    assert_eq!(world.phase(&id("iris", 3)), "DRAINING");
    drop(caller);
}

#[tokio::test(start_paused = true)]
async fn law_5_ready_is_published_after_the_table_holds_it_and_draining_before_it_drops_it() {
    let (mut manager, mut world) = World::without_manager(config(), Timeline::new());
    world.registry(|_| {});
    world.enable("iris");
    world.register("iris", 2);
    manager.reconcile();
    world.pass(5).await;
    manager.reconcile();
    world.story();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&seen);
    observe(&world.handle, move |snapshot, table| {
        let routes = table.models.get("iris");
        let route = routes.and_then(|routes| routes.versions.get(&Version(1)));
        let reach = match route {
            Some(VersionRoute::Reachable(_)) => "in reach",
            _ => "out of reach",
        };
        let labels = routes.map(|routes| &routes.labels);
        let mut labels = labels.into_iter().flat_map(BTreeMap::values);
        let label = if labels.any(|label| label.current.is_some()) {
            ", with its label"
        } else {
            ""
        };
        let model = snapshot.models.get("iris");
        let version = model.and_then(|model| model.versions.get(&Version(1)));
        let phase = version.map_or("gone", |version| version.phase.name());
        let line = format!("{phase}, {reach}{label}");
        let mut lines = lines.lock().unwrap();
        if lines.last() != Some(&line) {
            lines.push(line);
        }
    });
    world.register("iris", 1);
    world.point("iris", "Production", 1);
    manager.reconcile();
    world.pass(5).await;
    // One gets ready while another one has to go, and one pass finds both.
    world.archive("iris", 2);
    manager.reconcile();
    assert_eq!(
        world.story(),
        [
            "5.0 iris@1 discovered as generation 2",
            "6.0 iris@1 prepared",
            "7.0 iris@1 replica 0 started",
            "10.0 iris@2 draining",
            "10.0 iris@1 ready",
            "10.0 iris@1 Production moved from nowhere to 1",
        ]
    );
    world.disable("iris");
    manager.reconcile();
    assert_eq!(
        *seen.lock().unwrap(),
        [
            "PENDING, out of reach",
            "READY, in reach, with its label",
            "DRAINING, in reach, with its label",
            "DRAINING, out of reach",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn law_6_a_label_moves_only_to_a_ready_version_and_protects_its_target_until_then() {
    let mut world = World::with_iris();
    world.register("iris", 1);
    world.point("iris", "Production", 1);
    world.pass(10).await;
    world.story();
    // Promoted, the old one archived in the same moment; the new one takes two tries to come up.
    world.load(&id("iris", 2), Outcome::FailsForNow);
    world.register("iris", 2);
    world.archive("iris", 1);
    world.point("iris", "Production", 2);
    world.pass(2).await;
    world.load(&id("iris", 2), Outcome::Works);
    assert_eq!(world.ask("iris", &label("Production")), "iris@1 g1");
    world.pass(10).await;
    assert_eq!(world.ask("iris", &label("Production")), "iris@2 g2");
    assert_eq!(
        world.story(),
        [
            "10.0 iris@2 discovered as generation 2",
            "11.0 iris@2 prepared",
            "12.0 iris@2 failed, Transient: starting did not work",
            "14.0 iris@2 prepared",
            "15.0 iris@2 replica 1 started",
            "15.0 iris@2 ready",
            "15.0 iris@2 Production moved from 1 to 2",
            "15.0 iris@1 draining",
            "15.0 iris@1 retired",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn law_6_a_label_whose_target_is_unknown_unreadable_or_failed_stays_where_it_is() {
    let mut world = World::with_iris();
    world.register("iris", 1);
    world.point("iris", "@champion", 1);
    world.pass(10).await;
    world.archive("iris", 1);
    world.load(&id("iris", 2), Outcome::FailsForGood);
    world.register("iris", 2);
    world.register_as("iris", 3, "first", Source::Unreadable("gone".into()));
    world.story();
    for target in [2, 3, 77] {
        world.point("iris", "@champion", target);
        world.pass(100).await;
        assert_eq!(world.ask("iris", &label("@champion")), "iris@1 g1");
    }
    // Once nobody wants the label, it goes, and with it the version that it protected.
    world.story();
    world.model("iris", |model| model.labels.clear());
    world.pass(1).await;
    assert_eq!(
        world.story(),
        [
            "310.0 iris@1 draining",
            "310.0 iris @champion moved from 1 to nowhere",
            "310.0 iris@1 retired",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn law_6_a_label_does_not_move_to_a_version_whose_replica_has_just_died() {
    let mut world = World::with_iris();
    world.register("iris", 7);
    world.register("iris", 8);
    world.point("iris", "Production", 7);
    world.pass(10).await;
    world.story();
    world.loader.crash(&id("iris", 8), "killed");
    world.load(&id("iris", 8), Outcome::Hangs);
    world.pass(10).await;
    world.point("iris", "Production", 8);
    world.archive("iris", 7);
    world.pass(10).await;
    assert_eq!(world.ask("iris", &label("Production")), "iris@7 g1");
    world.load(&id("iris", 8), Outcome::Works);
    world.pass(400).await;
    assert_eq!(
        world.story(),
        [
            "10.0 iris@8 replica 0 crashed: killed; next in 1.0 s",
            "371.0 iris@8 replica 1 crashed: could not be started: It took longer than 360 s to start, and was given up.; next in 1.0 s",
            "371.0 iris@8 failed, Transient: It took longer than 360 s to start, and was given up.",
            "373.0 iris@8 replica 2 started",
            "373.0 iris@8 ready",
            "373.0 iris@8 Production moved from 7 to 8",
            "373.0 iris@7 draining",
            "373.0 iris@7 retired",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn law_7_wanted_again_while_draining_waits_and_starts_a_new_generation() {
    let mut world = World::with_iris();
    world.register("iris", 1);
    world.stop_takes(&id("iris", 1), 2);
    world.pass(10).await;
    world.story();
    let caller = world.enter("iris", &number(1)).unwrap();
    world.disable("iris");
    world.pass(1).await;
    assert_eq!(world.ask("iris", &number(1)), "the model is not served");
    world.enable("iris");
    world.pass(4).await;
    assert_eq!(world.phase(&id("iris", 1)), "DRAINING");
    assert_eq!(
        world.ask("iris", &number(1)),
        "version 1 is not ready: PENDING"
    );
    drop(caller);
    world.pass(10).await;
    assert_eq!(
        world.story(),
        [
            "10.0 iris@1 draining",
            "17.0 iris@1 retired",
            "17.0 iris@1 discovered as generation 2",
            "18.0 iris@1 prepared",
            "19.0 iris@1 replica 0 started",
            "19.0 iris@1 ready",
        ]
    );
    assert_eq!(world.ask("iris", &number(1)), "iris@1 g2");
    assert_eq!(world.loader.violations(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn law_7_what_an_older_generation_reports_is_ignored() {
    let (mut manager, mut world) = World::without_manager(config(), Timeline::new());
    world.registry(|_| {});
    world.enable("iris");
    world.register("iris", 1);
    manager.reconcile();
    world.pass(5).await;
    world.story();
    manager.bury(Ok(Ended {
        id: id("iris", 1),
        generation: Generation(0),
        abandoned: 0,
    }));
    manager.reconcile();
    assert_eq!(world.ask("iris", &number(1)), "iris@1 g1");
    assert_eq!(world.story(), ["5.0 iris@1 ready"]);
}

#[tokio::test(start_paused = true)]
async fn law_8_permanent_errors_wait_for_a_change_and_transient_ones_back_off() {
    let mut world = World::with_iris();
    world.prepare(&id("iris", 1), Step::ends(Outcome::FailsForGood));
    world.prepare(&id("iris", 2), Step::ends(Outcome::FailsForNow));
    world.register("iris", 1);
    world.register("iris", 2);
    world.pass(20).await;
    assert_eq!(
        world.story(),
        [
            "0.0 iris@2 discovered as generation 1",
            "0.0 iris@1 discovered as generation 2",
            "1.0 iris@2 failed, Transient: preparing did not work",
            "1.0 iris@1 failed, Permanent: preparing cannot work",
            "3.0 iris@2 failed, Transient: preparing did not work",
            "6.0 iris@2 failed, Transient: preparing did not work",
            "11.0 iris@2 failed, Transient: preparing did not work",
        ]
    );
    world.archive("iris", 2);
    world.pass(3000).await;
    world.story();
    // Changes that give it another chance: where it is, how it is loaded, a person's wish.
    world.register_as("iris", 1, "first", Source::Readable("elsewhere".into()));
    world.pass(10).await;
    let mut settings = crate::Settings::default();
    settings
        .loader
        .insert("env_manager".to_owned(), "uv".to_owned());
    world.enable_with("iris", settings);
    world.pass(10).await;
    world.prepare(&id("iris", 1), Step::works(1));
    world.handle.restart(&id("iris", 1)).await.unwrap();
    world.pass(10).await;
    assert_eq!(
        world.story(),
        [
            "3021.0 iris@1 failed, Permanent: preparing cannot work",
            "3031.0 iris@1 failed, Permanent: preparing cannot work",
            "3041.0 iris@1 prepared",
            "3042.0 iris@1 replica 0 started",
            "3042.0 iris@1 ready",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn law_8_crash_loops_have_a_budget_and_the_route_stays() {
    let mut world = World::with_iris();
    world.register("iris", 1);
    world.pass(3).await;
    world.story();
    for _ in 0..6 {
        world.loader.crash(&id("iris", 1), "exit code 1");
        world.pass(20).await;
    }
    assert_eq!(world.phase(&id("iris", 1)), "FAILED");
    let entered = world.enter("iris", &number(1)).unwrap();
    let failure = entered.target.replicas.current().failure.clone().unwrap();
    assert_eq!(failure.attempts, 6);
    drop(entered);
    world.pass(600).await;
    assert_eq!(world.phase(&id("iris", 1)), "READY");
    assert_eq!(world.ask("iris", &number(1)), "iris@1 g1");
    assert_eq!(
        world.story(),
        [
            "3.0 iris@1 replica 0 crashed: exit code 1; next in 1.0 s",
            "5.0 iris@1 replica 1 started",
            "23.0 iris@1 replica 1 crashed: exit code 1; next in 2.0 s",
            "26.0 iris@1 replica 2 started",
            "43.0 iris@1 replica 2 crashed: exit code 1; next in 4.0 s",
            "48.0 iris@1 replica 3 started",
            "63.0 iris@1 replica 3 crashed: exit code 1; next in 8.0 s",
            "72.0 iris@1 replica 4 started",
            "83.0 iris@1 replica 4 crashed: exit code 1; next in 16.0 s",
            "100.0 iris@1 replica 5 started",
            "103.0 iris@1 replica 5 crashed: exit code 1; next in 300.0 s",
            "103.0 iris@1 failed, CrashLoop: It died 6 times, with no healthy run between. exit code 1",
            "404.0 iris@1 prepared",
            "405.0 iris@1 replica 6 started",
            "405.0 iris@1 ready",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn law_9_permits_bound_what_runs_and_a_persons_request_goes_before_housekeeping() {
    let mut world = World::with(ManagerConfig {
        prepare_permits: 1,
        ..config()
    });
    world.registry(|_| {});
    world.enable("iris");
    world.pass(1).await;
    for version in 1..=4 {
        world.register("iris", version);
        world.prepare(&id("iris", version), Step::works(10));
    }
    world.point("iris", "Production", 2);
    world.register("wine", 1);
    world.pass(1).await;
    world.enable("wine");
    world.pass(100).await;
    let prepared: Vec<String> = world
        .story()
        .into_iter()
        .filter(|line| line.ends_with("prepared"))
        .collect();
    // What has a label before the newest, and the newest before older ones; the person passes them all.
    assert_eq!(
        prepared,
        [
            "11.0 iris@2 prepared",
            "12.0 wine@1 prepared",
            "22.0 iris@4 prepared",
            "32.0 iris@3 prepared",
            "42.0 iris@1 prepared",
        ]
    );
    let began = world
        .loader
        .calls()
        .into_iter()
        .filter(|call| matches!(call, Call::Prepare(..)));
    assert_eq!(began.count(), 5);
}
