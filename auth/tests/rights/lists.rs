//! Lists show a caller only what it may see, and do not take a question a model.

use std::sync::Arc;

use auth::{Principal, Right};
use tokio::time::Instant;

use crate::fake::{FakeMlflow, Generation};
use crate::gateway::{BOTH, By, GENERATIONS, Gateway, over};

async fn seen(gateway: &Gateway, caller: &Principal, models: &[String]) -> Vec<String> {
    let names: Vec<&str> = models.iter().map(String::as_str).collect();
    let visible = gateway.rights.visible(caller, &names).await.unwrap();
    let both = models.iter().zip(visible);
    let seen = both.filter(|(_, visible)| *visible);
    seen.map(|(model, _)| model.clone()).collect()
}

fn many() -> Vec<String> {
    (1..=500).map(|number| format!("m{number}")).collect()
}

fn filled(generation: Generation) -> Arc<FakeMlflow> {
    let server = Arc::new(FakeMlflow::new(generation));
    server.add_models(many().into_iter().skip(2));
    server.give("reader", "m7", "MANAGE");
    server.give("reader", "m9", "NO_PERMISSIONS");
    server
}

#[tokio::test(start_paused = true)]
async fn a_list_shows_what_may_be_read_and_takes_a_few_calls() {
    for generation in GENERATIONS {
        for by in BOTH {
            let server = filled(generation);
            let gateway = over(&server).await;
            let caller = gateway.caller(by, "reader").await;
            server.calls();
            assert_eq!(seen(&gateway, &caller, &many()).await, ["m1", "m7"]);
            let calls = server.calls().len();
            assert!(calls <= 10, "{generation:?} {by:?}: {calls}");
            // And none the next time.
            assert_eq!(seen(&gateway, &caller, &many()).await, ["m1", "m7"]);
            assert_eq!(server.calls().len(), 0, "{generation:?} {by:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_knows_what_may_be_managed_and_takes_no_single_questions_for_that() {
    for generation in GENERATIONS {
        for by in BOTH {
            let server = filled(generation);
            let gateway = over(&server).await;
            let caller = gateway.caller(by, "reader").await;
            server.calls();
            let rights = gateway.rights.on_each(&caller, &["m1", "m2", "m7", "m9"]);
            let expected = [Some(Right::Read), None, Some(Right::Manage), None];
            assert_eq!(rights.await.unwrap(), expected, "{generation:?} {by:?}");
            let calls = server.calls();
            assert!(
                !calls.iter().any(|call| call.contains("m7")),
                "{generation:?} {by:?}: {calls:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_of_everything_is_seen_by_who_may_read_everything() {
    for by in BOTH {
        let server = filled(Generation::New);
        server.give("nobody", "*", "READ");
        server.give("nobody", "m9", "DENY");
        let gateway = over(&server).await;
        let caller = gateway.caller(by, "nobody").await;
        let seen = seen(&gateway, &caller, &many()).await;
        assert_eq!(seen.len(), 499);
        assert!(!seen.contains(&"m9".to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn an_admin_sees_everything_without_a_call() {
    for generation in GENERATIONS {
        let server = filled(generation);
        let gateway = over(&server).await;
        let admin = gateway.caller(By::Token, "admin").await;
        server.calls();
        assert_eq!(seen(&gateway, &admin, &many()).await.len(), 500);
        assert_eq!(server.calls().len(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn models_given_one_by_one_need_no_single_questions() {
    let server = filled(Generation::New);
    for model in many() {
        server.give("nobody", &model, "READ");
    }
    let gateway = over(&server).await;
    for by in BOTH {
        let nobody = gateway.caller(by, "nobody").await;
        server.calls();
        assert_eq!(seen(&gateway, &nobody, &many()).await.len(), 500);
        assert_eq!(server.calls().len(), 3, "{by:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_needs_single_questions_is_asked_a_few_at_a_time() {
    let server = filled(Generation::New);
    for model in many() {
        server.give("nobody", &model, "DENY");
    }
    server.give("nobody", "m3", "READ");
    let gateway = over(&server).await;
    let nobody = gateway.caller(By::Token, "nobody").await;
    let start = Instant::now();
    assert_eq!(seen(&gateway, &nobody, &many()).await, ["m3"]);
    // 499 questions of 400 ms, eight at a time.
    let took = start.elapsed();
    assert!((25..28).contains(&took.as_secs()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_deny_on_all_models_outdoes_what_was_given_on_one() {
    let server = filled(Generation::New);
    server.give("nobody", "*", "DENY");
    server.give("nobody", "m1", "READ");
    let gateway = over(&server).await;
    for by in BOTH {
        let nobody = gateway.caller(by, "nobody").await;
        assert_eq!(seen(&gateway, &nobody, &many()).await, [""; 0], "{by:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_of_one_is_one_question() {
    let server = filled(Generation::New);
    let gateway = over(&server).await;
    let caller = gateway.caller(By::Token, "reader").await;
    server.calls();
    assert_eq!(
        gateway.rights.visible(&caller, &["m1"]).await,
        Ok(vec![true])
    );
    assert_eq!(server.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_model_without_an_answer_is_left_out_of_a_list_and_spoils_no_other() {
    let server = filled(Generation::New);
    // About these two a single question each is needed.
    for model in ["m1", "m2"] {
        server.give("nobody", model, "DENY");
    }
    server.give("nobody", "*", "READ");
    server.break_on("m2");
    let gateway = over(&server).await;
    let nobody = gateway.caller(By::Token, "nobody").await;
    let models = ["m1", "m2", "m3"].map(str::to_owned);
    assert_eq!(seen(&gateway, &nobody, &models).await, ["m3"]);
    // Where nothing at all is answered, that is no empty list.
    let none = gateway.rights.visible(&nobody, &["m2"]).await;
    assert!(none.is_err(), "{none:?}");
}
