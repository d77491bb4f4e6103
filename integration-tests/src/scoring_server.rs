//! `mlflow models serve`, asked directly: what a worker itself answers, to compare with.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::{Context, Result, bail};
use bytes::Bytes;

use crate::client::Answer;
use crate::environment::Environment;
use crate::models::Logged;
use crate::process::{Process, command, output};
use crate::run::Run;
use crate::wait::until;

/// A scoring server of MLflow. Dropping it kills it.
#[derive(Debug)]
pub struct ScoringServer {
    _process: Process,
    address: SocketAddr,
    http: reqwest::Client,
}

impl ScoringServer {
    /// Downloads a logged model with MLflow's client and serves it with MLflow's command.
    pub async fn start(
        run: &Run,
        environment: &Environment,
        registry: &str,
        logged: &Logged,
    ) -> Result<Self> {
        let folder = run.folder("serve")?;
        let mut download = command(environment.program("mlflow"));
        download
            .env("PATH", environment.path())
            .env("MLFLOW_TRACKING_URI", registry)
            .current_dir(&folder)
            // The destination: MLflow 1 has no argument for it.
            .env("TMPDIR", &folder)
            .args(["artifacts", "download", "-u", &logged.source]);
        let printed = output(download).await.context("download the model")?;
        let model = printed.lines().last().unwrap_or_default();

        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let mut serve = command(environment.program("mlflow"));
        serve
            .env("PATH", environment.path())
            .current_dir(&folder)
            .args([
                "models",
                "serve",
                "--env-manager",
                "local",
                "-w",
                "1",
                "-m",
                model,
            ])
            .args(["-h", "127.0.0.1", "-p", &address.port().to_string()]);
        let mut process = Process::spawn(serve, folder.join("log"))?;
        let http = reqwest::Client::new();
        let ping = format!("http://{address}/ping");
        until("the scoring server answers", async || {
            if process.ended()?.is_some() {
                bail!("it ended: {}", std::fs::read_to_string(process.log())?);
            }
            let answer = http.get(&ping).send().await;
            Ok(answer.and_then(reqwest::Response::error_for_status))
        })
        .await?;
        Ok(Self {
            _process: process,
            address,
            http,
        })
    }

    /// `POST /invocations`.
    pub async fn score(&self, content_type: &str, body: impl Into<Bytes>) -> Result<Answer> {
        let request = self
            .http
            .post(format!("http://{}/invocations", self.address))
            .header("Content-Type", content_type)
            .body(body.into());
        Answer::of(request).await
    }
}
