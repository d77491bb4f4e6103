//! Trains and registers two versions of a real model, by a small Python script.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;

use super::folder::Folder;
use super::process::{Processes, Program};
use crate::error::CommandError;
use crate::progress::Progress;

/// The registered model.
pub(super) const MODEL: &str = "iris";

const SCRIPT: &str = include_str!("train.py");

/// What a line of the script's own begins with: libraries print, too.
const MARK: &str = "* ";

const DEADLINE: Duration = Duration::from_secs(300);

/// Writes the script down, for people who want to read it or change it.
pub(super) fn write_script(folder: &Folder) -> Result<PathBuf, CommandError> {
    let path = folder.registry().join("train.py");
    fs::write(&path, SCRIPT).map_err(|error| {
        CommandError::failed(format!("cannot write {}: {error}", path.display()))
    })?;
    Ok(path)
}

/// Runs it. It waits for the registry by itself, and loads its libraries meanwhile.
pub(super) async fn train(
    python: &Path,
    script: &Path,
    registry: &Url,
    processes: &Processes,
    progress: &Progress,
) -> Result<(), CommandError> {
    let mut step = progress.step("Training two versions of a model");
    let program = Program::new("training", python)
        .arguments([script])
        .arguments([registry.as_str().trim_end_matches('/'), MODEL])
        // What it tells has to arrive at once.
        .variable("PYTHONUNBUFFERED", "1");
    let show = |line: &str| {
        if let Some(told) = line.strip_prefix(MARK) {
            step.detail(told.to_owned());
        }
    };
    let printed = processes.run(program, DEADLINE, show).await?;
    step.done(&format!(
        "Two versions of a model trained and registered as {MODEL}"
    ));
    for told in printed.lines().filter_map(|line| line.strip_prefix(MARK)) {
        progress.line(&format!("    {told}"));
    }
    Ok(())
}
