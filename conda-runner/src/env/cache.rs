//! Finds or provides the environment of a model.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serving_core::{LoadError, LoadJob};

use super::build::Uv;
use super::declared::PythonEnv;
use super::facts::{Facts, ScoringServer};
use super::key::Recipe;
use crate::config::{EnvManager, RunnerConfig};
use crate::error::disk;
use crate::process::host::Host;
use crate::process::logs::Log;
use crate::shelf::{Hold, Shelf, Staging};

/// Where a built environment has its interpreter: most often a link to one of the machine's, which may go away.
pub(crate) const INTERPRETER: &str = "bin/python";

/// An environment that workers can run in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Environment {
    /// Its interpreter, an absolute path.
    pub(crate) python: PathBuf,
    /// Where its programs are.
    pub(crate) bin: PathBuf,
    /// For `VIRTUAL_ENV`; `None` if it is a whole installation.
    root: Option<String>,
    /// The version of MLflow in it.
    pub(crate) mlflow_version: String,
    /// The server of that MLflow.
    pub(crate) server: ScoringServer,
    /// Keeps it on the disk; holds nothing if it is none of ours.
    pub(crate) hold: Hold,
    module: String,
}

/// All environments.
pub(crate) struct Environments {
    python: Option<PathBuf>,
    uv: Option<PathBuf>,
    constraints: Option<PathBuf>,
    host: Host,
    shelf: Shelf,
}

impl Environments {
    /// Built ones are kept on `shelf`.
    pub(crate) fn new(config: &RunnerConfig, host: Host, shelf: Shelf) -> Self {
        Self {
            python: config.python.clone(),
            uv: config.uv.clone(),
            constraints: config.pip.constraints.clone(),
            host,
            shelf,
        }
    }

    /// The environment that `manager` provides for the model in `folder`, which may be in the care of `staging`:
    /// a build goes on for others when this caller has gone, and still needs the folder then.
    pub(crate) async fn provide(
        &self,
        manager: EnvManager,
        folder: &Path,
        staging: Option<&Staging>,
        job: &LoadJob,
        log: &Log,
    ) -> Result<Environment, LoadError> {
        match manager {
            EnvManager::Local => self.local(log).await,
            EnvManager::Uv => self.built(folder, staging, job, log).await,
            EnvManager::Conda | EnvManager::Virtualenv => Err(LoadError::permanent(format!(
                "the environment manager {manager} is not available in this version: use uv or local"
            ))),
        }
    }

    /// Asked anew each time: its owner may change it, and the question is cheap.
    async fn local(&self, log: &Log) -> Result<Environment, LoadError> {
        let Some(python) = &self.python else {
            return Err(LoadError::permanent(
                "no interpreter is configured for env_manager local: start with --python /path/to/python, \
                 the interpreter of an environment that has MLflow and what the models need",
            ));
        };
        if !python.is_absolute() || !python.is_file() {
            return Err(LoadError::permanent(format!(
                "{} is not the absolute path of an interpreter: start with --python /path/to/python",
                python.display()
            )));
        }
        log.line(&format!("using the interpreter {}", python.display()))
            .await;
        let facts = Facts::ask(&self.host, python, log).await?;
        Ok(Environment::new(python.clone(), facts, Hold::default()))
    }

    async fn built(
        &self,
        folder: &Path,
        staging: Option<&Staging>,
        job: &LoadJob,
        log: &Log,
    ) -> Result<Environment, LoadError> {
        let declared = PythonEnv::read(folder).await?;
        let constraints = self.constraints_text().await?;
        let key = key(folder, &declared, constraints).await?;
        let step = format!("building environment {}", &key[..8]);
        if self.shelf.find(&key).await.is_some() {
            job.progress
                .step(format!("reusing environment {}", &key[..8]));
        } else {
            job.progress.step(step.as_str());
        }
        let is_new = Arc::new(AtomicBool::new(false));
        let build = {
            let (uv, host, is_new) = (self.uv(), self.host.clone(), Arc::clone(&is_new));
            let (key, log, job) = (key.clone(), log.clone(), job.clone());
            let (folder, needed) = (folder.to_owned(), staging.cloned());
            async move |staging: Staging| {
                let _needed = needed;
                let _permit = job.work.permit().await;
                is_new.store(true, Ordering::Relaxed);
                job.progress.step(step);
                log.line(&format!("building environment {key}")).await;
                let whole = staging.whole();
                uv?.build(&host, &folder, &declared, &whole, &log).await?;
                let facts = Facts::ask(&host, &whole.join(INTERPRETER), &log).await?;
                Ok(serde_json::to_string(&facts).expect("a value of texts"))
            }
        };
        let finished = self.shelf.find_or_make(&key, build).await?;
        if !is_new.load(Ordering::Relaxed) {
            log.line(&format!("reusing environment {key}")).await;
        }
        let facts = serde_json::from_str(&finished.marker).map_err(|_| {
            LoadError::permanent(format!(
                "the environment {} was tampered with: remove it, and it is built again",
                finished.path.display()
            ))
        })?;
        Ok(Environment::new(
            finished.path.join(INTERPRETER),
            facts,
            finished.hold,
        ))
    }

    /// Looked for each time: whoever reads that it is missing installs it, and need not start the gateway anew.
    fn uv(&self) -> Result<Uv, LoadError> {
        let program = self
            .uv
            .clone()
            .or_else(|| self.host.find("uv"))
            .filter(|program| program.is_file())
            .ok_or_else(|| {
                LoadError::permanent(
                    "uv was not found: install it (pip install uv), \
                 or serve with --env-manager local --python /path/to/python",
                )
            })?;
        Ok(Uv {
            program,
            constraints: self.constraints.clone(),
        })
    }

    async fn constraints_text(&self) -> Result<String, LoadError> {
        match &self.constraints {
            None => Ok(String::new()),
            Some(path) => tokio::fs::read_to_string(path)
                .await
                .map_err(disk("read", path)),
        }
    }
}

/// Reads requirements files and packages of the model, some of them large.
async fn key(
    folder: &Path,
    declared: &PythonEnv,
    constraints: String,
) -> Result<String, LoadError> {
    let (folder, declared) = (folder.to_owned(), declared.clone());
    let recipe = move || Recipe::new(&folder, &declared, &constraints).map(|recipe| recipe.key());
    let done = tokio::task::spawn_blocking(recipe).await;
    done.unwrap_or_else(|error| {
        Err(LoadError::transient(format!(
            "cannot read the requirements: {error}"
        )))
    })
}

impl Environment {
    fn new(python: PathBuf, facts: Facts, hold: Hold) -> Self {
        let bin = python.parent().map(Path::to_owned).unwrap_or_default();
        let root = bin
            .parent()
            .filter(|root| root.join("pyvenv.cfg").is_file());
        Self {
            root: root.map(|root| root.display().to_string()),
            python,
            bin,
            mlflow_version: facts.mlflow_version,
            server: facts.server,
            hold,
            module: facts.module,
        }
    }

    /// The interpreter's arguments that run its `mlflow` program.
    pub(crate) fn mlflow(&self) -> Vec<OsString> {
        vec!["-m".into(), self.module.as_str().into()]
    }

    /// What its activation would set, `PATH` aside.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.root.iter().map(|root| ("VIRTUAL_ENV", root.as_str()))
    }

    /// The major version of its MLflow: what decides how its worker wants to be asked.
    pub(crate) fn mlflow_major(&self) -> u32 {
        let major = self.mlflow_version.split('.').next();
        // A version that no release has ("unknown") is most likely built from recent source.
        major
            .and_then(|major| major.parse().ok())
            .unwrap_or(u32::MAX)
    }
}
