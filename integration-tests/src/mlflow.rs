//! A real MLflow server: SQLite, artifacts served by itself, started lean.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use crate::environment::Environment;
use crate::process::{Process, command};
use crate::registry::Registry;
use crate::run::Run;
use crate::users::Account;
use crate::wait::until;

/// A running server. Dropping it kills its whole tree.
#[derive(Debug)]
pub struct MlflowServer {
    process: Process,
    address: SocketAddr,
    database: PathBuf,
    admin: Option<Account>,
}

/// How a server is to be started.
#[derive(Debug)]
pub struct MlflowServerBuilder<'a> {
    run: &'a Run,
    environment: &'a Environment,
    arguments: Vec<String>,
    is_guarded: bool,
    variables: Vec<(String, String)>,
}

impl MlflowServer {
    /// A server of the MLflow in `environment`, with its files below the run's folder.
    pub fn builder<'a>(run: &'a Run, environment: &'a Environment) -> MlflowServerBuilder<'a> {
        MlflowServerBuilder {
            run,
            environment,
            arguments: Vec::new(),
            is_guarded: false,
            variables: Vec::new(),
        }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its registry, as people use it; as its admin does, if it knows its users.
    pub fn registry(&self) -> Registry {
        Registry::new(self.url()).signed_in(self.admin.clone())
    }

    /// Its admin, if it knows its users.
    pub fn admin(&self) -> Option<&Account> {
        self.admin.as_ref()
    }

    /// What a client of MLflow needs in its environment to sign in as the admin.
    pub(crate) fn sign_in(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.admin.iter().flat_map(|admin| {
            [
                ("MLFLOW_TRACKING_USERNAME", admin.user.as_str()),
                ("MLFLOW_TRACKING_PASSWORD", admin.password.as_str()),
            ]
        })
    }

    /// Its SQLite database.
    pub fn database(&self) -> &Path {
        &self.database
    }

    /// The folder of what it serves as `mlflow-artifacts:/`.
    pub fn artifacts(&self) -> PathBuf {
        self.database.with_file_name("artifacts")
    }

    /// Ends it with everything that it started.
    pub async fn stop(mut self) -> Result<()> {
        // MLflow 2 and 1 leave gunicorn behind at SIGTERM: dropping the process kills its whole group.
        self.process.terminate().await.map(drop)
    }
}

impl MlflowServerBuilder<'_> {
    /// One more argument of `mlflow server`.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// It knows its users: MLflow's own basic-auth, whose default permission is none.
    #[must_use]
    pub fn basic_auth(mut self) -> Self {
        self.is_guarded = true;
        self
    }

    /// A variable of its environment.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Its webhooks may deliver to this host. The key is of no use outside of tests.
    #[must_use]
    pub fn with_webhooks(self) -> Self {
        self.variable("MLFLOW_WEBHOOK_ALLOWED_SCHEMES", "http,https")
            .variable("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS", "true")
            .variable(
                "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY",
                "c2x1aWNlZ2F0ZS1zbHVpY2VnYXRlLXNsdWljZWdhdGU=",
            )
            // It asks its database for webhooks once in so many seconds.
            .variable("MLFLOW_WEBHOOK_CACHE_TTL", "1")
    }

    /// Starts it and waits until it answers.
    pub async fn start(self) -> Result<MlflowServer> {
        // Between our closing of a free port and the server's opening of it, somebody else may take it: then once more.
        for _ in 0..3 {
            if let Some(server) = self.try_start().await? {
                return Ok(server);
            }
        }
        bail!("no MLflow server came up in three tries")
    }

    async fn try_start(&self) -> Result<Option<MlflowServer>> {
        let folder = self.run.folder("mlflow")?;
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let database = folder.join("mlflow.db");
        let mut server = command(self.environment.program("mlflow"));
        server
            .current_dir(&folder)
            .env("PATH", self.environment.path())
            // Without its job runner it is 2 processes instead of 11, and ready in a third of the time.
            .env("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
            .env("MLFLOW_DISABLE_TELEMETRY", "true")
            .args(["server", "--workers", "1", "--serve-artifacts"])
            .args(["--host", "127.0.0.1", "--port", &address.port().to_string()])
            .arg("--backend-store-uri")
            .arg(format!("sqlite:///{}", database.display()))
            .arg("--artifacts-destination")
            .arg(folder.join("artifacts"))
            .args(&self.arguments)
            .envs(self.variables.iter().cloned());
        let admin = self.is_guarded.then(|| Account::new("admin"));
        if let Some(admin) = &admin {
            guard(&mut server, &folder, admin)?;
        }
        let process = Process::spawn(server, folder.join("log"))?;
        let mut server = MlflowServer {
            process,
            address,
            database,
            admin,
        };
        let health = format!("{}/health", server.url());
        let client = reqwest::Client::new();
        let up = until("the MLflow server answers", async || {
            if server.process.ended()?.is_some() {
                return Ok(Ok(false));
            }
            let answer = client.get(&health).send().await;
            Ok(answer
                .and_then(reqwest::Response::error_for_status)
                .map(|_| true))
        })
        .await
        .with_context(|| format!("see {}", server.process.log().display()))?;
        Ok(up.then_some(server))
    }
}

/// Nothing of the app's state is where another server would find it. That a password was right is remembered by the
/// server, where it can (since MLflow 3.13 or so): else each of its answers takes 400 ms of a processor.
fn guard(server: &mut Command, folder: &Path, admin: &Account) -> Result<()> {
    let settings = folder.join("auth.ini");
    let Account { user, password } = admin;
    let text = format!(
        "[mlflow]\ndefault_permission = NO_PERMISSIONS\ndatabase_uri = sqlite:///{}\n\
         admin_username = {user}\nadmin_password = {password}\n\
         authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n\
         auth_cache_ttl_seconds = 60\n",
        folder.join("users.db").display()
    );
    std::fs::write(&settings, text)?;
    server
        .args(["--app-name", "basic-auth"])
        .env("MLFLOW_AUTH_CONFIG_PATH", &settings)
        .env("MLFLOW_FLASK_SERVER_SECRET_KEY", "a secret of the tests");
    Ok(())
}
