//! What the machine gives to the tests: a Python with MLflow in it, and variables. The only reader of the environment.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::process::{command, output};

/// Interpreter and tools that the tests use.
#[derive(Clone, Debug)]
pub struct Environment {
    python: PathBuf,
}

/// A variable of the environment, if it is set and not empty.
#[expect(
    clippy::disallowed_methods,
    reason = "this module is where the tests read the environment"
)]
pub fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Those of these variables that are set.
pub(crate) fn forwarded<'a>(names: &[&'a str]) -> Vec<(&'a str, String)> {
    let set = names.iter().map(|name| Some((*name, setting(name)?)));
    set.flatten().collect()
}

/// Names of the variables that would change how MLflow or the gateway behave.
#[expect(
    clippy::disallowed_methods,
    reason = "this module is where the tests read the environment"
)]
pub(crate) fn foreign_settings() -> impl Iterator<Item = String> {
    std::env::vars()
        .map(|(name, _)| name)
        .filter(|name| name.starts_with("MLFLOW_") || name.starts_with("SLUICEGATE_"))
}

impl Environment {
    /// The Python named by `SLUICEGATE_TEST_PYTHON`, or else the one that `scripts/test-environment` makes (once, then cached).
    pub async fn find() -> Result<Self> {
        let python = if let Some(path) = setting("SLUICEGATE_TEST_PYTHON") {
            PathBuf::from(path)
        } else {
            let mut make = command(project_root().join("scripts/test-environment"));
            make.envs(forwarded(&[
                "SLUICEGATE_TEST_CACHE",
                "SLUICEGATE_BASE_PYTHON",
            ]));
            let made = output(make)
                .await
                .context("make the Python environment of the tests")?;
            PathBuf::from(made.trim())
        };
        ensure!(
            python.is_file(),
            "{} is no Python interpreter: unset SLUICEGATE_TEST_PYTHON, or start the tests with scripts/test",
            python.display()
        );
        Ok(Self { python })
    }

    /// The Python with tools for OpenAPI documents, which do not go together with MLflow's pins: named by
    /// `SLUICEGATE_OPENAPI_PYTHON`, or else the one that `scripts/openapi-environment` makes (once, then cached).
    pub async fn openapi() -> Result<Self> {
        if let Some(path) = setting("SLUICEGATE_OPENAPI_PYTHON") {
            return Ok(Self::of(path));
        }
        let mut make = command(project_root().join("scripts/openapi-environment"));
        make.envs(forwarded(&[
            "SLUICEGATE_TEST_CACHE",
            "SLUICEGATE_BASE_PYTHON",
        ]));
        let made = output(make)
            .await
            .context("make the Python environment that reads OpenAPI documents")?;
        Ok(Self::of(made.trim()))
    }

    /// An environment around another interpreter, such as one with an older MLflow.
    pub fn of(python: impl Into<PathBuf>) -> Self {
        Self {
            python: python.into(),
        }
    }

    /// The interpreter, which has MLflow.
    pub fn python(&self) -> &Path {
        &self.python
    }

    /// The version of the interpreter, such as `3.11.7`.
    pub async fn python_version(&self) -> Result<String> {
        self.tells("import platform; print(platform.python_version())")
            .await
    }

    /// The version of the MLflow in it.
    pub async fn mlflow_version(&self) -> Result<String> {
        self.tells("import importlib.metadata as metadata; print(metadata.version('mlflow'))")
            .await
    }

    async fn tells(&self, script: &str) -> Result<String> {
        let mut python = command(&self.python);
        python.args(["-I", "-c", script]);
        Ok(output(python).await?.trim().to_owned())
    }

    /// A program that was installed beside the interpreter.
    pub fn program(&self, name: &str) -> PathBuf {
        self.python.with_file_name(name)
    }

    /// `PATH` with the interpreter's folder in front.
    pub fn path(&self) -> String {
        let folder = self.python.parent().unwrap_or(Path::new("."));
        format!(
            "{}:{}",
            folder.display(),
            setting("PATH").unwrap_or_default()
        )
    }
}

/// The checkout that the tests belong to.
pub(crate) fn project_root() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}
