//! The registry's webhooks: a real MLflow server tells of a change, and the answer follows long before the next poll.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use integration_tests::{
    Answer, Client, Gateway, MlflowServer, Test, World, command, output, tests, until,
};
use reqwest::Method;
use serde_json::{Value, json};

/// The pause between polls: far longer than every change here may take.
const POLLS: &str = "60s";

/// What a change may take, from the registry's answer to ours: most of it is the patience of slow machines.
const SOON: Duration = Duration::from_secs(10);

const MODEL: &str = "hooked";

/// Other gateways of the same server may install one of the default name.
const WEBHOOK: &str = "hooked-gateway";

/// Signs as MLflow does: its arguments are the secret, the id, the timestamp and the body.
const SIGN: &str = r#"
import base64, hashlib, hmac, sys
secret, id, timestamp, body = sys.argv[1:]
mac = hmac.new(secret.encode(), f"{id}.{timestamp}.{body}".encode(), hashlib.sha256)
print("v1," + base64.b64encode(mac.digest()).decode(), end="")
"#;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_delivery_moves_an_alias_long_before_the_next_poll,
        a_registry_that_allows_no_deliveries_says_what_to_set,
    ]
}

async fn a_delivery_moves_an_alias_long_before_the_next_poll(world: Arc<World>) -> Result<()> {
    let (registry, models) = (world.registry().await?, world.models().await?);
    let versions = [models.scripted("a")?, models.scripted("b")?];
    registry.register(MODEL, &versions).await?;
    registry.set_alias(MODEL, "champion", 1).await?;
    let gateway = world.another_gateway().await?.poll_interval(POLLS);
    let gateway = gateway
        .variable("SLUICEGATE_LOG_LEVEL", "info,registry_sync=debug")
        .start()
        .await?;
    let client = gateway.client();
    client.enable(MODEL, json!({})).await?;
    client.until_answered_by(MODEL, "champion", "a").await?;
    client.until_answered_by(MODEL, "2", "b").await?;

    let url = client.base();
    let install = ["webhooks", "install", "--url", url, "--name", WEBHOOK];
    let told = gateway.command(&install).await?;
    ensure!(told.contains("installed"), "{told}");
    let told = gateway.command(&install).await?;
    ensure!(told.contains("updated"), "{told}");
    let test = ["webhooks", "test", "--name", WEBHOOK];
    gateway.command(&test).await?;
    let listed = gateway.command(&["webhooks", "list"]).await?;
    ensure!(listed.contains("model_version_alias.created"), "{listed}");

    for (version, tag) in [(2, "b"), (1, "a"), (2, "b")] {
        registry.set_alias(MODEL, "champion", version).await?;
        let moved = tokio::time::Instant::now();
        client.until_answered_by(MODEL, "champion", tag).await?;
        let took = moved.elapsed();
        tell("from the move of an alias to the new answer", took);
        ensure!(took < SOON, "{took:?}, and polls come every {POLLS}");
    }

    let number = registry
        .create_version(MODEL, models.scripted("c")?)
        .await?;
    let registered = tokio::time::Instant::now();
    until("the new version is seen", async || {
        let seen = client.version(MODEL, number).await?;
        Ok(if seen.is_null() { Err(seen) } else { Ok(()) })
    })
    .await?;
    let took = registered.elapsed();
    tell("from the registration of a version to its deployment", took);
    ensure!(took < SOON, "{took:?}, and polls come every {POLLS}");
    client.until_answered_by(MODEL, "3", "c").await?;

    deliveries_that_are_not_right_do_nothing(&world, &gateway).await?;

    let remove = ["webhooks", "remove", "--name", WEBHOOK];
    gateway.command(&remove).await?;
    let page = client.get("/api/v1/webhooks").await?.succeeded()?.json()?;
    let left = page["webhooks"].as_array().context("webhooks")?;
    ensure!(left.iter().all(|one| one["name"] != WEBHOOK), "{page}");
    client.disable(MODEL).await?;
    gateway.stop().await
}

/// The gateway says in its log when it looks at a model because of a hint.
async fn deliveries_that_are_not_right_do_nothing(world: &World, gateway: &Gateway) -> Result<()> {
    let looks = || -> Result<usize> { Ok(gateway.log()?.matches("looked at one model").count()) };
    let client = gateway.client();
    let secret = std::fs::read_to_string(gateway.data().join("webhook.secret"))?;
    let body = json!({
        "entity": "model_version_alias", "action": "created", "timestamp": "2026-01-01T00:00:00+00:00",
        "data": { "name": MODEL, "alias": "champion", "version": "2" },
    });
    let body = body.to_string();
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed()?.as_secs();
    let sign = async |id: &str, at: u64| -> Result<Delivery> {
        let at = at.to_string();
        let mut python = command(world.environment().await?.python());
        python.args(["-c", SIGN, &secret, id, &at, &body]);
        Ok(Delivery {
            id: id.to_owned(),
            at,
            body: body.clone(),
            signature: output(python).await?,
        })
    };
    let right = sign("right", now).await?;
    let old = sign("old", now - 3600).await?;
    let forged = Delivery {
        body: body.replace("champion", "challenger"),
        ..right.clone()
    };

    // Whatever was delivered before has been followed: the look of the last one is over when another is made.
    let before = state(client).await?;
    let looked = looks()?;
    assert_eq!(forged.send(client).await?.refused(401)?, "UNAUTHENTICATED");
    assert_eq!(
        old.send(client).await?.refused(400)?,
        "INVALID_PARAMETER_VALUE"
    );
    let taken = right.send(client).await?.succeeded()?.json()?;
    assert_eq!(taken, json!({ "outcome": "accepted" }));
    until("the right delivery is followed", async || {
        let count = looks()?;
        Ok(if count == looked + 1 {
            Ok(())
        } else {
            Err(count)
        })
    })
    .await?;
    for _ in 0..3 {
        let again = right.send(client).await?.succeeded()?.json()?;
        assert_eq!(again, json!({ "outcome": "repeated" }));
    }
    // Hints are followed in their order: what the others caused would have happened before this one is followed.
    let last = sign("last", now).await?;
    last.send(client).await?.succeeded()?;
    until("the last delivery is followed", async || {
        let count = looks()?;
        Ok(if count > looked + 1 {
            Ok(())
        } else {
            Err(count)
        })
    })
    .await?;
    assert_eq!(looks()?, looked + 2);

    let after = state(client).await?;
    let grown = |key: &str| after[key].as_u64().zip(before[key].as_u64());
    let grown = |key| grown(key).map(|(after, before)| after - before);
    assert_eq!(grown("refused"), Some(2));
    assert_eq!(grown("repeated"), Some(3));
    assert_eq!(grown("accepted"), Some(2));
    Ok(())
}

/// Each of MLflow's refusals names a variable of the server that lets deliveries through.
async fn a_registry_that_allows_no_deliveries_says_what_to_set(world: Arc<World>) -> Result<()> {
    let (run, environment) = (world.run().await?, world.environment().await?);
    let server = MlflowServer::builder(run, environment).start().await?;
    let gateway = world.gateway_on(&server.url()).await?.start().await?;
    let client = gateway.client();
    for (url, remedy) in [
        ("http://127.0.0.1:1", "MLFLOW_WEBHOOK_ALLOWED_SCHEMES"),
        ("https://127.0.0.1:1", "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS"),
    ] {
        let wish = json!({ "url": url });
        let answer = client
            .send(Method::POST, "/api/v1/webhooks/install", wish)
            .await?;
        assert_eq!(answer.refused(400)?, "INVALID_PARAMETER_VALUE");
        ensure!(answer.text().contains(remedy), "{}", answer.text());
    }
    gateway.stop().await?;
    server.stop().await
}

#[derive(Clone, Debug)]
struct Delivery {
    id: String,
    at: String,
    body: String,
    signature: String,
}

impl Delivery {
    /// Sends it without any other credential.
    async fn send(&self, client: &Client) -> Result<Answer> {
        let request = client
            .with_token(None)
            .request(Method::POST, "/api/v1/webhooks/mlflow")
            .header("Content-Type", "application/json")
            .header("X-MLflow-Delivery-Id", &self.id)
            .header("X-MLflow-Timestamp", &self.at)
            .header("X-MLflow-Signature", &self.signature)
            .body(self.body.clone());
        Answer::of(request).await
    }
}

#[expect(
    clippy::print_stdout,
    reason = "a figure for people, shown by --nocapture"
)]
fn tell(what: &str, took: Duration) {
    println!("{what}: {took:?}");
}

async fn state(client: &Client) -> Result<Value> {
    let status = client.get("/api/v1/status").await?.succeeded()?.json()?;
    status.get("webhooks").cloned().context("webhooks")
}
