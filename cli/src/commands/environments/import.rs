//! `environments import`: takes in what `environments export` packed. Its key stands alone on stdout.

use std::path::Path;

use gateway::local_environments::LocalEnvironments;

use super::{local, words};
use crate::error::CommandError;
use crate::output::{self, Format};
use crate::progress::Progress;

pub(super) async fn run(
    environments: LocalEnvironments,
    file: &Path,
    format: Format,
) -> Result<(), CommandError> {
    let step = Progress::new().step(format!("unpacking {}", file.display()));
    let imported = environments.import(file).await.map_err(local::failed)?;
    environments.close().await;
    let summary = &imported.summary;
    let key = words::short(&summary.key);
    step.done(&format!(
        "environment {key} is there: {}",
        words::content(summary)
    ));
    match format {
        Format::Json => output::json(&imported),
        Format::Table => output::line(&summary.key),
    }
}
