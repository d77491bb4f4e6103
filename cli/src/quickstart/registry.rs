//! A real MLflow server on a free port, with its registry in SQLite.

use std::path::Path;
use std::time::Duration;

use reqwest::Client;
use serde_json::json;
use url::Url;

use super::folder::Folder;
use super::log;
use super::ports;
use super::process::{Processes, Program, Running};
use crate::client::http_client;
use crate::error::CommandError;

/// The first start after an installation compiles a thousand modules.
const START_DEADLINE: Duration = Duration::from_secs(180);

const CALL_DEADLINE: Duration = Duration::from_secs(30);

/// Why the server did not start.
pub(super) enum StartError {
    /// Between finding the port free and taking it, somebody else took it.
    PortTaken(CommandError),
    /// Something else.
    Failed(CommandError),
}

/// The server. Dropping it stops it.
pub(super) struct Registry {
    /// Where it answers.
    pub(super) url: Url,
    /// Its processes.
    pub(super) server: Running,
    http: Client,
}

impl Registry {
    /// Starts it on `port`, or on a free one if that is 0; does not wait until it answers.
    pub(super) fn start(
        python: &Path,
        port: u16,
        folder: &Folder,
        processes: &Processes,
    ) -> Result<Self, CommandError> {
        let port = if port == 0 { ports::free()? } else { port };
        let data = folder.registry();
        let artifacts = data.join("artifacts");
        let database = format!("sqlite:///{}", data.join("mlflow.db").display());
        let server = Program::new("mlflow-server", python)
            .arguments(["-m", "mlflow", "server", "--workers", "1"])
            .arguments(["--host", "127.0.0.1", "--port", &port.to_string()])
            .arguments(["--backend-store-uri", &database])
            .arguments(["--default-artifact-root", "mlflow-artifacts:/"])
            .arguments(["--artifacts-destination"])
            .arguments([artifacts])
            // Nine processes less.
            .variable("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false");
        let url = ports::local_url(port)?;
        let http = http_client(&url)
            .map_err(|error| CommandError::failed(format!("cannot set up HTTP: {error}")))?;
        Ok(Self {
            server: processes.start(server)?,
            url,
            http,
        })
    }

    /// Waits until it answers.
    pub(super) async fn ready(&mut self) -> Result<(), StartError> {
        // Its own word, not an answer on the port: that could be somebody else's.
        let word = format!("running on {}", self.url.as_str().trim_end_matches('/'));
        let log = self.server.log().to_owned();
        self.server
            .logged(START_DEADLINE, |log| log.contains(&word).then_some(()))
            .await
            .map_err(|error| {
                if log::read(&log).contains("ddress already in use") {
                    StartError::PortTaken(error)
                } else {
                    StartError::Failed(error)
                }
            })
    }

    /// Moves a version to Production; those that were there are archived.
    pub(super) async fn promote(&self, model: &str, version: u64) -> Result<(), CommandError> {
        let path = "api/2.0/mlflow/model-versions/transition-stage";
        let cannot = |why: String| {
            CommandError::failed(format!(
                "the registry did not promote {model}@{version}: {why}"
            ))
            .next(format!("its log is {}", self.server.log().display()))
        };
        let url = self
            .url
            .join(path)
            .map_err(|error| cannot(error.to_string()))?;
        let body = json!({
            "name": model,
            "version": version.to_string(),
            "stage": "Production",
            "archive_existing_versions": true,
        });
        let response = self
            .http
            .post(url)
            .timeout(CALL_DEADLINE)
            .json(&body)
            .send()
            .await
            .map_err(|error| cannot(error.to_string()))?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let text = response.text().await.unwrap_or_default();
        Err(cannot(format!("{status} {text}")))
    }
}
