//! One generation of MLflow: its server, its client, its worker, and a gateway over them.

use anyhow::{Context, Result};
use integration_tests::{
    Answer, Client, Environment, Gateway, MlflowServer, Models, ScoringServer, World, score_path,
    setting, until,
};
use reqwest::Method;
use serde_json::json;

/// A generation whose environment exists.
pub(crate) struct Generation {
    name: String,
    environment: Environment,
}

/// Everything that a test of one generation needs.
pub(crate) struct Actors {
    pub(crate) gateway: Gateway,
    pub(crate) worker: ScoringServer,
    pub(crate) server: MlflowServer,
    models: Models,
}

impl Generation {
    /// From `SLUICEGATE_COMPAT_PYTHONS`: `NAME=PYTHON`, with spaces between.
    pub(crate) fn all() -> Vec<Self> {
        let listed = setting("SLUICEGATE_COMPAT_PYTHONS")
            .expect("SLUICEGATE_COMPAT_PYTHONS names no environment: run scripts/compat");
        listed
            .split_whitespace()
            .map(|entry| {
                let (name, python) = entry.split_once('=').expect("NAME=PYTHON");
                Self {
                    name: name.to_owned(),
                    environment: Environment::of(python),
                }
            })
            .collect()
    }

    /// Such as `mlflow-1.30.1`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its interpreter.
    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// MLflow 1 has no basic-auth.
    pub(crate) fn has_users(&self) -> bool {
        !self.name.starts_with("mlflow-1.")
    }

    /// Starts a server, logs and registers `iris`, serves it with MLflow's own command and with a gateway.
    pub(crate) async fn start(&self, world: &World) -> Result<Actors> {
        let (run, environment) = (world.run().await?, &self.environment);
        let server = MlflowServer::builder(run, environment).start().await?;
        let models = Models::log_these(run, environment, &server, &["iris"]).await?;
        server
            .registry()
            .register("iris", &[models.iris()?])
            .await?;
        let worker = ScoringServer::start(run, environment, &server.url(), models.iris()?).await?;
        let gateway = world.gateway_with(environment, &server.url()).await?;
        let gateway = gateway.start().await?;
        deploy(gateway.client(), "iris").await?;
        Ok(Actors {
            gateway,
            worker,
            server,
            models,
        })
    }
}

impl Actors {
    /// Gunicorn's masters and workers included.
    pub(crate) async fn nothing_outlives_a_killed_gateway(mut self, world: &World) -> Result<()> {
        self.gateway.kill().await?;
        let run = world.run().await?;
        until("no process of the killed gateway is left", async || {
            let left = run.processes_of(self.gateway.data());
            Ok(if left.is_empty() {
                Ok(())
            } else {
                Err(format!("{left:?}"))
            })
        })
        .await?;
        self.server.stop().await
    }
}

/// MLflow refuses slashes in names since version 3.
pub(crate) async fn a_name_with_a_slash_is_reached_encoded(actors: &Actors) -> Result<()> {
    const NAME: &str = "team/iris 50% é";
    let registry = actors.server.registry();
    registry.register(NAME, &[actors.models.iris()?]).await?;
    let client = actors.gateway.client();
    deploy(client, NAME).await?;
    let row =
        r#"[{"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}]"#;
    let request = client
        .request(Method::POST, &score_path(NAME, "1"))
        .header("Content-Type", "application/json; format=pandas-records")
        .body(row);
    assert_eq!(Answer::of(request).await?.succeeded()?.text(), "[0]");
    client.disable(NAME).await
}

async fn deploy(client: &Client, name: &str) -> Result<()> {
    client.enable(name, json!({})).await?;
    let deployed = client.until_ready(name, 1).await;
    deployed.map(drop).with_context(|| name.to_owned())
}
