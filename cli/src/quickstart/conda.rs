//! The quickstart's environment from conda packages, on a machine without a Python: declared as MLflow declares a
//! model's, and built as the gateway builds one.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gateway::config::{Config, Overrides, process_environment};
use gateway::local_environments::{EnvironmentsError, build_to_use};
use tokio::time::timeout;

use super::python::{Python, REQUIREMENTS};
use crate::commands::failures;
use crate::error::CommandError;
use crate::progress::Step;

/// The Python of it.
pub(super) const PYTHON: &str = "3.11";

/// A slow line needs minutes for some 300 MB.
const DEADLINE: Duration = Duration::from_secs(1_800);

/// Builds it below `cache`, or takes the one that is there. The channels' mirrors, package
/// indexes and the like are those of the gateway's configuration.
pub(super) async fn environment(cache: &Path, step: &mut Step) -> Result<Python, CommandError> {
    let folder = declare(cache)?;
    let data_dir = cache.join("conda");
    match timeout(DEADLINE, build(&data_dir, &folder, step)).await {
        Ok(built) => built,
        Err(_) => Err(CommandError::failed(format!(
            "it was not done after {} minutes",
            DEADLINE.as_secs() / 60
        ))),
    }
}

/// Writes a folder that declares the environment.
fn declare(cache: &Path) -> Result<PathBuf, CommandError> {
    let folder = cache.join("declared");
    let file = folder.join("conda.yaml");
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&file, declaration()))
        .map_err(|error| {
            CommandError::failed(format!("cannot write {}: {error}", file.display()))
        })?;
    Ok(folder)
}

fn declaration() -> String {
    let requirements = REQUIREMENTS.map(|requirement| format!("  - {requirement}\n"));
    let requirements = requirements.concat();
    format!(
        "name: sluicegate-quickstart\n\
         channels:\n\
         - conda-forge\n\
         dependencies:\n\
         - python={PYTHON}\n\
         - pip\n\
         - pip:\n\
         {requirements}"
    )
}

async fn build(data_dir: &Path, folder: &Path, step: &mut Step) -> Result<Python, CommandError> {
    let overrides = Overrides {
        data_dir: Some(data_dir.to_owned()),
        env_manager: Some("conda".to_owned()),
        ..Overrides::default()
    };
    let config = Config::load_local(overrides, process_environment()).map_err(|error| {
        CommandError::usage(error.to_string()).next("`sluicegate config show` prints what holds")
    })?;
    let built = build_to_use(&config, folder, |doing| step.detail(doing)).await;
    let (built, in_use) = built.map_err(|error| {
        let logs = data_dir.join("logs");
        failure(&error).next(format!("the build's log is below {}", logs.display()))
    })?;
    // It compiles while the quickstart runs, which would only wait otherwise.
    Ok(Python {
        path: built.python,
        _in_use: Some(in_use),
    })
}

fn failure(error: &EnvironmentsError) -> CommandError {
    CommandError::failed(match error {
        EnvironmentsError::Build(failure) => {
            let code = Some(failure.error_code.as_str());
            failures::text(code, &failure.message, &failure.last_lines)
        }
        _ => error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use gateway::api::BuildFailure;

    use super::*;

    #[test]
    fn it_is_declared_as_mlflow_declares_the_environment_of_a_model() {
        insta::assert_snapshot!(declaration());
    }

    #[test]
    fn a_failure_is_told_with_its_code_and_the_last_lines() {
        let error = failure(&EnvironmentsError::Build(BuildFailure {
            error_code: "NETWORK".to_owned(),
            message: "the channel cannot be reached".to_owned(),
            last_lines: vec!["connecting".to_owned(), "connection refused".to_owned()],
        }));
        assert_eq!(
            error.message(),
            "NETWORK: the channel cannot be reached\n  | connecting\n  | connection refused"
        );
    }
}
