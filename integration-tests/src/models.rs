//! Tiny models, logged once per run by MLflow's own client; registering them again and again costs one call each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::environment::Environment;
use crate::mlflow::MlflowServer;
use crate::process::{command, output};
use crate::run::Run;

/// A logged model: where its files are.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Logged {
    /// As a registered version names it: `models:/m-…`, or `mlflow-artifacts:/…` of a run before MLflow 3.
    pub source: String,
    /// The run that logged it.
    pub run_id: String,
    /// Its id, since MLflow 3.
    #[serde(default)]
    pub model_id: Option<String>,
}

/// What `python/log_models.py` logs. Its doc says what each model does.
#[derive(Debug)]
pub struct Models {
    logged: BTreeMap<String, Logged>,
    gate: PathBuf,
}

impl Models {
    /// Logs all of them to a server.
    pub async fn log(run: &Run, environment: &Environment, server: &MlflowServer) -> Result<Self> {
        Self::log_these(run, environment, server, &[]).await
    }

    /// Logs some of them.
    pub async fn log_these(
        run: &Run,
        environment: &Environment,
        server: &MlflowServer,
        names: &[&str],
    ) -> Result<Self> {
        let gate = run.fresh("gate");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/log_models.py");
        let mut log = command(environment.python());
        log.env("MLFLOW_DISABLE_TELEMETRY", "true")
            .env("GIT_PYTHON_REFRESH", "quiet")
            .envs(server.sign_in())
            .current_dir(run.folder("log")?)
            .arg(script)
            .args([&server.url(), gate.to_str().context("UTF-8")?])
            .args(names);
        let printed = output(log).await.context("log the models")?;
        // MLflow prints links to its pages as well; ours is the last line.
        let line = printed.lines().last().unwrap_or_default();
        Ok(Self {
            logged: serde_json::from_str(line).context("read what was logged")?,
            gate,
        })
    }

    /// Iris flowers with scikit-learn: a signature, an input example, answers 0, 1 or 2.
    pub fn iris(&self) -> Result<&Logged> {
        self.get("iris")
    }

    /// Iris flowers, with the `conda.yaml` that MLflow writes if nobody interferes. Only if it was named.
    pub fn declared_iris(&self) -> Result<&Logged> {
        self.get("declared-iris")
    }

    /// Does what its input says, and answers with its tag, one of `a`, `b`, `c`, `d`.
    pub fn scripted(&self, tag: &str) -> Result<&Logged> {
        self.get(&format!("scripted-{tag}"))
    }

    /// Raises when it is loaded: "this model refuses to load".
    pub fn refusing(&self) -> Result<&Logged> {
        self.get("refusing")
    }

    /// A scripted model that is not loaded before [`open_gate`](Self::open_gate).
    pub fn gated(&self) -> Result<&Logged> {
        self.get("gated")
    }

    /// A scripted model that can be loaded only before [`spoil`](Self::spoil).
    pub fn spoilable(&self) -> Result<&Logged> {
        self.get("spoilable")
    }

    /// Requirements that no index can satisfy.
    pub fn impossible(&self) -> Result<&Logged> {
        self.get("impossible")
    }

    /// Answers each row by itself; logged on demand.
    pub fn rowwise(&self) -> Result<&Logged> {
        self.get("rowwise")
    }

    /// Subtracts the mean of all rows, and was logged with an example of one row or two; logged on demand.
    pub fn centred(&self, rows: usize) -> Result<&Logged> {
        self.get(&format!("centred-{rows}"))
    }

    /// Lets the gated model load.
    pub fn open_gate(&self) -> Result<()> {
        Ok(std::fs::write(&self.gate, "")?)
    }

    /// From now on, loading the spoilable model raises.
    pub fn spoil(&self) -> Result<()> {
        Ok(std::fs::write(self.gate.with_extension("spoiled"), "")?)
    }

    fn get(&self, name: &str) -> Result<&Logged> {
        self.logged
            .get(name)
            .with_context(|| format!("{name} was not logged"))
    }
}
