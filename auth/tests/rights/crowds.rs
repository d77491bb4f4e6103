//! Many questions at a time: they are no outage, and nobody takes all places.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use auth::{
    AuthError, InheritedConfig, MlflowPermission, MlflowUsers, Principal, Right, RightsError,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::fake::{FakeMlflow, Generation, LATENCY, Mood};
use crate::gateway::{By, Gateway, account, over};

const READ: Option<Right> = Some(Right::Read);

fn server() -> Arc<FakeMlflow> {
    Arc::new(FakeMlflow::new(Generation::New))
}

async fn one_at_a_time(server: &Arc<FakeMlflow>, waiting: usize) -> Arc<Gateway> {
    let users = MlflowUsers::new(
        Arc::clone(server) as _,
        Some(account("admin")),
        MlflowPermission::NoPermissions,
    );
    let config = InheritedConfig {
        at_a_time: 1,
        waiting,
        ..InheritedConfig::default()
    };
    Arc::new(Gateway::over(Arc::new(users), config).await)
}

/// So many callers whom nobody knows, each with a question.
async fn strangers(gateway: &Arc<Gateway>, number: usize) -> JoinSet<()> {
    let mut strangers = JoinSet::new();
    for number in 0..number {
        let gateway = Arc::clone(gateway);
        strangers.spawn(async move {
            let stranger = Principal::new(format!("stranger-{number}"));
            let _ = gateway.right(&stranger, "m1").await;
        });
        // One after the other, so that the first one is under way before the last one finds the queue full.
        sleep(Duration::from_millis(1)).await;
    }
    strangers
}

#[tokio::test(start_paused = true)]
async fn an_old_answer_does_not_count_because_others_ask_much() {
    let server = server();
    let gateway = one_at_a_time(&server, 1).await;
    let caller = gateway.caller(By::Token, "reader").await;
    assert_eq!(gateway.right(&caller, "m1").await, Ok(READ));
    server.take("reader", "m1");
    sleep(Duration::from_secs(100)).await;
    let strangers = strangers(&gateway, 5).await;
    let refused = gateway.right(&caller, "m1").await;
    assert!(
        matches!(refused, Err(RightsError::Unavailable(_))),
        "{refused:?}"
    );
    strangers.join_all().await;
    assert_eq!(gateway.right(&caller, "m1").await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn an_old_answer_does_not_count_because_the_queue_is_long() {
    let server = server();
    let gateway = one_at_a_time(&server, 256).await;
    let caller = gateway.caller(By::Token, "reader").await;
    assert_eq!(gateway.right(&caller, "m1").await, Ok(READ));
    server.take("reader", "m1");
    sleep(Duration::from_secs(100)).await;
    // More than a minute of questions; a caller waits twenty seconds.
    let _strangers = strangers(&gateway, 180).await;
    let refused = gateway.right(&caller, "m1").await;
    assert!(
        matches!(refused, Err(RightsError::Unavailable(_))),
        "{refused:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn one_caller_does_not_take_all_places() {
    let server = server();
    let gateway = Arc::new(over(&server).await);
    let caller = gateway.caller(By::Token, "nobody").await;
    let mut asked = JoinSet::new();
    for model in 0..300 {
        let (gateway, caller) = (Arc::clone(&gateway), caller.clone());
        asked.spawn(async move { gateway.right(&caller, &format!("made-up-{model}")).await });
    }
    sleep(Duration::from_millis(1)).await;
    let start = Instant::now();
    let other = gateway.caller(By::Token, "reader").await;
    assert_eq!(gateway.right(&other, "m1").await, Ok(READ));
    assert!(start.elapsed() < Duration::from_secs(5));
    let refused = asked.join_all().await;
    let refused = refused.iter().filter(|answer| answer.is_err()).count();
    assert_eq!(refused, 300 - 32);
}

#[tokio::test(start_paused = true)]
async fn strangers_do_not_take_the_places_of_those_who_were_allowed_something() {
    let server = server();
    let gateway = one_at_a_time(&server, 4).await;
    let caller = gateway.caller(By::Token, "reader").await;
    assert_eq!(gateway.right(&caller, "m1").await, Ok(READ));
    sleep(Duration::from_secs(100)).await;
    let _strangers = strangers(&gateway, 20).await;
    assert_eq!(gateway.right(&caller, "m1").await, Ok(READ));
}

#[tokio::test(start_paused = true)]
async fn many_busy_callers_are_bridged_while_the_registry_is_silent() {
    let server = server();
    let gateway = one_at_a_time(&server, 256).await;
    let mut callers = Vec::new();
    for user in ["manager", "editor", "reader"] {
        let caller = gateway.caller(By::Token, user).await;
        gateway.right(&caller, "m1").await.unwrap();
        callers.push(caller);
    }
    server.set_mood(Mood::Silent);
    // One question is asked at a time and takes ten seconds: most have not even been asked when their answers grow old.
    for _ in 0..300 {
        sleep(Duration::from_secs(1)).await;
        for caller in &callers {
            let start = Instant::now();
            let right = gateway.right(caller, "m1").await;
            assert!(matches!(right, Ok(Some(_))), "{right:?}");
            assert_eq!(start.elapsed(), Duration::ZERO);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_tries_passwords_from_one_address_keeps_nobody_else_from_signing_in() {
    let attacker = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 66));
    let gateway = Arc::new(over(&server()).await);
    let mut tries = JoinSet::new();
    for number in 0..400 {
        let gateway = Arc::clone(&gateway);
        tries.spawn(async move {
            let password = format!("guess-{number}");
            gateway.sign_in_from(attacker, "reader", &password).await
        });
    }
    sleep(Duration::from_millis(1)).await;
    let start = Instant::now();
    let reader = gateway.sign_in("reader", "password of reader").await;
    assert!(reader.is_ok(), "{reader:?}");
    assert!(start.elapsed() <= LATENCY * 3, "{:?}", start.elapsed());
    let refused = tries.join_all().await;
    let unchecked = refused
        .iter()
        .filter(|refused| matches!(refused, Err(AuthError::Unavailable(_))));
    assert_eq!(unchecked.count(), 400 - 64);
}

#[tokio::test(start_paused = true)]
async fn many_requests_of_one_user_at_the_start_are_one_sign_in() {
    let server = server();
    let gateway = Arc::new(over(&server).await);
    let mut requests = JoinSet::new();
    for _ in 0..200 {
        let gateway = Arc::clone(&gateway);
        requests.spawn(async move { gateway.sign_in("reader", "password of reader").await });
    }
    for answer in requests.join_all().await {
        assert!(answer.is_ok(), "{answer:?}");
    }
    assert_eq!(server.calls().len(), 1);
}
