//! Who may call: the rows 401 and 403, and the 404 that hides a model.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use integration_tests::{Answer, Client, Test, World, score_path, tests, until};
use reqwest::Method;
use serde_json::{Value, json};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_missing_or_wrong_credential_is_401,
        a_revoked_and_an_expired_token_are_401,
        basic_with_the_user_token_is_as_good_as_bearer,
        what_a_caller_may_not_do_is_403_and_what_it_may_not_see_is_404,
    ]
}

async fn a_missing_or_wrong_credential_is_401(world: Arc<World>) -> Result<()> {
    let client = world.scripted().await?;
    for token in [None, Some("sgp_wrong")] {
        let caller = client.with_token(token);
        for path in [
            score_path("scripted", "1"),
            score_path("no such model", "1"),
        ] {
            let answer = caller.send(Method::POST, &path, json!([])).await?;
            refused_as_unknown(&answer)?;
        }
    }
    refused_as_unknown(&client.with_token(None).get("/api/v1/models").await?)
}

async fn a_revoked_and_an_expired_token_are_401(world: Arc<World>) -> Result<()> {
    let client = world.scripted().await?;
    let made = create(client, json!({ "comment": "to be revoked" })).await?;
    let caller = client.with_token(made["token_value"].as_str());
    assert_eq!(caller.which("scripted", "1").await?, "a");
    let id = json!({ "token_id": made["token_info"]["token_id"] });
    let revoked = client
        .send(Method::POST, "/api/2.0/token/delete", id)
        .await?;
    revoked.succeeded()?;
    let answer = caller.script("scripted", "1", "which", Value::Null).await?;
    refused_as_unknown(&answer)?;

    let made = create(client, json!({ "lifetime_seconds": 1 })).await?;
    let caller = client.with_token(made["token_value"].as_str());
    let answer = until("the token has expired", async || {
        let answer = caller.script("scripted", "1", "which", Value::Null).await?;
        Ok(if answer.status == 200 {
            Err(answer.text())
        } else {
            Ok(answer)
        })
    })
    .await?;
    refused_as_unknown(&answer)
}

async fn basic_with_the_user_token_is_as_good_as_bearer(world: Arc<World>) -> Result<()> {
    let client = world.scripted().await?;
    let request = client
        .with_token(None)
        .request(Method::POST, &score_path("scripted", "1"))
        .basic_auth("token", client.token())
        .json(&json!([{ "do": "which" }]));
    assert_eq!(Answer::of(request).await?.succeeded()?.text(), r#"["a"]"#);
    Ok(())
}

async fn what_a_caller_may_not_do_is_403_and_what_it_may_not_see_is_404(
    world: Arc<World>,
) -> Result<()> {
    world.iris().await?;
    let client = world.scripted().await?;
    let gateway = world.gateway().await?;
    let created = [
        "tokens",
        "create",
        "--principal",
        "reader",
        "--read",
        "scripted",
    ];
    let token = gateway.command(&created).await?;
    let reader = client.with_token(Some(token.trim()));
    assert_eq!(reader.which("scripted", "1").await?, "a");

    let manage = reader.send(Method::PUT, "/api/v1/models/scripted/serving", json!({}));
    assert_eq!(manage.await?.refused(403)?, "PERMISSION_DENIED");
    let name = json!({ "registered_model_name": "scripted" });
    let disable = reader.send(Method::POST, "/api/2.0/mlflow/endpoints/disable", name);
    ensure!(
        disable.await?.status == 403,
        "the legacy API knows the same rights"
    );
    assert_eq!(client.which("scripted", "1").await?, "a");

    // The same answer as for a model that does not exist.
    let hidden = reader.script("iris", "1", "which", Value::Null).await?;
    assert_eq!(hidden.refused(404)?, "RESOURCE_DOES_NOT_EXIST");
    Ok(())
}

async fn create(client: &Client, wish: Value) -> Result<Value> {
    let answer = client
        .send(Method::POST, "/api/2.0/token/create", wish)
        .await?;
    let made = answer.succeeded()?.json()?;
    made["token_value"].as_str().context("a token")?;
    Ok(made)
}

fn refused_as_unknown(answer: &Answer) -> Result<()> {
    assert_eq!(answer.refused(401)?, "UNAUTHENTICATED");
    let ways = answer.headers.get_all("www-authenticate");
    let ways: Vec<_> = ways.iter().filter_map(|way| way.to_str().ok()).collect();
    let ways = ways.join(", ");
    ensure!(ways.contains("Bearer") && ways.contains("Basic"), "{ways}");
    Ok(())
}
