//! Rights that come from a registry of an older generation with basic-auth.

use anyhow::{Context, Result};
use integration_tests::{Account, Client, Guarded, World};
use reqwest::Method;
use serde_json::json;

use crate::generation::Generation;

const ROW: &str =
    r#"[{"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}]"#;

/// Who scores, who enables, and who sees anything: over tokens and over passwords.
pub(crate) async fn users_may_here_what_the_registry_lets_them(
    generation: Generation,
    world: &World,
) -> Result<()> {
    let environment = generation.environment();
    let guarded = Guarded::start(world.run().await?, environment).await?;
    let (users, url) = (guarded.users()?, guarded.server().url());
    let gateway = guarded.gateway(world, environment, &url).await?;
    let gateway = gateway.start().await?;
    guarded.register("iris").await?;
    gateway.client().enable("iris", json!({})).await?;
    gateway.client().until_ready("iris", 1).await?;
    for (name, permission, statuses) in [
        ("manager", Some("MANAGE"), [200, 200, 200, 200]),
        ("editor", Some("EDIT"), [200, 200, 403, 403]),
        ("reader", Some("READ"), [200, 200, 403, 403]),
        ("stranger", None, [404, 404, 404, 404]),
        ("boss", None, [200, 200, 200, 200]),
    ] {
        let account = users.add(name).await?;
        if let Some(permission) = permission {
            users.give(name, "iris", permission).await?;
        }
        users.set_admin(name, name == "boss").await?;
        let by_token = Guarded::with_token(&gateway, name).await?;
        let by_password = gateway.client().with_login(&account);
        for client in [&by_token, &by_password] {
            let lets = users.may_read(&account, "iris", 1).await?;
            assert_eq!(lets, statuses[0] == 200, "{name} at the registry");
            assert_eq!(what_it_may(client).await?, statuses, "{name}");
            let shown = client.get("/api/v1/models").await?.succeeded()?.json()?;
            let shown = shown["models"].as_array().context("models")?;
            assert_eq!(shown.len(), usize::from(lets), "{name}");
        }
    }
    let wrong = Account {
        user: "reader".to_owned(),
        password: "not the password".to_owned(),
    };
    let refused = gateway.client().with_login(&wrong);
    assert_eq!(what_it_may(&refused).await?, [401; 4]);
    gateway.stop().await?;
    guarded.stop().await
}

/// The statuses of scoring, showing, enabling, and enabling over the legacy API.
async fn what_it_may(client: &Client) -> Result<[u16; 4]> {
    let content_type = "application/json; format=pandas-records";
    let scored = client.score("iris", "1", content_type, ROW).await?;
    let shown = client.get("/api/v1/models/iris").await?;
    let serving = "/api/v1/models/iris/serving";
    let enabled = client.send(Method::PUT, serving, json!({})).await?;
    let legacy = "/api/2.0/mlflow/endpoints/enable";
    let body = json!({ "registered_model_name": "iris" });
    let legacy = client.send(Method::POST, legacy, body).await?;
    Ok([scored.status, shown.status, enabled.status, legacy.status])
}
