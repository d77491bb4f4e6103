//! Callers who sign in with their MLflow user name and password.

use std::sync::Arc;
use std::time::Duration;

use auth::{AuthError, Right};
use tokio::time::{Instant, sleep};

use crate::fake::{FakeMlflow, Generation, LATENCY, Mood};
use crate::gateway::{By, GENERATIONS, over};

#[tokio::test(start_paused = true)]
async fn a_password_is_checked_by_the_server_as_that_user() {
    for generation in GENERATIONS {
        let server = Arc::new(FakeMlflow::new(generation));
        let gateway = over(&server).await;
        let alice = gateway
            .sign_in("reader", "password of reader")
            .await
            .unwrap();
        assert_eq!(&*alice.name, "reader");
        assert_eq!(alice.token, None);
        assert_eq!(server.calls(), ["reader: users/get"]);
        // Also what it may do is asked with its own password, never with the gateway's.
        gateway.right(&alice, "m1").await.unwrap();
        let calls = server.calls();
        assert!(
            calls.iter().all(|call| call.starts_with("reader: ")),
            "{calls:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn wrong_passwords_and_unknown_users_are_refused_alike() {
    for generation in GENERATIONS {
        let gateway = over(&Arc::new(FakeMlflow::new(generation))).await;
        for (user, password) in [
            ("reader", "password of admin"),
            ("ghost", "password of ghost"),
            ("reader", ""),
            ("", "password of reader"),
        ] {
            let refused = gateway.sign_in(user, password).await;
            assert_eq!(refused, Err(AuthError::PasswordWrong), "{user}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn wrong_passwords_are_slowed_as_tokens_are_and_asked_about_once() {
    let server = Arc::new(FakeMlflow::new(Generation::New));
    let gateway = over(&server).await;
    let mut delays = Vec::new();
    for _ in 0..6 {
        let start = Instant::now();
        gateway.sign_in("reader", "wrong").await.unwrap_err();
        delays.push(start.elapsed().as_millis());
    }
    assert_eq!(delays, [LATENCY.as_millis(), 0, 0, 50, 100, 200]);
    assert_eq!(server.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_is_down_is_no_wrong_password() {
    let server = Arc::new(FakeMlflow::new(Generation::New));
    server.set_mood(Mood::Down);
    let gateway = over(&server).await;
    for _ in 0..10 {
        let start = Instant::now();
        let refused = gateway.sign_in("reader", "password of reader").await;
        assert!(
            matches!(refused, Err(AuthError::Unavailable(_))),
            "{refused:?}"
        );
        // Nobody is slowed for what is not a failure of theirs.
        assert!(start.elapsed() < Duration::from_millis(50));
    }
}

#[tokio::test(start_paused = true)]
async fn a_changed_password_ends_the_old_one_within_the_age() {
    let server = Arc::new(FakeMlflow::new(Generation::New));
    let gateway = over(&server).await;
    gateway.caller(By::Password, "reader").await;
    server.set_password("reader", "another one");
    let fresh = gateway.sign_in("reader", "another one").await;
    assert!(fresh.is_ok());
    sleep(Duration::from_secs(60)).await;
    let old = gateway.sign_in("reader", "password of reader").await;
    assert_eq!(old, Err(AuthError::PasswordWrong));
}

#[tokio::test(start_paused = true)]
async fn a_question_that_the_password_no_longer_opens_ends_the_sign_in() {
    let server = Arc::new(FakeMlflow::new(Generation::New));
    let gateway = over(&server).await;
    let caller = gateway.caller(By::Password, "reader").await;
    server.set_password("reader", "another one");
    assert_eq!(gateway.right(&caller, "m1").await, Ok(None));
    let again = gateway.sign_in("reader", "password of reader").await;
    assert_eq!(again, Err(AuthError::PasswordWrong));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_user_is_out_within_the_age() {
    for by in [By::Token, By::Password] {
        let server = Arc::new(FakeMlflow::new(Generation::New));
        let gateway = over(&server).await;
        let caller = gateway.caller(by, "reader").await;
        assert_eq!(gateway.right(&caller, "m1").await, Ok(Some(Right::Read)));
        server.remove_user("reader");
        sleep(Duration::from_secs(60)).await;
        assert_eq!(gateway.right(&caller, "m1").await, Ok(None), "{by:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_that_is_printed_shows_a_password() {
    let gateway = over(&Arc::new(FakeMlflow::new(Generation::New))).await;
    let caller = gateway.caller(By::Password, "reader").await;
    let shown = format!("{caller:?} {:?}", gateway.authenticator);
    assert!(!shown.contains("password of"), "{shown}");
}
