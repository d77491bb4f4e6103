//! An MLflow server that knows its users, with a logged model to register, and gateways that take rights from it.

use anyhow::{Context, Result};

use crate::client::Client;
use crate::environment::Environment;
use crate::gateway::{Gateway, GatewayBuilder};
use crate::mlflow::MlflowServer;
use crate::models::Models;
use crate::registry::Registry;
use crate::run::Run;
use crate::users::{Account, Users};
use crate::world::World;

/// The server. Tests make users and models of their own.
#[derive(Debug)]
pub struct Guarded {
    server: MlflowServer,
    models: Models,
}

impl Guarded {
    /// Starts a server of the MLflow in `environment`, and logs iris flowers to it.
    pub async fn start(run: &Run, environment: &Environment) -> Result<Self> {
        let builder = MlflowServer::builder(run, environment);
        let server = builder.basic_auth().start().await?;
        let models = Models::log_these(run, environment, &server, &["iris"]).await?;
        Ok(Self { server, models })
    }

    /// The server itself.
    pub fn server(&self) -> &MlflowServer {
        &self.server
    }

    /// Its registry, as the admin uses it.
    pub fn registry(&self) -> Registry {
        self.server.registry()
    }

    /// Its users.
    pub fn users(&self) -> Result<Users> {
        let admin = self.admin()?.clone();
        Ok(Users::new(self.server.url(), admin))
    }

    /// Its admin, who is the gateways' account, too.
    pub fn admin(&self) -> Result<&Account> {
        self.server.admin().context("the server knows its users")
    }

    /// A new registered model whose only version answers.
    pub async fn register(&self, name: &str) -> Result<()> {
        let registry = self.registry();
        registry.register(name, &[self.models.iris()?]).await
    }

    /// A gateway that takes rights from the registry at `url`: this server's, or a wire's to it. Its first token is the
    /// admin's.
    pub async fn gateway<'a>(
        &self,
        world: &'a World,
        environment: &Environment,
        url: &str,
    ) -> Result<GatewayBuilder<'a>> {
        let admin = self.admin()?;
        let builder = world.gateway_with(environment, url).await?;
        Ok(builder
            .argument("--rights")
            .argument("registry")
            .owner(&admin.user)
            // Each question takes the server seconds on a busy machine, and an answer that is given up is none.
            .variable("SLUICEGATE_AUTH_RIGHTS_DEADLINE", "60s")
            .variable("MLFLOW_TRACKING_USERNAME", &admin.user)
            .variable("MLFLOW_TRACKING_PASSWORD", &admin.password))
    }

    /// A client with a token of `user`, which the owner of the gateway makes.
    pub async fn with_token(gateway: &Gateway, user: &str) -> Result<Client> {
        let wish = serde_json::json!({ "principal": user });
        let made = gateway
            .client()
            .send(reqwest::Method::POST, "/api/v1/tokens", wish)
            .await?;
        let made = made.succeeded()?.json()?;
        let token = made["token"].as_str().context("a token")?;
        Ok(gateway.client().with_token(Some(token)))
    }

    /// Ends it.
    pub async fn stop(self) -> Result<()> {
        self.server.stop().await
    }
}
