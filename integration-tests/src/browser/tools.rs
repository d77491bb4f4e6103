//! Where the browser, its driver and the judge of accessibility are.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::environment::{forwarded, project_root, setting};
use crate::process::{command, output};
use crate::trial::lacking;

/// Paths of what is needed.
#[derive(Clone, Debug)]
pub(super) struct Tools {
    pub(super) chromedriver: PathBuf,
    pub(super) chromium: PathBuf,
    /// The script of axe-core.
    pub(super) axe: PathBuf,
}

impl Tools {
    /// Those named by `SLUICEGATE_TEST_CHROMEDRIVER`, `…_CHROMIUM` and `…_AXE`, or else those that `scripts/browser` finds,
    /// installs or fetches. Where it has none, the test is left out.
    pub(super) async fn find() -> Result<Self> {
        let named = ["CHROMEDRIVER", "CHROMIUM", "AXE"]
            .map(|name| setting(&format!("SLUICEGATE_TEST_{name}")));
        if let [Some(chromedriver), Some(chromium), Some(axe)] = named {
            return Ok(Self {
                chromedriver: chromedriver.into(),
                chromium: chromium.into(),
                axe: axe.into(),
            });
        }
        let mut find = command(project_root().join("scripts/browser"));
        find.envs(forwarded(&["SLUICEGATE_TEST_CACHE", "CI"]));
        let found = output(find).await.context("get a browser")?;
        let mut lines = found.lines().map(PathBuf::from);
        match (lines.next(), lines.next(), lines.next()) {
            (Some(chromedriver), Some(chromium), Some(axe)) => Ok(Self {
                chromedriver,
                chromium,
                axe,
            }),
            _ => Err(lacking(
                "there is no Chromium with a ChromeDriver here, nor a way to get them",
            )),
        }
    }
}
