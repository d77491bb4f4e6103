//! What MLflow's basic-auth says is not always what it seems to say.

use std::sync::Arc;

use auth::{
    Grant, MlflowPermission, NewToken, Permission, Right, RightsError, RightsSource, Scopes,
    SourceError,
};

use crate::fake::{FakeMlflow, Generation, Mood, NOT_FOUND, PERMISSION_DENIED};
use crate::gateway::{BOTH, By, GENERATIONS, account, over, over_with};

const READ: Option<Right> = Some(Right::Read);
const MANAGE: Option<Right> = Some(Right::Manage);

#[tokio::test(start_paused = true)]
async fn each_user_may_here_what_mlflow_lets_it_do() {
    for generation in GENERATIONS {
        for by in BOTH {
            let gateway = over(&Arc::new(FakeMlflow::new(generation))).await;
            for (user, on_m1, on_m2) in [
                ("manager", MANAGE, None),
                ("editor", READ, None),
                ("reader", READ, None),
                ("nobody", None, None),
                ("admin", MANAGE, MANAGE),
            ] {
                let caller = gateway.caller(by, user).await;
                assert_eq!(
                    caller.admin,
                    user == "admin",
                    "{generation:?} {by:?} {user}"
                );
                for (model, right) in [("m1", on_m1), ("m2", on_m2)] {
                    let found = gateway.right(&caller, model).await;
                    assert_eq!(found, Ok(right), "{generation:?} {by:?} {user} {model}");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn allowed_is_not_read_the_permission_says_it() {
    // MLflow answers a reader `{"allowed":false,"permission":"READ"}`.
    let gateway = over(&Arc::new(FakeMlflow::new(Generation::New))).await;
    let reader = gateway.caller(By::Token, "reader").await;
    assert_eq!(gateway.right(&reader, "m1").await, Ok(READ));
}

#[tokio::test(start_paused = true)]
async fn use_is_enough_to_score() {
    let server = Arc::new(FakeMlflow::new(Generation::New));
    server.give("nobody", "m1", "USE");
    let gateway = over(&server).await;
    for by in BOTH {
        let caller = gateway.caller(by, "nobody").await;
        assert_eq!(gateway.right(&caller, "m1").await, Ok(READ), "{by:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_admin_is_asked_for_first_because_permissions_do_not_tell() {
    for generation in GENERATIONS {
        for by in BOTH {
            let server = Arc::new(FakeMlflow::new(generation));
            server.add_user("boss");
            server.set_admin("boss", true);
            let gateway = over(&server).await;
            let boss = gateway.caller(by, "boss").await;
            assert_eq!(gateway.right(&boss, "m1").await, Ok(MANAGE));
            assert_eq!(gateway.rights.right_on_all(&boss).await, Ok(MANAGE));
            // One call told, and none was made about a model.
            assert_eq!(server.calls().len(), 1, "{generation:?} {by:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_deny_on_versions_means_no_read() {
    for permission in ["READ", "MANAGE"] {
        let server = Arc::new(FakeMlflow::new(Generation::New));
        server.give("nobody", "m1", permission);
        server.give_on_versions("nobody", "DENY");
        let gateway = over(&server).await;
        for by in BOTH {
            let caller = gateway.caller(by, "nobody").await;
            assert_eq!(gateway.right(&caller, "m1").await, Ok(None), "{by:?}");
            let visible = gateway.rights.visible(&caller, &["m1", "m2"]).await;
            assert_eq!(visible, Ok(vec![false, false]), "{by:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_permission_on_versions_takes_nothing_away() {
    // To whom nothing was given on versions, MLflow says `NO_PERMISSIONS` there, and lets read what the model allows.
    let gateway = over(&Arc::new(FakeMlflow::new(Generation::New))).await;
    let manager = gateway.caller(By::Token, "manager").await;
    assert_eq!(gateway.right(&manager, "m1").await, Ok(MANAGE));
}

#[tokio::test(start_paused = true)]
async fn a_deny_on_a_model_outdoes_a_wildcard() {
    let server = Arc::new(FakeMlflow::new(Generation::New));
    server.give("nobody", "*", "MANAGE");
    server.give("nobody", "m1", "DENY");
    let gateway = over(&server).await;
    for by in BOTH {
        let caller = gateway.caller(by, "nobody").await;
        assert_eq!(gateway.right(&caller, "m1").await, Ok(None), "{by:?}");
        assert_eq!(gateway.right(&caller, "m2").await, Ok(MANAGE), "{by:?}");
        assert_eq!(
            gateway.rights.right_on_all(&caller).await,
            Ok(None),
            "{by:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_wildcard_holds_on_every_model() {
    let server = Arc::new(FakeMlflow::new(Generation::New));
    server.give("nobody", "*", "READ");
    let gateway = over(&server).await;
    for by in BOTH {
        let caller = gateway.caller(by, "nobody").await;
        assert_eq!(
            gateway.rights.right_on_all(&caller).await,
            Ok(READ),
            "{by:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_default_permission_is_part_of_what_newer_servers_say() {
    let server = Arc::new(FakeMlflow::new(Generation::New));
    server.set_default("READ");
    let gateway = over(&server).await;
    for by in BOTH {
        let caller = gateway.caller(by, "nobody").await;
        assert_eq!(gateway.right(&caller, "m2").await, Ok(READ), "{by:?}");
        assert_eq!(
            gateway.rights.right_on_all(&caller).await,
            Ok(READ),
            "{by:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn older_servers_do_not_tell_others_defaults_so_the_setting_counts() {
    let server = Arc::new(FakeMlflow::new(Generation::Old));
    server.set_default("READ");
    for (setting, right) in [
        (MlflowPermission::NoPermissions, None),
        (MlflowPermission::Read, READ),
        (MlflowPermission::Manage, MANAGE),
    ] {
        let gateway = over_with(&server, "admin", setting).await;
        let nobody = gateway.caller(By::Token, "nobody").await;
        assert_eq!(gateway.right(&nobody, "m1").await, Ok(right));
        // What was given counts more than the default, whichever is larger.
        let reader = gateway.caller(By::Token, "reader").await;
        assert_eq!(gateway.right(&reader, "m1").await, Ok(READ));
    }
}

#[tokio::test(start_paused = true)]
async fn with_a_password_an_older_servers_default_shows_itself() {
    for (default, right) in [("READ", READ), ("EDIT", READ), ("MANAGE", MANAGE)] {
        let server = Arc::new(FakeMlflow::new(Generation::Old));
        server.set_default(default);
        let gateway = over(&server).await;
        let nobody = gateway.caller(By::Password, "nobody").await;
        assert_eq!(gateway.right(&nobody, "m1").await, Ok(right), "{default}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_version_that_does_not_exist_shows_that_the_caller_may_read() {
    // 404 with MLflow's own JSON means let through; only 403 is a refusal.
    let server = Arc::new(FakeMlflow::new(Generation::Old));
    let gateway = over(&server).await;
    let reader = gateway.caller(By::Password, "reader").await;
    server.give("reader", "without versions", "READ");
    assert_eq!(gateway.right(&reader, "without versions").await, Ok(READ));
}

#[tokio::test(start_paused = true)]
async fn a_token_of_somebody_who_is_no_mlflow_user_may_nothing() {
    for generation in GENERATIONS {
        let server = Arc::new(FakeMlflow::new(generation));
        server.set_default("READ");
        let gateway = over_with(&server, "admin", MlflowPermission::Manage).await;
        let ghost = gateway.caller(By::Token, "ghost").await;
        assert_eq!(
            gateway.right(&ghost, "m1").await,
            Ok(None),
            "{generation:?}"
        );
        assert_eq!(
            gateway.rights.visible(&ghost, &["m1"]).await,
            Ok(vec![false])
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_grants_of_the_gateway_count_no_longer() {
    let gateway = over(&Arc::new(FakeMlflow::new(Generation::New))).await;
    gateway.give_grant("nobody", &Grant::Admin).await;
    let nobody = gateway.caller(By::Token, "nobody").await;
    assert!(!nobody.admin);
    assert_eq!(gateway.right(&nobody, "m1").await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn the_scopes_of_a_token_are_applied_last() {
    let gateway = over(&Arc::new(FakeMlflow::new(Generation::New))).await;
    for user in ["manager", "admin"] {
        let scopes = Scopes::only([Permission::new("m1".parse().unwrap(), Right::Read)]);
        let token = NewToken {
            scopes,
            ..NewToken::new(user)
        };
        let caller = gateway.with_token(token).await;
        assert!(!caller.admin);
        assert_eq!(gateway.right(&caller, "m1").await, Ok(READ), "{user}");
        assert_eq!(gateway.right(&caller, "m2").await, Ok(None), "{user}");
        assert_eq!(
            gateway.rights.visible(&caller, &["m2", "m1"]).await,
            Ok(vec![false, true])
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_account_that_is_no_admin_is_named_and_passwords_still_work() {
    for generation in GENERATIONS {
        let server = Arc::new(FakeMlflow::new(generation));
        let gateway = over_with(&server, "editor", MlflowPermission::NoPermissions).await;
        let reader = gateway.caller(By::Token, "reader").await;
        let refused = gateway.right(&reader, "m1").await.unwrap_err();
        assert!(
            matches!(refused, RightsError::Misconfigured(_)),
            "{refused:?}"
        );
        let shown = refused.reason();
        assert!(shown.contains("\"editor\" is no admin"), "{shown}");
        // Callers are not told whose account that is.
        assert!(!refused.to_string().contains("editor"), "{refused}");
        let reader = gateway.caller(By::Password, "reader").await;
        assert_eq!(gateway.right(&reader, "m1").await, Ok(READ));
    }
}

#[tokio::test(start_paused = true)]
async fn the_service_account_can_be_checked_before_anybody_calls() {
    for generation in GENERATIONS {
        let server = Arc::new(FakeMlflow::new(generation));
        let checked = |service| {
            let server = Arc::clone(&server);
            async move {
                let users =
                    auth::MlflowUsers::new(server, service, MlflowPermission::NoPermissions);
                users.check_service().await
            }
        };
        assert_eq!(checked(Some(account("admin"))).await, Ok(()));
        for (service, word) in [
            (Some(account("reader")), "admin"),
            (Some(account("ghost")), "MLFLOW_TRACKING_USERNAME"),
            (None, "MLFLOW_TRACKING_USERNAME"),
        ] {
            let refused = checked(service).await.unwrap_err();
            assert!(
                matches!(refused, SourceError::Misconfigured(_)),
                "{refused:?}"
            );
            assert!(refused.to_string().contains(word), "{refused}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_without_users_is_named() {
    let server = Arc::new(FakeMlflow::new(Generation::New));
    server.set_mood(Mood::Says(404, NOT_FOUND));
    let gateway = over(&server).await;
    let reader = gateway.caller(By::Token, "reader").await;
    let refused = gateway.right(&reader, "m1").await.unwrap_err();
    assert!(refused.reason().contains("basic-auth"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_none_allow_nothing_and_deny_nothing() {
    for (status, body, word) in [
        (
            200,
            "<html>Please sign in</html>",
            "not what an MLflow server",
        ),
        (200, "{}", "not what an MLflow server"),
        (
            500,
            r#"{"error_code": "INTERNAL_ERROR", "message": ""}"#,
            "500",
        ),
        (503, "<html>upstream</html>", "503"),
        (429, "slow down", "429"),
        (
            403,
            "Invalid Host header - possible DNS rebinding attack detected",
            "--allowed-hosts",
        ),
    ] {
        let server = Arc::new(FakeMlflow::new(Generation::New));
        let gateway = over(&server).await;
        let caller = gateway.caller(By::Password, "reader").await;
        server.set_mood(Mood::Says(status, body));
        let refused = gateway.right(&caller, "m1").await.unwrap_err();
        assert!(refused.reason().contains(word), "{refused}");
    }
    // But that is how basic-auth denies, in all versions.
    let server = Arc::new(FakeMlflow::new(Generation::Old));
    let gateway = over(&server).await;
    let caller = gateway.caller(By::Password, "reader").await;
    server.set_mood(Mood::Says(403, PERMISSION_DENIED));
    assert_eq!(gateway.right(&caller, "m1").await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_of_the_server_is_noticed_without_a_restart() {
    for by in BOTH {
        let server = Arc::new(FakeMlflow::new(Generation::Old));
        let gateway = over(&server).await;
        let caller = gateway.caller(by, "manager").await;
        assert_eq!(gateway.right(&caller, "m1").await, Ok(MANAGE));
        server.upgrade();
        server.give("manager", "*", "MANAGE");
        tokio::time::advance(std::time::Duration::from_secs(61)).await;
        let caller = gateway.caller(by, "manager").await;
        assert_eq!(gateway.right(&caller, "m1").await, Ok(MANAGE), "{by:?}");
        assert_eq!(gateway.right(&caller, "m2").await, Ok(MANAGE), "{by:?}");
        server.give("manager", "m2", "DENY");
        tokio::time::advance(std::time::Duration::from_secs(61)).await;
        let caller = gateway.caller(by, "manager").await;
        assert_eq!(gateway.right(&caller, "m2").await, Ok(None), "{by:?}");
    }
}
