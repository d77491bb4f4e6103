//! Finds the program under test, freshly built: cargo knows where it is and whether it is stale.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::environment::{project_root, setting};
use crate::process::{command, output};

/// `sluicegate`: the one that `SLUICEGATE_TEST_BINARY` names, or what cargo builds now.
pub(crate) async fn sluicegate() -> Result<PathBuf> {
    if let Some(path) = setting("SLUICEGATE_TEST_BINARY") {
        return Ok(PathBuf::from(path));
    }
    // `--workspace` unifies features as the build of the tests did, so that dependencies are not built twice.
    let mut build = command(setting("CARGO").unwrap_or_else(|| "cargo".to_owned()));
    build
        .current_dir(project_root())
        .args(["build", "--workspace", "--bin", "sluicegate"])
        .arg("--message-format=json-render-diagnostics");
    let messages = output(build)
        .await
        .context("build the program under test")?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "sluicegate")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo built no program named sluicegate")
}
