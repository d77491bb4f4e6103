//! Databricks as the registry, over replies shaped as its public documentation shows them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use auth::{
    AuthError, Credentials, DatabricksUsers, HttpCall, HttpCalls, HttpReply, InheritedConfig,
    NoReply, Right, RightsError, RightsSource, Secret,
};
use tokio::time::sleep;

use crate::fake::{html, json};
use crate::gateway::{BOTH, By, Gateway};

const ACCESS: &str = r#"{
  "object_id": "/registered-models/0c9b1f",
  "object_type": "registered-model",
  "access_control_list": [
    {"user_name": "ann@example.com", "all_permissions": [{"permission_level": "CAN_READ", "inherited": false}]},
    {"user_name": "max@example.com", "all_permissions": [{"permission_level": "CAN_MANAGE", "inherited": false}]},
    {"group_name": "scientists", "all_permissions": [
      {"permission_level": "CAN_MANAGE_STAGING_VERSIONS", "inherited": true, "inherited_from_object": ["/registered-models/"]}
    ]},
    {"group_name": "admins", "all_permissions": [
      {"permission_level": "CAN_MANAGE", "inherited": true, "inherited_from_object": ["/registered-models/"]}
    ]}
  ]
}"#;

/// Who is in which group, and what MLflow's call tells them about `fraud`.
const PEOPLE: [(&str, &[&str], &str); 5] = [
    ("ann@example.com", &[], "CAN_READ"),
    ("max@example.com", &[], "CAN_MANAGE"),
    (
        "sam@example.com",
        &["scientists"],
        "CAN_MANAGE_STAGING_VERSIONS",
    ),
    ("root@example.com", &["admins"], "CAN_MANAGE"),
    ("eve@example.com", &["others"], ""),
];

/// A token is the user's name with `dapi-` in front.
#[derive(Default)]
struct FakeDatabricks {
    gone: Mutex<Vec<String>>,
}

#[async_trait]
impl HttpCalls for FakeDatabricks {
    async fn get(&self, call: HttpCall<'_>) -> Result<HttpReply, NoReply> {
        let Credentials::Bearer(token) = call.credentials else {
            return Ok(html(401, ""));
        };
        let asker = token.expose().strip_prefix("dapi-").unwrap_or_default();
        let gone = self.gone.lock().unwrap().clone();
        let known = |name: &str| {
            let known = PEOPLE.iter().find(|(known, ..)| *known == name);
            known.filter(|_| !gone.contains(&name.to_owned()))
        };
        let Some((_, groups, level)) = known(asker) else {
            let body = r#"{"error_code": "403", "message": "Invalid access token."}"#;
            return Ok(html(403, body));
        };
        let denied =
            r#"{"error_code": "PERMISSION_DENIED", "message": "User does not have permission"}"#;
        let parameter = call.query.first().map_or("", |(_, value)| value);
        Ok(match call.path {
            "api/2.0/preview/scim/v2/Me" => json(&person(asker, groups)),
            "api/2.0/preview/scim/v2/Users" if !groups.contains(&"admins") => html(403, denied),
            "api/2.0/preview/scim/v2/Users" => {
                let name = parameter.strip_prefix("userName eq \"").unwrap();
                let name = name.strip_suffix('"').unwrap();
                let found = known(name).map(|(name, groups, _)| person(name, groups));
                let count = found.iter().count();
                let found = found.unwrap_or_default();
                json(&format!(
                    r#"{{"totalResults": {count}, "startIndex": 1, "Resources": [{found}]}}"#
                ))
            }
            "api/2.0/mlflow/databricks/registered-models/get" if parameter != "fraud" => html(
                404,
                r#"{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "RegisteredModel not found"}"#,
            ),
            "api/2.0/mlflow/databricks/registered-models/get" if level.is_empty() => {
                html(403, denied)
            }
            "api/2.0/mlflow/databricks/registered-models/get" => json(&format!(
                r#"{{"registered_model_databricks": {{"name": "fraud", "id": "0c9b1f", "permission_level": "{level}"}}}}"#
            )),
            "api/2.0/permissions/registered-models/0c9b1f" if *level != "CAN_MANAGE" => {
                html(403, denied)
            }
            "api/2.0/permissions/registered-models/0c9b1f" => json(ACCESS),
            other => panic!("{other}"),
        })
    }
}

fn person(name: &str, groups: &[&str]) -> String {
    let groups: Vec<_> = groups
        .iter()
        .map(|group| format!(r#"{{"display": "{group}", "type": "direct", "value": "1"}}"#))
        .collect();
    format!(
        r#"{{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "id": "7", "userName": "{name}", "active": true, "groups": [{}]}}"#,
        groups.join(", ")
    )
}

async fn over(server: &Arc<FakeDatabricks>, service: Option<&str>) -> Gateway {
    let service = service.map(|name| Secret::new(format!("dapi-{name}")));
    let users = DatabricksUsers::new(Arc::clone(server) as _, service);
    Gateway::over(Arc::new(users), InheritedConfig::default()).await
}

async fn caller(gateway: &Gateway, by: By, name: &str) -> auth::Principal {
    match by {
        By::Token => gateway.caller(By::Token, name).await,
        By::Password => gateway
            .sign_in(name, &format!("dapi-{name}"))
            .await
            .unwrap(),
    }
}

#[tokio::test(start_paused = true)]
async fn permission_levels_are_read_and_manage_for_both_kinds_of_caller() {
    for by in BOTH {
        let gateway = over(&Arc::default(), Some("root@example.com")).await;
        for (name, right) in [
            ("ann@example.com", Some(Right::Read)),
            ("max@example.com", Some(Right::Manage)),
            ("sam@example.com", Some(Right::Read)),
            ("root@example.com", Some(Right::Manage)),
            ("eve@example.com", None),
        ] {
            let caller = caller(&gateway, by, name).await;
            assert_eq!(caller.admin, name.starts_with("root"), "{name}");
            assert_eq!(
                gateway.right(&caller, "fraud").await,
                Ok(right),
                "{by:?} {name}"
            );
            let visible = gateway.rights.visible(&caller, &["fraud"]).await;
            assert_eq!(visible, Ok(vec![right.is_some()]));
            let elsewhere = gateway.right(&caller, "unknown").await;
            assert_eq!(
                elsewhere,
                Ok(right.filter(|_| caller.admin)),
                "{by:?} {name}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_databricks_token_counts_for_its_own_user_only() {
    let gateway = over(&Arc::default(), None).await;
    let refused = gateway
        .sign_in("root@example.com", "dapi-ann@example.com")
        .await;
    assert_eq!(refused, Err(AuthError::PasswordWrong));
    let refused = gateway.sign_in("ann@example.com", "dapi-nobody").await;
    assert_eq!(refused, Err(AuthError::PasswordWrong));
    let ann = gateway
        .sign_in("Ann@Example.com", "dapi-ann@example.com")
        .await
        .unwrap();
    assert_eq!(&*ann.name, "ann@example.com");
}

#[tokio::test(start_paused = true)]
async fn a_deactivated_user_is_out_within_the_age() {
    for by in BOTH {
        let server = Arc::new(FakeDatabricks::default());
        let gateway = over(&server, Some("root@example.com")).await;
        let ann = caller(&gateway, by, "ann@example.com").await;
        assert_eq!(gateway.right(&ann, "fraud").await, Ok(Some(Right::Read)));
        server
            .gone
            .lock()
            .unwrap()
            .push("ann@example.com".to_owned());
        sleep(Duration::from_secs(60)).await;
        assert_eq!(gateway.right(&ann, "fraud").await, Ok(None), "{by:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_token_that_is_no_admins_or_missing_is_named() {
    for (service, word) in [
        (Some("max@example.com"), "workspace admin"),
        (Some("nobody"), "MLFLOW_TRACKING_TOKEN"),
        (None, "MLFLOW_TRACKING_TOKEN"),
    ] {
        let gateway = over(&Arc::default(), service).await;
        let ann = gateway.caller(By::Token, "ann@example.com").await;
        let refused = gateway.right(&ann, "fraud").await.unwrap_err();
        assert!(
            matches!(refused, RightsError::Misconfigured(_)),
            "{refused:?}"
        );
        assert!(refused.reason().contains(word), "{refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_service_token_is_checked_without_a_caller() {
    for (service, word) in [
        (Some("root@example.com"), None),
        (Some("max@example.com"), Some("workspace admin")),
        (Some("nobody"), Some("MLFLOW_TRACKING_TOKEN")),
        (None, Some("MLFLOW_TRACKING_TOKEN")),
    ] {
        let token = service.map(|name| Secret::new(format!("dapi-{name}")));
        let users = DatabricksUsers::new(Arc::<FakeDatabricks>::default(), token);
        let checked = users.check_service().await;
        let said = checked.map_err(|error| error.to_string());
        match word {
            None => assert_eq!(said, Ok(())),
            Some(word) => assert!(said.unwrap_err().contains(word), "{service:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_would_change_the_filter_is_nobodys() {
    let gateway = over(&Arc::default(), Some("root@example.com")).await;
    let name = r#"x" or userName eq "root@example.com"#;
    let caller = gateway.caller(By::Token, name).await;
    assert!(!caller.admin);
    assert_eq!(gateway.right(&caller, "fraud").await, Ok(None));
}
