//! `mlflow models serve` of the iris model, its files on the disk already.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;

use anyhow::{Context, Result};
use integration_tests::{Environment, Process, World, command, output};

/// How to start one.
pub(crate) struct Serve {
    environment: Environment,
    folder: PathBuf,
    model: String,
}

/// One that was started; dropping it kills it.
pub(crate) struct Server {
    process: Process,
    address: SocketAddr,
}

impl Serve {
    /// Fetches the model.
    pub(crate) async fn prepare(world: &World) -> Result<Self> {
        let environment = world.environment().await?.clone();
        let folder = world.run().await?.folder("serve")?;
        let logged = world.models().await?.iris()?;
        let mut download = command(environment.program("mlflow"));
        download
            .env("PATH", environment.path())
            .env("MLFLOW_TRACKING_URI", world.mlflow().await?.url())
            .env("TMPDIR", &folder)
            .current_dir(&folder)
            .args(["artifacts", "download", "-u", &logged.source]);
        let printed = output(download).await.context("download the model")?;
        let model = printed.lines().last().unwrap_or_default().to_owned();
        Ok(Self {
            environment,
            folder,
            model,
        })
    }

    /// Starts it on a free port; it listens some seconds later.
    pub(crate) fn start(&self) -> Result<Server> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let mut serve = command(self.environment.program("mlflow"));
        serve
            .env("PATH", self.environment.path())
            .current_dir(&self.folder)
            .args(["models", "serve", "--env-manager", "local", "-w", "1"])
            .args(["-m", &self.model, "-h", "127.0.0.1", "-p"])
            .arg(address.port().to_string());
        let process = Process::spawn(serve, self.folder.join("log"))?;
        Ok(Server { process, address })
    }
}

impl Server {
    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The process that was started.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}
