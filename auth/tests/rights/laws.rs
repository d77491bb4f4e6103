//! How long answers count, and how seldom the registry is asked, under paused time.

use std::sync::Arc;
use std::time::Duration;

use auth::{InheritedConfig, MlflowPermission, MlflowUsers, Right, RightsError};
use tokio::task::JoinSet;
use tokio::time::{Instant, advance, sleep};

use crate::fake::{FakeMlflow, Generation, LATENCY, Mood};
use crate::gateway::{BOTH, By, GENERATIONS, Gateway, account, over};

const READ: Option<Right> = Some(Right::Read);

fn server() -> Arc<FakeMlflow> {
    Arc::new(FakeMlflow::new(Generation::New))
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn a_cached_callers_check_costs_no_call_and_no_time() {
    for generation in GENERATIONS {
        for by in BOTH {
            let server = Arc::new(FakeMlflow::new(generation));
            let gateway = over(&server).await;
            let caller = gateway.caller(by, "reader").await;
            assert_eq!(gateway.right(&caller, "m1").await, Ok(READ));
            server.calls();
            let start = Instant::now();
            for _ in 0..1_000 {
                let caller = gateway.caller(by, "reader").await;
                assert_eq!(gateway.right(&caller, "m1").await, Ok(READ));
            }
            assert_eq!(server.calls(), [""; 0], "{generation:?} {by:?}");
            assert_eq!(start.elapsed(), Duration::ZERO);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn simultaneous_first_questions_are_one() {
    for by in BOTH {
        let server = server();
        let gateway = Arc::new(over(&server).await);
        let mut callers = JoinSet::new();
        for _ in 0..20 {
            let gateway = Arc::clone(&gateway);
            callers.spawn(async move {
                let caller = gateway.caller(by, "reader").await;
                gateway.right(&caller, "m1").await
            });
        }
        for right in callers.join_all().await {
            assert_eq!(right, Ok(READ));
        }
        let calls = server.calls();
        // With a token: who it is, whether it is barred from versions, its permission. With a password: who it is,
        // whether it may read, whether it may manage.
        assert_eq!(calls.len(), 3, "{calls:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_takes_the_answer_from_nobody() {
    let server = server();
    let gateway = over(&server).await;
    let caller = gateway.caller(By::Token, "reader").await;
    server.calls();
    let impatient = tokio::time::timeout(LATENCY / 2, gateway.right(&caller, "m1"));
    assert!(impatient.await.is_err());
    assert_eq!(gateway.right(&caller, "m1").await, Ok(READ));
    assert_eq!(server.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_busy_caller_never_waits() {
    for by in BOTH {
        let server = server();
        let gateway = over(&server).await;
        let caller = gateway.caller(by, "reader").await;
        assert_eq!(gateway.right(&caller, "m1").await, Ok(READ));
        for _ in 0..600 {
            sleep(seconds(1)).await;
            let start = Instant::now();
            let caller = gateway.caller(by, "reader").await;
            assert_eq!(gateway.right(&caller, "m1").await, Ok(READ));
            assert_eq!(start.elapsed(), Duration::ZERO, "{by:?}");
        }
        // Ten minutes, each answer used for 45 s: that is 14 times three calls.
        let calls = server.calls().len();
        assert!((36..=45).contains(&calls), "{calls}");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_for_who_does_not_call() {
    let server = server();
    let gateway = over(&server).await;
    let caller = gateway.caller(By::Token, "reader").await;
    gateway.right(&caller, "m1").await.unwrap();
    server.calls();
    sleep(seconds(3_600)).await;
    assert_eq!(server.calls(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_right_that_is_taken_away_ends_within_the_age() {
    for generation in GENERATIONS {
        for by in BOTH {
            for busy in [true, false] {
                let server = Arc::new(FakeMlflow::new(generation));
                let gateway = over(&server).await;
                let caller = gateway.caller(by, "reader").await;
                assert_eq!(gateway.right(&caller, "m1").await, Ok(READ));
                server.take("reader", "m1");
                let taken = Instant::now();
                while taken.elapsed() < seconds(60) {
                    sleep(seconds(5)).await;
                    if busy {
                        let caller = gateway.caller(by, "reader").await;
                        let _ = gateway.right(&caller, "m1").await;
                    }
                }
                let caller = gateway.caller(by, "reader").await;
                let right = gateway.right(&caller, "m1").await;
                assert_eq!(right, Ok(None), "{generation:?} {by:?} busy: {busy}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn being_an_admin_ends_within_the_age() {
    for by in BOTH {
        let server = server();
        server.add_user("boss");
        server.set_admin("boss", true);
        let gateway = over(&server).await;
        assert!(gateway.caller(by, "boss").await.admin);
        server.set_admin("boss", false);
        sleep(seconds(60)).await;
        let boss = gateway.caller(by, "boss").await;
        assert!(!boss.admin);
        assert_eq!(gateway.right(&boss, "m1").await, Ok(None));
    }
}

#[tokio::test(start_paused = true)]
async fn a_right_that_is_given_is_seen_after_ten_seconds() {
    for by in BOTH {
        let server = server();
        let gateway = over(&server).await;
        let caller = gateway.caller(by, "nobody").await;
        assert_eq!(gateway.right(&caller, "m1").await, Ok(None));
        server.give("nobody", "m1", "MANAGE");
        sleep(seconds(10)).await;
        assert_eq!(gateway.right(&caller, "m1").await, Ok(Some(Right::Manage)));
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_registry_is_down_the_last_answer_stands_and_then_everybody_is_denied() {
    for mood in [Mood::Down, Mood::Silent, Mood::Says(502, "bad gateway")] {
        for by in BOTH {
            let server = server();
            let gateway = over(&server).await;
            let caller = gateway.caller(by, "reader").await;
            assert_eq!(gateway.right(&caller, "m1").await, Ok(READ));
            server.set_mood(mood);
            let down = Instant::now();
            while down.elapsed() < seconds(655) {
                let start = Instant::now();
                let caller = gateway.caller(by, "reader").await;
                assert_eq!(
                    gateway.right(&caller, "m1").await,
                    Ok(READ),
                    "{mood:?} {by:?}"
                );
                assert_eq!(
                    start.elapsed(),
                    Duration::ZERO,
                    "{mood:?} {by:?} after {:?}",
                    down.elapsed()
                );
                sleep(seconds(1)).await;
            }
            sleep(seconds(10)).await;
            let refused = gateway.right(&caller, "m1").await;
            assert!(
                matches!(refused, Err(RightsError::Unavailable(_))),
                "{refused:?}"
            );
            let shown = refused.unwrap_err().to_string();
            assert!(shown.contains("registry"), "{shown}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_callers_last_answer_stands_too_once_nobody_answers() {
    let server = server();
    let gateway = over(&server).await;
    let caller = gateway.caller(By::Password, "reader").await;
    assert_eq!(gateway.right(&caller, "m1").await, Ok(READ));
    server.set_mood(Mood::Down);
    sleep(seconds(300)).await;
    let caller = gateway.caller(By::Password, "reader").await;
    assert_eq!(gateway.right(&caller, "m1").await, Ok(READ));
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_a_stale_answer_counts_no_longer() {
    let server = server();
    let gateway = over(&server).await;
    let caller = gateway.caller(By::Token, "reader").await;
    assert_eq!(gateway.right(&caller, "m1").await, Ok(READ));
    server.set_mood(Mood::Down);
    sleep(seconds(50)).await;
    assert_eq!(gateway.right(&caller, "m1").await, Ok(READ));
    // Meanwhile it is found out that nobody answers.
    sleep(seconds(1)).await;
    server.set_mood(Mood::Up);
    server.take("reader", "m1");
    sleep(seconds(200)).await;
    assert_eq!(gateway.right(&caller, "m1").await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_is_down_is_not_asked_by_each_request() {
    let server = server();
    let gateway = over(&server).await;
    let caller = gateway.caller(By::Token, "reader").await;
    assert_eq!(gateway.right(&caller, "m1").await, Ok(READ));
    server.set_mood(Mood::Down);
    server.calls();
    sleep(seconds(60)).await;
    for _ in 0..10 {
        for _ in 0..100 {
            assert_eq!(gateway.right(&caller, "m1").await, Ok(READ));
            assert!(gateway.right(&caller, "m2").await.is_err());
        }
        sleep(seconds(1)).await;
    }
    // Three questions, each every two seconds.
    let calls = server.calls().len();
    assert!(calls <= 18, "{calls}");
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_never_answers_holds_nobody_longer_than_its_deadline() {
    let server = server();
    server.set_mood(Mood::Silent);
    let gateway = over(&server).await;
    let caller = gateway.caller(By::Token, "reader").await;
    let start = Instant::now();
    assert!(gateway.right(&caller, "m1").await.is_err());
    assert!(start.elapsed() <= seconds(20));
    let start = Instant::now();
    let refused = gateway.sign_in("reader", "password of reader").await;
    assert!(
        matches!(refused, Err(auth::AuthError::Unavailable(_))),
        "{refused:?}"
    );
    assert!(start.elapsed() <= seconds(20));
}

#[tokio::test(start_paused = true)]
async fn what_is_remembered_is_bounded_and_who_calls_stays() {
    let server = server();
    let users = MlflowUsers::new(
        Arc::clone(&server) as _,
        Some(account("admin")),
        MlflowPermission::NoPermissions,
    );
    let config = InheritedConfig {
        remembered: 64,
        age: seconds(100_000),
        denied_age: seconds(100_000),
        ..InheritedConfig::default()
    };
    let gateway = Gateway::over(Arc::new(users), config).await;
    let caller = gateway.caller(By::Token, "reader").await;
    assert_eq!(gateway.right(&caller, "m1").await, Ok(READ));
    server.calls();
    for model in 0..1_000 {
        gateway
            .right(&caller, &format!("made-up-{model}"))
            .await
            .unwrap();
        gateway.right(&caller, "m1").await.unwrap();
    }
    // Each made-up name cost a call, the real one none.
    assert_eq!(server.calls().len(), 1_000);
    // And the first of them is forgotten.
    gateway.right(&caller, "made-up-0").await.unwrap();
    assert_eq!(server.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn more_questions_than_may_wait_are_not_asked() {
    let server = server();
    let users = MlflowUsers::new(
        Arc::clone(&server) as _,
        Some(account("admin")),
        MlflowPermission::NoPermissions,
    );
    let config = InheritedConfig {
        at_a_time: 2,
        waiting: 2,
        ..InheritedConfig::default()
    };
    let gateway = Arc::new(Gateway::over(Arc::new(users), config).await);
    let caller = gateway.caller(By::Token, "reader").await;
    let mut asked = JoinSet::new();
    for model in 0..50 {
        let (gateway, caller) = (Arc::clone(&gateway), caller.clone());
        asked.spawn(async move { gateway.right(&caller, &format!("model-{model}")).await });
    }
    let answers = asked.join_all().await;
    let refused = answers.iter().filter(|answer| answer.is_err()).count();
    assert!((40..50).contains(&refused), "{refused}");
    advance(seconds(1)).await;
    assert_eq!(gateway.right(&caller, "m1").await, Ok(READ));
}

#[tokio::test(start_paused = true)]
async fn what_is_remembered_asked_and_missed_is_counted() {
    let server = server();
    let gateway = over(&server).await;
    let figures = || gateway.authenticator.inherited().unwrap().figures();
    let caller = gateway.caller(By::Token, "reader").await;
    assert_eq!(gateway.right(&caller, "m1").await, Ok(READ));
    // Who it is, and what it may do to the model.
    let first = figures();
    assert_eq!((first.misses, first.entries, first.refreshes), (2, 2, 0));
    assert_eq!(gateway.right(&caller, "m1").await, Ok(READ));
    assert_eq!(figures().hits, first.hits + 2);
    sleep(seconds(50)).await;
    assert_eq!(gateway.right(&caller, "m1").await, Ok(READ));
    sleep(seconds(1)).await;
    let refreshed = figures();
    assert_eq!((refreshed.misses, refreshed.refreshes), (2, 2));
    assert_eq!(refreshed.failures, 0);
    server.set_mood(Mood::Down);
    assert!(gateway.right(&caller, "m2").await.is_err());
    assert_eq!(figures().failures, 1);
    assert!(!gateway.authenticator.inherited().unwrap().is_answered());
}

#[tokio::test(start_paused = true)]
async fn who_is_an_admin_is_told_of_many_in_bounded_time() {
    let server = server();
    let gateway = over(&server).await;
    let inherited = gateway.authenticator.inherited().unwrap();
    let names = || ["admin", "reader", "nobody at all"].map(Arc::from);
    let admins = inherited.admins(names(), seconds(5)).await;
    assert_eq!(admins, [Arc::from("admin")].into());
    server.set_mood(Mood::Silent);
    sleep(seconds(3_600)).await;
    let start = Instant::now();
    assert!(inherited.admins(names(), seconds(5)).await.is_empty());
    assert!(start.elapsed() <= seconds(5));
}
