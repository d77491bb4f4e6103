//! The real `sluicegate serve`, with a data folder below the run's folder and a token of an admin.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use tokio::process::Command;

use crate::client::Client;
use crate::environment::Environment;
use crate::process::{Process, command, output};
use crate::run::Run;
use crate::wait::until;

/// A secret that every gateway here is given: no worker may see it.
pub const SECRET: &str = "a-secret-of-the-gateway";

/// A running gateway. Dropping it kills it with SIGKILL; its workers have to end by themselves then.
#[derive(Debug)]
pub struct Gateway {
    start: Start,
    process: Process,
    client: Client,
}

/// How a gateway is to be started.
#[derive(Debug)]
pub struct GatewayBuilder<'a> {
    run: &'a Run,
    start: Start,
    /// Whose the first token is, without rights given here.
    owner: Option<String>,
}

/// Everything that is needed to start it, again and again.
#[derive(Clone, Debug)]
struct Start {
    binary: PathBuf,
    data: PathBuf,
    path: String,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    token: Option<String>,
}

impl Gateway {
    /// A gateway that follows the registry at a URL, and finds `environment` on its `PATH`, with uv.
    pub fn builder<'a>(
        run: &'a Run,
        environment: &Environment,
        binary: &Path,
        registry: &str,
    ) -> GatewayBuilder<'a> {
        let start = Start {
            binary: binary.to_owned(),
            data: run.fresh("gateway"),
            path: environment.path(),
            arguments: Vec::new(),
            variables: Vec::new(),
            token: None,
        };
        GatewayBuilder {
            run,
            start,
            owner: None,
        }
        .argument("--registry")
        .argument(registry)
        .argument("--poll-interval")
        .argument("1s")
    }

    /// An admin's client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Its data folder.
    pub fn data(&self) -> &Path {
        &self.start.data
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// What it wrote to stdout and stderr so far.
    pub fn log(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.process.log())?)
    }

    /// SIGTERM, for good.
    pub async fn stop(mut self) -> Result<()> {
        self.terminate().await
    }

    /// SIGTERM; fails unless it ends 0.
    pub async fn terminate(&mut self) -> Result<()> {
        let status = self.process.terminate().await?;
        ensure!(
            status.success(),
            "the gateway ended with {status}:\n{}",
            self.log()?
        );
        Ok(())
    }

    /// SIGKILL.
    pub async fn kill(&mut self) -> Result<()> {
        self.process.kill().await
    }

    /// A new process in place of one that was killed or has been stopped, with the same data folder and token.
    pub async fn start_again(&mut self) -> Result<()> {
        *self = self.start.clone().start().await?;
        Ok(())
    }

    /// From its next start on.
    pub fn set_variable(&mut self, name: &str, value: &str) {
        let variable = (name.to_owned(), value.to_owned());
        self.start.variables.push(variable);
    }

    /// Runs the same program as a command line client of this gateway; gives its stdout.
    pub async fn command(&self, arguments: &[&str]) -> Result<String> {
        output(self.client_command(arguments)).await
    }

    /// The same program as a command line client of this gateway.
    pub fn client_command(&self, arguments: &[&str]) -> Command {
        let mut client = self.start.command(&self.start.data);
        client
            .env("SLUICEGATE_URL", self.client.base())
            .env("SLUICEGATE_TOKEN", self.client.token().unwrap_or_default())
            .args(arguments);
        client
    }
}

impl GatewayBuilder<'_> {
    /// One more argument of `sluicegate serve`.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.start.arguments.push(argument.into());
        self
    }

    /// The first token is of this principal, who gets no rights here; else it is an admin's.
    #[must_use]
    pub fn owner(mut self, principal: &str) -> Self {
        self.owner = Some(principal.to_owned());
        self
    }

    /// Polls at this interval instead of each second.
    #[must_use]
    pub fn poll_interval(mut self, interval: &str) -> Self {
        let arguments = &mut self.start.arguments;
        if let Some(place) = arguments.iter().position(|one| one == "--poll-interval") {
            interval.clone_into(&mut arguments[place + 1]);
        }
        self
    }

    /// Workers run in `environment`, whatever models declare.
    pub fn local(self, environment: &Environment) -> Result<Self> {
        let python = environment.python().to_str().context("UTF-8")?;
        Ok(self
            .argument("--env-manager")
            .argument("local")
            .argument("--python")
            .argument(python))
    }

    /// A variable of its environment.
    #[must_use]
    pub fn variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.start.variables.push((name.to_owned(), value.into()));
        self
    }

    /// Makes the data folder and a token, starts the gateway and waits until it accepts requests.
    pub async fn start(mut self) -> Result<Gateway> {
        std::fs::create_dir(&self.start.data)?;
        let mut create = self.start.command(self.run.path());
        create.args(["tokens", "create", "--principal"]);
        match &self.owner {
            Some(owner) => create.arg(owner),
            None => create.args(["tester", "--admin"]),
        };
        create.args(["--local", "--data-dir"]).arg(&self.start.data);
        let token = output(create).await.context("make the first token")?;
        self.start.token = Some(token.trim().to_owned());
        self.start.start().await
    }
}

impl Start {
    async fn start(self) -> Result<Gateway> {
        let mut serve = self.command(&self.data);
        serve
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(&self.data)
            .args(&self.arguments)
            .env("MLFLOW_TRACKING_TOKEN", SECRET)
            .env("AWS_SECRET_ACCESS_KEY", SECRET);
        let log = self.data.with_extension("log");
        let before = std::fs::read_to_string(&log).unwrap_or_default().len();
        let mut process = Process::spawn(serve, &log)?;
        let address = until("the gateway listens", async || {
            let text = std::fs::read_to_string(&log)?.split_off(before);
            if let Some(status) = process.ended()? {
                bail!("the gateway ended with {status}:\n{text}");
            }
            // A line that is still being written would give half of an address.
            let line = text
                .split_inclusive('\n')
                .filter(|line| line.ends_with('\n'))
                .find_map(|line| line.split_once("listening on http://"));
            Ok(line
                .map(|(_, address)| address.trim().to_owned())
                .ok_or(text))
        })
        .await?;
        Ok(Gateway {
            client: Client::new(format!("http://{address}"), self.token.clone()),
            start: self,
            process,
        })
    }

    fn command(&self, folder: &Path) -> Command {
        let mut command = command(&self.binary);
        command
            .current_dir(folder)
            .env("PATH", &self.path)
            .envs(self.variables.iter().cloned());
        command
    }
}
