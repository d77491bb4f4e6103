//! The authenticator over a store that other processes write to, under paused time.

mod support;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use auth::{
    AuthError, Authenticator, AuthenticatorConfig, CHALLENGE, Grant, MalformedCredential, NewToken,
    Permission, Principal, Right, Scopes, TokenStore,
};
use http::HeaderMap;
use support::{
    ObservedStore, PEER, authenticator, authenticator_with, authorization, bearer, junk, show,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, advance, sleep};
use tokio_util::sync::CancellationToken;

#[tokio::test(start_paused = true)]
async fn a_token_is_recognised_as_bearer_and_as_the_password_of_token() {
    let store = Arc::new(ObservedStore::default());
    let (record, token) = store.create(NewToken::new("alice")).await;
    let authenticator = authenticator(&store).await;

    let alice = show(&authenticator, &token).await.unwrap();
    assert_eq!(&*alice.name, "alice");
    assert_eq!(alice.token, Some(record.id));
    assert!(!alice.admin);

    let pair = base64_of(&format!("token:{}", token.expose()));
    let headers = authorization(&format!("Basic {pair}"));
    assert_eq!(authenticator.authenticate(&headers, PEER).await, Ok(alice));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_token_of_ours_is_refused_without_asking_the_store() {
    let store = Arc::new(ObservedStore::default());
    let authenticator = authenticator(&store).await;
    let refused = async |headers: &HeaderMap| authenticator.authenticate(headers, PEER).await;

    assert_eq!(refused(&HeaderMap::new()).await, Err(AuthError::Missing));
    for (value, error) in [
        ("Bearer dapi0123456789", AuthError::Unknown),
        ("Bearer sgp_short", AuthError::Unknown),
        (
            "Negotiate abc",
            AuthError::Malformed(MalformedCredential::Scheme),
        ),
    ] {
        assert_eq!(refused(&authorization(value)).await, Err(error), "{value}");
    }
    let password = authorization(&format!("Basic {}", base64_of("alice:password")));
    assert_eq!(refused(&password).await, Err(AuthError::PasswordRefused));
    assert_eq!(store.asked(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn known_tokens_never_ask_the_store() {
    let store = Arc::new(ObservedStore::default());
    let (_, token) = store.create(NewToken::new("alice")).await;
    let authenticator = authenticator(&store).await;
    store.fall_silent();
    for _ in 0..100 {
        assert!(show(&authenticator, &token).await.is_ok());
    }
    assert_eq!(store.asked(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_token_holds_until_its_expiry() {
    let store = Arc::new(ObservedStore::default());
    let lifetime = Some(Duration::from_secs(30));
    let token = NewToken {
        lifetime,
        ..NewToken::new("alice")
    };
    let (record, token) = store.create(token).await;
    let authenticator = authenticator(&store).await;
    // Opening the store took a little of the first second.
    advance(Duration::from_secs(29)).await;
    let principal = show(&authenticator, &token).await.unwrap();
    assert_eq!(principal.expires, record.expires);
    advance(Duration::from_secs(1)).await;
    assert_eq!(show(&authenticator, &token).await, Err(AuthError::Expired));
    assert_eq!(store.asked(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_token_made_by_another_process_holds_at_once() {
    let store = Arc::new(ObservedStore::default());
    let authenticator = authenticator(&store).await;
    for _ in 0..3 {
        let (_, token) = store.create(NewToken::new("alice")).await;
        store.grant("alice", &Grant::Admin).await.unwrap();
        // Nothing runs that polls: it is the unknown token that makes the authenticator look.
        let start = Instant::now();
        assert!(show(&authenticator, &token).await.unwrap().admin);
        assert!(start.elapsed() <= Duration::from_millis(250));
        assert_eq!(store.asked(), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn simultaneous_callers_with_unknown_tokens_share_one_look_at_the_store() {
    let store = Arc::new(ObservedStore::default());
    let authenticator = Arc::new(authenticator(&store).await);
    let (_, token) = store.create(NewToken::new("alice")).await;
    let mut callers = JoinSet::new();
    for caller in 0..100 {
        let authenticator = Arc::clone(&authenticator);
        let token = if caller % 2 == 0 {
            token.clone()
        } else {
            junk()
        };
        callers.spawn(async move { show(&authenticator, &token).await.is_ok() });
    }
    let held = callers
        .join_all()
        .await
        .into_iter()
        .filter(|held| *held)
        .count();
    assert_eq!(held, 50);
    // A caller that came while the first question was on its way may need a second one; nobody a third one.
    let (revisions, loads) = store.asked();
    assert!(revisions <= 2, "{revisions} questions");
    assert_eq!(loads, 1);
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_junk_asks_the_store_at_most_once_an_interval_and_never_loads() {
    let store = Arc::new(ObservedStore::default());
    let authenticator = Arc::new(authenticator(&store).await);
    let start = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..20 {
        let authenticator = Arc::clone(&authenticator);
        callers.spawn(async move {
            for _ in 0..50 {
                let refused = show(&authenticator, &junk()).await;
                assert_eq!(refused, Err(AuthError::Unknown));
            }
        });
    }
    callers.join_all().await;
    let intervals = start.elapsed().as_millis() / 200 + 1;
    let (revisions, loads) = store.asked();
    assert!(
        revisions as u128 <= intervals,
        "{revisions} questions in {intervals} intervals"
    );
    assert_eq!(loads, 0);
}

#[tokio::test(start_paused = true)]
async fn more_unknown_tokens_than_may_wait_are_refused_at_once() {
    let store = Arc::new(ObservedStore::default());
    let mut config = AuthenticatorConfig::default();
    config.directory.unknown_waiting = 1;
    let authenticator = Arc::new(authenticator_with(&store, config).await);
    store.fall_silent();
    let mut callers = JoinSet::new();
    let first = Arc::clone(&authenticator);
    callers.spawn(async move { show(&first, &junk()).await.map(drop) });
    sleep(Duration::from_millis(1)).await;

    let start = Instant::now();
    assert_eq!(show(&authenticator, &junk()).await, Err(AuthError::Unknown));
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(callers.join_all().await, [Err(AuthError::Unknown)]);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_does_not_take_the_others_answer_along() {
    let store = Arc::new(ObservedStore::default());
    let authenticator = Arc::new(authenticator(&store).await);
    let (_, token) = store.create(NewToken::new("alice")).await;
    let mut callers = JoinSet::new();
    let (leaving, staying) = (Arc::clone(&authenticator), authenticator);
    let first = callers.spawn(async move { show(&leaving, &junk()).await.is_ok() });
    tokio::task::yield_now().await;
    callers.spawn(async move { show(&staying, &token).await.is_ok() });
    tokio::task::yield_now().await;
    assert_eq!(store.asked(), (1, 0), "the first caller is asking");
    first.abort();

    let mut answers = Vec::new();
    while let Some(answer) = callers.join_next().await {
        answers.push(answer.unwrap_or(false));
    }
    answers.sort_unstable();
    assert_eq!(answers, [false, true]);
}

#[tokio::test(start_paused = true)]
async fn what_another_process_takes_back_ends_within_a_second() {
    let store = Arc::new(ObservedStore::default());
    let (record, token) = store.create(NewToken::new("alice")).await;
    let (_, kept) = store.create(NewToken::new("bob")).await;
    let read = Grant::read("iris".parse().unwrap());
    store.grant("bob", &read).await.unwrap();
    let authenticator = Arc::new(authenticator(&store).await);
    let rights = authenticator.rights();
    let bob = show(&authenticator, &kept).await.unwrap();
    let shutdown = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let (following, until) = (Arc::clone(&authenticator), shutdown.clone());
    tasks.spawn(async move { following.run(until).await });
    sleep(Duration::from_millis(500)).await;

    assert!(show(&authenticator, &token).await.is_ok());
    assert_eq!(rights.right(&bob, "iris").await, Ok(Some(Right::Read)));
    assert!(store.revoke(&record.id).await.unwrap());
    assert!(store.revoke_grant("bob", &read).await.unwrap());
    sleep(Duration::from_millis(1_010)).await;
    assert_eq!(show(&authenticator, &token).await, Err(AuthError::Unknown));
    assert!(show(&authenticator, &kept).await.is_ok());
    assert_eq!(rights.right(&bob, "iris").await, Ok(None));

    // Also the admin of a caller that is known already.
    store.grant("bob", &Grant::Admin).await.unwrap();
    sleep(Duration::from_millis(1_010)).await;
    assert!(show(&authenticator, &kept).await.unwrap().admin);
    assert_eq!(rights.right(&bob, "any").await, Ok(Some(Right::Manage)));

    shutdown.cancel();
    tasks.join_all().await;
}

#[tokio::test(start_paused = true)]
async fn polling_asks_for_the_revision_once_a_second_and_loads_only_what_changed() {
    let store = Arc::new(ObservedStore::default());
    let authenticator = authenticator(&store).await;
    let polled = async |duration| {
        let shutdown = CancellationToken::new();
        tokio::join!(authenticator.run(shutdown.clone()), async {
            sleep(duration).await;
            shutdown.cancel();
        });
        store.asked()
    };
    assert_eq!(polled(Duration::from_millis(9_500)).await, (10, 0));
    store.create(NewToken::new("alice")).await;
    assert_eq!(polled(Duration::from_millis(9_500)).await, (10, 1));
}

#[tokio::test(start_paused = true)]
async fn a_change_by_this_process_holds_when_reload_returns() {
    let store = Arc::new(ObservedStore::default());
    let (record, token) = store.create(NewToken::new("alice")).await;
    let authenticator = authenticator(&store).await;
    assert!(show(&authenticator, &token).await.is_ok());
    assert!(store.revoke(&record.id).await.unwrap());
    authenticator.reload().await.unwrap();
    assert_eq!(show(&authenticator, &token).await, Err(AuthError::Unknown));
}

#[tokio::test(start_paused = true)]
async fn while_the_store_fails_what_is_known_stays_and_recovers_by_itself() {
    let store = Arc::new(ObservedStore::default());
    let (record, token) = store.create(NewToken::new("alice")).await;
    let authenticator = Arc::new(authenticator(&store).await);
    let shutdown = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let (following, until) = (Arc::clone(&authenticator), shutdown.clone());
    tasks.spawn(async move { following.run(until).await });

    store.set_broken(true);
    store.revoke(&record.id).await.unwrap();
    sleep(Duration::from_secs(5)).await;
    assert!(authenticator.reload().await.is_err());
    assert!(show(&authenticator, &token).await.is_ok());
    assert_eq!(show(&authenticator, &junk()).await, Err(AuthError::Unknown));

    store.set_broken(false);
    sleep(Duration::from_millis(1_010)).await;
    assert_eq!(show(&authenticator, &token).await, Err(AuthError::Unknown));
    shutdown.cancel();
    tasks.join_all().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_holds_nobody_for_ever() {
    let store = Arc::new(ObservedStore::default());
    let authenticator = authenticator(&store).await;
    store.fall_silent();
    let start = Instant::now();
    assert_eq!(show(&authenticator, &junk()).await, Err(AuthError::Unknown));
    assert!(authenticator.reload().await.is_err());
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_read_at_the_start_is_an_error() {
    let store = Arc::new(ObservedStore::default());
    store.set_broken(true);
    let config = AuthenticatorConfig::default();
    let opened = Authenticator::open(store, Arc::new(SystemTime::now), config).await;
    assert!(opened.unwrap_err().to_string().contains("disk on fire"));
}

#[tokio::test(start_paused = true)]
async fn an_address_that_keeps_failing_is_slowed_until_it_succeeds() {
    let store = Arc::new(ObservedStore::default());
    let (_, token) = store.create(NewToken::new("alice")).await;
    let authenticator = authenticator_with(&store, AuthenticatorConfig::default()).await;
    let wrong = authorization("Bearer wrong");
    let timed = async |headers: &HeaderMap| {
        let start = Instant::now();
        let _ = authenticator.authenticate(headers, PEER).await;
        start.elapsed().as_millis()
    };
    let mut delays = Vec::new();
    for _ in 0..5 {
        delays.push(timed(&wrong).await);
    }
    assert_eq!(delays, [0, 0, 0, 50, 100]);
    assert_eq!(
        timed(&HeaderMap::new()).await,
        0,
        "asking without a credential is no failure"
    );
    assert_eq!(timed(&wrong).await, 200);
    assert_eq!(
        timed(&bearer(&token)).await,
        0,
        "a good credential never waits"
    );
    assert_eq!(timed(&wrong).await, 0);
}

#[tokio::test(start_paused = true)]
async fn the_scopes_of_a_token_narrow_the_rights_of_its_principal() {
    let store = Arc::new(ObservedStore::default());
    store.grant("root", &Grant::Admin).await.unwrap();
    let permission = Permission::new("team-*".parse().unwrap(), Right::Read);
    let narrowed = NewToken {
        scopes: Scopes::only([permission]),
        ..NewToken::new("root")
    };
    let (_, narrowed) = store.create(narrowed).await;
    let (_, whole) = store.create(NewToken::new("root")).await;
    let authenticator = authenticator(&store).await;
    let rights = authenticator.rights();

    let whole = show(&authenticator, &whole).await.unwrap();
    assert!(whole.admin);
    assert_eq!(rights.right(&whole, "iris").await, Ok(Some(Right::Manage)));
    let narrowed = show(&authenticator, &narrowed).await.unwrap();
    assert!(!narrowed.admin);
    assert_eq!(
        rights.right(&narrowed, "team-a").await,
        Ok(Some(Right::Read))
    );
    assert_eq!(rights.right(&narrowed, "iris").await, Ok(None));
}

#[tokio::test]
async fn where_authentication_is_disabled_everybody_may_everything() {
    let authenticator = Authenticator::disabled();
    for headers in [HeaderMap::new(), authorization("Bearer wrong")] {
        let principal = authenticator.authenticate(&headers, PEER).await.unwrap();
        assert_eq!(principal, Principal::anonymous());
        let right = authenticator.rights().right(&principal, "iris").await;
        assert_eq!(right, Ok(Some(Right::Manage)));
    }
    assert!(authenticator.reload().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn nothing_that_can_be_printed_shows_a_token() {
    let store = Arc::new(ObservedStore::default());
    let (record, token) = store.create(NewToken::new("alice")).await;
    let authenticator = authenticator(&store).await;
    let principal = show(&authenticator, &token).await.unwrap();
    let kept = store.load().await.unwrap();
    let refused = [
        authenticator
            .authenticate(&authorization("Bearer hunter2"), PEER)
            .await,
        authenticator
            .authenticate(&authorization("hunter2"), PEER)
            .await,
    ];
    let sentences = refused
        .each_ref()
        .map(|it| it.as_ref().unwrap_err().to_string());
    let shown = format!(
        "{record:?} {token:?} {token} {authenticator:?} {principal:?} {kept:?} {refused:?} {sentences:?}"
    );
    assert!(!shown.contains(token.expose()) && !shown.contains("hunter2"));
    assert!(!shown.contains(&token.expose()["sgp_".len()..]));
}

#[test]
fn the_challenge_names_both_schemes_with_a_realm() {
    let challenge = CHALLENGE;
    let challenge = challenge.to_str().unwrap();
    assert!(challenge.starts_with("Bearer realm=\""));
    assert!(challenge.contains(", Basic realm=\""));
}

fn base64_of(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}
