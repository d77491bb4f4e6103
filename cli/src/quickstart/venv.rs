//! A virtual environment for the quickstart, made from an interpreter of this machine, once, and kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::interpreter::Interpreter;
use super::process::{Processes, Program};
use super::python::{MLFLOW, REQUIREMENTS};
use crate::error::CommandError;
use crate::progress::Step;

/// Counts changes of how the environment is built, apart from the requirements.
const REVISION: u32 = 1;

/// Written last: without it an environment is half a one.
const MARK: &str = "sluicegate-complete";

/// A slow line needs minutes for some 300 MB.
const DEADLINE: Duration = Duration::from_secs(1_800);

/// Makes the environment below `cache`, or takes the one that is there. Returns its interpreter.
pub(super) async fn environment(
    base: &Interpreter,
    cache: &Path,
    processes: &Processes,
    step: &mut Step,
) -> Result<PathBuf, CommandError> {
    let (major, minor) = base.version;
    let folder = cache.join(format!("python-{major}.{minor}-mlflow-{MLFLOW}"));
    let python = folder.join("bin").join("python");
    let content = content(base);
    if is_complete(&folder, &content) && runs(&python, processes).await {
        return Ok(python);
    }
    build(base, &folder, processes, step).await?;
    let mark = folder.join(MARK);
    fs::write(&mark, content).map_err(|error| {
        CommandError::failed(format!("cannot write {}: {error}", mark.display()))
    })?;
    Ok(python)
}

/// What an environment is made of. One that was made of something else is made anew.
fn content(base: &Interpreter) -> String {
    let (major, minor) = base.version;
    let path = base.path.display();
    let requirements = REQUIREMENTS.join("\n");
    format!("revision {REVISION}\n{path} {major}.{minor}\n{requirements}\n")
}

fn is_complete(folder: &Path, content: &str) -> bool {
    fs::read_to_string(folder.join(MARK)).is_ok_and(|mark| mark == content)
}

/// The interpreter that it was made from may have gone since.
async fn runs(python: &Path, processes: &Processes) -> bool {
    let program = Program::new("environment-check", python).arguments(["--version"]);
    let deadline = Duration::from_secs(30);
    processes.run(program, deadline, |_| {}).await.is_ok()
}

/// Built where it stays, because an environment knows its own path; complete only with the mark.
async fn build(
    base: &Interpreter,
    folder: &Path,
    processes: &Processes,
    step: &mut Step,
) -> Result<(), CommandError> {
    if folder.exists() {
        step.detail("removing an incomplete one");
        fs::remove_dir_all(folder).map_err(|error| {
            CommandError::failed(format!("cannot remove {}: {error}", folder.display()))
                .next("remove it by hand and try again")
        })?;
    }
    step.detail("making it");
    let venv = Program::new("venv", &base.path)
        .arguments(["-m", "venv"])
        .arguments([folder]);
    processes.run(venv, DEADLINE, |_| {}).await?;

    let python = folder.join("bin").join("python");
    // uv does not read pip's configuration files, where some name the only index that they can reach.
    if install_with_uv(folder, &python, processes, step)
        .await
        .is_err()
    {
        install_with_pip(&python, processes, step)
            .await
            .map_err(needs_network)?;
    }
    Ok(())
}

async fn install_with_uv(
    folder: &Path,
    python: &Path,
    processes: &Processes,
    step: &mut Step,
) -> Result<(), CommandError> {
    step.detail("installing uv");
    let pip = Program::new("install-uv", python).arguments(["-m", "pip", "install", "uv"]);
    processes.run(pip, DEADLINE, |_| {}).await?;
    let uv = Program::new("install", folder.join("bin").join("uv"))
        .arguments(["pip", "install", "--python"])
        .arguments([python])
        .arguments(REQUIREMENTS);
    install(uv, processes, step).await
}

async fn install_with_pip(
    python: &Path,
    processes: &Processes,
    step: &mut Step,
) -> Result<(), CommandError> {
    let pip = Program::new("install-with-pip", python)
        .arguments(["-m", "pip", "install"])
        .arguments(REQUIREMENTS);
    install(pip, processes, step).await
}

async fn install(
    program: Program,
    processes: &Processes,
    step: &mut Step,
) -> Result<(), CommandError> {
    step.detail("installing MLflow and scikit-learn");
    let show = |line: &str| step.detail(line.to_owned());
    processes.run(program, DEADLINE, show).await.map(drop)
}

fn needs_network(error: CommandError) -> CommandError {
    error.also("packages come from PyPI, or from the index that pip is configured for")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_made_of_other_things_or_by_half_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let mut base = Interpreter {
            path: "/usr/bin/python3".into(),
            version: (3, 11),
        };
        assert!(!is_complete(folder.path(), &content(&base)));
        fs::write(folder.path().join(MARK), content(&base)).unwrap();
        assert!(is_complete(folder.path(), &content(&base)));
        base.version = (3, 12);
        assert!(!is_complete(folder.path(), &content(&base)));
    }
}
