//! The Python of the quickstart: from an interpreter of this machine, or without one from conda packages.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gateway::local_environments::EnvironmentInUse;
use tokio::time::sleep;

use super::interpreter::{self, Lack};
use super::process::Processes;
use super::{conda, venv};
use crate::args::environment::Environment;
use crate::error::CommandError;
use crate::progress::{Progress, Step};

/// What is installed. MLflow is pinned: the quickstart shows this version's behaviour.
pub(super) const MLFLOW: &str = "3.17.2";
pub(super) const REQUIREMENTS: [&str; 4] = [
    "mlflow==3.17.2",
    "scikit-learn>=1.5,<2",
    "pandas<4",
    "numpy<3",
];

/// What the quickstart runs with.
pub(super) struct Python {
    /// The interpreter.
    pub(super) path: PathBuf,
    /// Keeps it, where others could remove it.
    pub(super) _in_use: Option<EnvironmentInUse>,
}

/// An interpreter with all that the quickstart needs, made below `cache` the first time.
///
/// One that was `named` is taken or refused. Otherwise it is made from an interpreter on the search path, which is the
/// fastest way; where there is none that can make environments, from conda packages.
pub(super) async fn environment(
    named: Option<&Path>,
    environment: &Environment,
    cache: &Path,
    processes: &Processes,
    progress: &Progress,
) -> Result<Python, CommandError> {
    let title = format!("Python environment with MLflow {MLFLOW}");
    match interpreter::find(named, environment, processes).await {
        Ok(base) => {
            let (major, minor) = base.version;
            let mut step = progress.step(&title);
            let _lock = lock(cache, &mut step).await?;
            let python = venv::environment(&base, cache, processes, &mut step).await?;
            step.done(&format!("{title}, Python {major}.{minor}"));
            Ok(Python {
                path: python,
                _in_use: None,
            })
        }
        Err(lack) if named.is_some() => Err(lack.into_error()),
        Err(lack) => {
            progress.line(&notice(&lack));
            let mut step = progress.step(&title);
            let _lock = lock(cache, &mut step).await?;
            let python = conda::environment(cache, &mut step)
                .await
                .map_err(|why| neither(&lack, &why))?;
            step.done(&format!(
                "{title}, Python {} from conda packages",
                conda::PYTHON
            ));
            Ok(python)
        }
    }
}

/// Why the longer way is taken.
fn notice(lack: &Lack) -> String {
    let what = lack.what();
    format!(
        "No Python here can be used ({what}): taking Python {} from conda packages.",
        conda::PYTHON
    )
}

/// Neither way led to a Python.
fn neither(lack: &Lack, why: &CommandError) -> CommandError {
    let what = format!(
        "{}, and none could be made from conda packages: {}",
        lack.what(),
        why.message()
    );
    let error = CommandError::failed(what).next(lack.remedy());
    let error =
        error.also("where conda channels have a mirror, SLUICEGATE_CONDA_CHANNEL_ALIAS names it");
    match why.next_step() {
        "" => error,
        next => error.also(next),
    }
}

/// One quickstart at a time makes an environment; the others find it made.
async fn lock(cache: &Path, step: &mut Step) -> Result<File, CommandError> {
    let path = cache.join("environments.lock");
    let cannot = |error: io::Error| {
        CommandError::failed(format!("cannot write {}: {error}", path.display()))
            .next("XDG_CACHE_HOME names another place for it")
    };
    fs::create_dir_all(cache).map_err(cannot)?;
    let file = File::create(&path).map_err(cannot)?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {
                step.detail("another quickstart is making it");
                sleep(Duration::from_millis(500)).await;
            }
            // A file system without locks: nobody is waited for in vain.
            Err(TryLockError::Error(error)) => return Err(cannot_lock(&path, &error)),
        }
    }
}

fn cannot_lock(path: &Path, error: &io::Error) -> CommandError {
    CommandError::failed(format!("cannot lock {}: {error}", path.display()))
        .next("XDG_CACHE_HOME names another place for it, on a file system that knows locks")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_requirements_name_the_mlflow_version_that_is_told() {
        assert!(REQUIREMENTS.contains(&format!("mlflow=={MLFLOW}").as_str()));
    }

    #[test]
    fn the_way_through_conda_is_told_with_its_reason() {
        insta::assert_snapshot!(notice(&Lack::nothing()));
    }

    #[test]
    fn where_neither_way_leads_on_both_reasons_are_told_and_what_to_install() {
        let why = CommandError::failed(
            "NETWORK: cannot fetch from conda.example, for conda-forge: it does not answer in time",
        )
        .next("the build log is /cache/quickstart/conda/logs/build.log");
        insta::assert_snapshot!(neither(&Lack::nothing(), &why));
    }
}
