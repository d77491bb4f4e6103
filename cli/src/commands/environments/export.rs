//! `environments export`: an environment of this host in one file.

use std::path::Path;

use gateway::local_environments::LocalEnvironments;

use super::{local, words};
use crate::error::CommandError;
use crate::output;
use crate::progress::Progress;

pub(super) async fn run(
    environments: &LocalEnvironments,
    key: &str,
    file: &Path,
) -> Result<(), CommandError> {
    let shown = file.display();
    if file.exists() {
        return Err(CommandError::failed(format!("{shown} is there already"))
            .next("name a new file, or remove this one"));
    }
    let step = Progress::new().step(format!("packing {key}"));
    let exported = environments.export(key, file).await;
    exported.map_err(local::failed)?;
    let bytes = file.metadata().map_or(0, |metadata| metadata.len());
    step.done(&format!("{shown} holds it: {}", words::size(bytes)));
    output::note(&format!(
        "on the other host: `sluicegate environments import {shown}`"
    ));
    Ok(())
}
