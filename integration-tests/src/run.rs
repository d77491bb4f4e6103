//! One run of a test binary: its folder, and the proof that no process of it is left.
//!
//! Whatever the tests start works below the run's folder, so that its path is in the command line, in the environment
//! or is the working folder of each process, however deep: MLflow, gateways, workers, environment builds.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::process::{Child, ChildStdin};

use crate::environment::{Environment, setting};
use crate::process::{command, kill};
use crate::wait::until;

/// Kills what is left when this process dies without having said good-bye: an interrupt, a crash, a time-out of CI.
const REAPER: &str = include_str!("../python/reaper.py");

/// A run.
#[derive(Debug)]
pub struct Run {
    folder: TempDir,
    names: AtomicU32,
    reaper: Child,
    /// Its end of file is the reaper's signal.
    lifeline: ChildStdin,
}

impl Run {
    /// A new run, watched from outside.
    pub fn start(environment: &Environment) -> Result<Self> {
        // Short: the path of a Unix socket holds 107 bytes.
        let folder = tempfile::Builder::new()
            .prefix("sgt-")
            .disable_cleanup(setting("SLUICEGATE_TEST_KEEP").is_some())
            .tempdir()
            .context("make the folder of the run")?;
        let mut reaper = command(environment.python())
            .args(["-c", REAPER])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .process_group(0)
            .kill_on_drop(false)
            .spawn()
            .context("start the reaper")?;
        let lifeline = reaper
            .stdin
            .take()
            .context("the reaper's stdin is a pipe")?;
        Ok(Self {
            folder,
            names: AtomicU32::new(0),
            reaper,
            lifeline,
        })
    }

    /// The run's folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A path below the run's folder that nobody else got; nothing is there yet.
    pub fn fresh(&self, name: &str) -> PathBuf {
        let number = self.names.fetch_add(1, Ordering::Relaxed);
        self.path().join(format!("{name}{number:03}"))
    }

    /// A folder of its own below the run's folder.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.fresh(name);
        std::fs::create_dir(&path).with_context(|| format!("make {}", path.display()))?;
        Ok(path)
    }

    /// Processes that belong to `place`, a path below the run's folder.
    pub fn processes_of(&self, place: &Path) -> Vec<(u32, String)> {
        let ours = [Some(std::process::id()), self.reaper.id()];
        processes(place)
            .into_iter()
            .filter(|(id, _)| !ours.contains(&Some(*id)))
            .collect()
    }

    /// Waits until nothing of the run is left, then lets the reaper go; else kills what is left and tells what it was.
    pub async fn finish(mut self) -> Result<()> {
        let ended = until("no process of the run is left", async || {
            let left = self.processes_of(self.path());
            Ok(if left.is_empty() {
                Ok(())
            } else {
                Err(format!("{left:#?}"))
            })
        })
        .await;
        for (id, _) in self.processes_of(self.path()) {
            kill(id);
        }
        drop(self.lifeline);
        let reaped = self.reaper.wait().await?;
        if !reaped.success() {
            bail!("the reaper failed: {reaped}");
        }
        ended
    }
}

/// Processes that name `place` in their command line, environment or working folder.
fn processes(place: &Path) -> Vec<(u32, String)> {
    let place = place.as_os_str().as_encoded_bytes();
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter_map(|id| {
            let of = |what: &str| std::fs::read(format!("/proc/{id}/{what}")).unwrap_or_default();
            let line = of("cmdline");
            let folder = std::fs::read_link(format!("/proc/{id}/cwd")).unwrap_or_default();
            [&line, &of("environ"), folder.as_os_str().as_encoded_bytes()]
                .iter()
                .any(|text| contains(text, place))
                .then(|| (id, String::from_utf8_lossy(&line).replace('\0', " ")))
        })
        .collect()
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
