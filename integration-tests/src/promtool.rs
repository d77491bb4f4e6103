//! Prometheus' own judge of metrics and of alert rules.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::environment::{forwarded, project_root, setting};
use crate::process::{command, output};
use crate::trial::lacking;

/// The program `promtool`.
#[derive(Clone, Debug)]
pub struct Promtool(PathBuf);

impl Promtool {
    /// The one named by `SLUICEGATE_TEST_PROMTOOL`, or else the one that `scripts/promtool` finds or fetches (once, then
    /// cached). Where that has none, the test is left out.
    pub async fn find() -> Result<Self> {
        if let Some(path) = setting("SLUICEGATE_TEST_PROMTOOL") {
            return Ok(Self(path.into()));
        }
        let mut find = command(project_root().join("scripts/promtool"));
        find.envs(forwarded(&["SLUICEGATE_TEST_CACHE"]));
        let found = output(find).await.context("get promtool")?;
        match found.trim() {
            "" => Err(lacking("there is no promtool here, nor a way to get it")),
            path => Ok(Self(path.into())),
        }
    }

    /// What it says of a scrape that was written to a file; an error if it has any complaint.
    pub async fn check_metrics(&self, scrape: &Path) -> Result<String> {
        let mut check = command(&self.0);
        check.args(["check", "metrics"]);
        check.stdin(std::fs::File::open(scrape)?);
        output(check).await
    }

    /// Has it check or test something in the folder of the monitoring files.
    pub async fn judge(&self, arguments: &[&str]) -> Result<String> {
        let mut check = command(&self.0);
        check.args(arguments).current_dir(monitoring());
        output(check).await
    }
}

/// Where dashboard, rules and samples are.
pub fn monitoring() -> PathBuf {
    project_root().join("docs/monitoring")
}
