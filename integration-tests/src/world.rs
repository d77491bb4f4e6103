//! What the tests of one binary share. Each piece is made when a test first asks for it.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use serde_json::json;
use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::binary::sluicegate;
use crate::browser::Browser;
use crate::channels::Channels;
use crate::client::Client;
use crate::environment::Environment;
use crate::gateway::{Gateway, GatewayBuilder};
use crate::guarded::Guarded;
use crate::mlflow::MlflowServer;
use crate::models::{Logged, Models};
use crate::process::command;
use crate::registry::{Registry, Stage};
use crate::run::Run;
use crate::scoring_server::ScoringServer;

/// Names the address of conda's channels to the program.
const ALIAS: &str = "SLUICEGATE_CONDA_CHANNEL_ALIAS";

/// Shared pieces. Tests that stop, kill or starve something make their own.
#[derive(Debug, Default)]
pub struct World {
    ground: OnceCell<Ground>,
    binary: OnceCell<PathBuf>,
    mlflow: OnceCell<MlflowServer>,
    guarded: OnceCell<Guarded>,
    models: OnceCell<Models>,
    declared_iris: OnceCell<Logged>,
    channels: OnceCell<Channels>,
    gateway: OnceCell<Gateway>,
    building_gateway: OnceCell<Gateway>,
    iris: OnceCell<()>,
    scripted: OnceCell<()>,
    scoring_server: OnceCell<ScoringServer>,
    browser: OnceCell<Browser>,
}

#[derive(Debug)]
struct Ground {
    environment: Environment,
    run: Run,
}

impl World {
    /// The run that everything belongs to.
    pub async fn run(&self) -> Result<&Run> {
        Ok(&self.ground().await?.run)
    }

    /// Interpreter and tools.
    pub async fn environment(&self) -> Result<&Environment> {
        Ok(&self.ground().await?.environment)
    }

    /// The MLflow server.
    pub async fn mlflow(&self) -> Result<&MlflowServer> {
        self.mlflow
            .get_or_try_init(async || {
                let Ground { environment, run } = self.ground().await?;
                MlflowServer::builder(run, environment)
                    .with_webhooks()
                    .start()
                    .await
            })
            .await
    }

    /// The MLflow server that knows its users.
    pub async fn guarded(&self) -> Result<&Guarded> {
        self.guarded
            .get_or_try_init(async || {
                let Ground { environment, run } = self.ground().await?;
                Guarded::start(run, environment).await
            })
            .await
    }

    /// Its registry.
    pub async fn registry(&self) -> Result<Registry> {
        Ok(self.mlflow().await?.registry())
    }

    /// Logged models.
    pub async fn models(&self) -> Result<&Models> {
        self.models
            .get_or_try_init(async || {
                let Ground { environment, run } = self.ground().await?;
                Models::log(run, environment, self.mlflow().await?).await
            })
            .await
    }

    /// Iris flowers, with the `conda.yaml` that MLflow writes if nobody interferes.
    pub async fn declared_iris(&self) -> Result<&Logged> {
        self.declared_iris
            .get_or_try_init(async || {
                let Ground { environment, run } = self.ground().await?;
                let (server, names) = (self.mlflow().await?, ["declared-iris"]);
                let models = Models::log_these(run, environment, server, &names).await?;
                models.declared_iris().cloned()
            })
            .await
    }

    /// The conda channel.
    pub async fn channels(&self) -> Result<&Channels> {
        self.channels
            .get_or_try_init(async || Channels::find(self.environment().await?).await)
            .await
    }

    /// The gateway that builds the environments that models declare, as it does by default; each test enables its own models.
    pub async fn building_gateway(&self) -> Result<&Gateway> {
        self.building_gateway
            .get_or_try_init(async || self.another_building_gateway().await?.start().await)
            .await
    }

    /// A gateway of the test's own that builds environments, with the shared channel and its own caches (but for uv's).
    pub async fn another_building_gateway(&self) -> Result<GatewayBuilder<'_>> {
        let (registry, alias) = (self.mlflow().await?.url(), self.channels().await?.alias());
        let Ground { environment, run } = self.ground().await?;
        let builder = Gateway::builder(run, environment, self.binary().await?, &registry);
        Ok(builder.variable(ALIAS, alias))
    }

    /// The program without a gateway, for what it does on this host; conda packages come from the shared channel.
    pub async fn program(&self) -> Result<Command> {
        let alias = self.channels().await?.alias();
        let Ground { environment, run } = self.ground().await?;
        let mut program = command(self.binary().await?);
        program
            .current_dir(run.path())
            .env("PATH", environment.path())
            .env(ALIAS, alias);
        Ok(program)
    }

    /// The gateway that most tests use; each enables its own models.
    pub async fn gateway(&self) -> Result<&Gateway> {
        self.gateway
            .get_or_try_init(async || self.another_gateway().await?.start().await)
            .await
    }

    /// An admin's client of the shared gateway.
    pub async fn client(&self) -> Result<&Client> {
        Ok(self.gateway().await?.client())
    }

    /// A gateway of the test's own, on the shared MLflow server.
    pub async fn another_gateway(&self) -> Result<GatewayBuilder<'_>> {
        let registry = self.mlflow().await?.url();
        self.gateway_on(&registry).await
    }

    /// A gateway of the test's own, on a registry of its choice.
    pub async fn gateway_on(&self, registry: &str) -> Result<GatewayBuilder<'_>> {
        let environment = self.environment().await?;
        self.gateway_with(environment, registry).await
    }

    /// A gateway of the test's own, with workers of another environment.
    pub async fn gateway_with(
        &self,
        environment: &Environment,
        registry: &str,
    ) -> Result<GatewayBuilder<'_>> {
        let run = self.run().await?;
        Gateway::builder(run, environment, self.binary().await?, registry).local(environment)
    }

    /// The shared model `iris`: version 1 is Ready and in Production. Tests only score it.
    pub async fn iris(&self) -> Result<&Client> {
        let make = async || {
            let logged = self.models().await?.iris()?;
            self.deploy("iris", logged).await
        };
        self.iris.get_or_try_init(make).await?;
        self.client().await
    }

    /// The shared model `scripted`: version 1 (tag `a`) is Ready and in Production. Tests leave it alive.
    pub async fn scripted(&self) -> Result<&Client> {
        let make = async || {
            let logged = self.models().await?.scripted("a")?;
            self.deploy("scripted", logged).await
        };
        self.scripted.get_or_try_init(make).await?;
        self.client().await
    }

    /// A worker of the shared iris model, outside of any gateway.
    pub async fn scoring_server(&self) -> Result<&ScoringServer> {
        self.scoring_server
            .get_or_try_init(async || {
                let Ground { environment, run } = self.ground().await?;
                let logged = self.models().await?.iris()?;
                let registry = self.mlflow().await?.url();
                ScoringServer::start(run, environment, &registry, logged).await
            })
            .await
    }

    /// The browsers.
    pub async fn browser(&self) -> Result<&Browser> {
        self.browser
            .get_or_try_init(async || {
                let Ground { environment, run } = self.ground().await?;
                Browser::start(run, environment).await
            })
            .await
    }

    /// The last lines that the shared gateways wrote.
    pub(crate) fn gateway_log(&self) -> Option<String> {
        let gateways = [&self.gateway, &self.building_gateway];
        let logs = gateways.iter().filter_map(|gateway| {
            let log = gateway.get()?.log().ok()?;
            let lines: Vec<&str> = log.lines().collect();
            Some(lines[lines.len().saturating_sub(40)..].join("\n"))
        });
        let logs: Vec<_> = logs.collect();
        (!logs.is_empty()).then(|| logs.join("\n---\n"))
    }

    /// Ends everything; fails if the gateway does not end well or a process is left.
    pub async fn finish(self) -> Result<()> {
        let Some(Ground { run, .. }) = self.ground.into_inner() else {
            return Ok(());
        };
        let mut errors = Vec::new();
        drop(self.scoring_server);
        if let Some(browser) = self.browser.into_inner() {
            errors.extend(browser.stop().await.err());
        }
        for gateway in [self.gateway, self.building_gateway] {
            if let Some(gateway) = gateway.into_inner() {
                errors.extend(gateway.stop().await.err());
            }
        }
        if let Some(mlflow) = self.mlflow.into_inner() {
            errors.extend(mlflow.stop().await.err());
        }
        if let Some(guarded) = self.guarded.into_inner() {
            errors.extend(guarded.stop().await.err());
        }
        errors.extend(run.finish().await.err());
        if !errors.is_empty() {
            let errors: Vec<_> = errors.iter().map(|error| format!("{error:#}")).collect();
            bail!("{}", errors.join("\n"));
        }
        Ok(())
    }

    async fn deploy(&self, name: &str, logged: &Logged) -> Result<()> {
        let (registry, client) = (self.registry().await?, self.client().await?);
        registry.register(name, &[logged]).await?;
        registry.transition(name, 1, Stage::Production).await?;
        client.enable(name, json!({})).await?;
        client.until_ready(name, 1).await?;
        Ok(())
    }

    async fn binary(&self) -> Result<&Path> {
        let binary = self.binary.get_or_try_init(sluicegate).await?;
        Ok(binary)
    }

    async fn ground(&self) -> Result<&Ground> {
        self.ground
            .get_or_try_init(async || {
                let environment = Environment::find().await?;
                let run = Run::start(&environment)?;
                Ok(Ground { environment, run })
            })
            .await
    }
}
