//! Processes that the tests start: each in a group of its own, its output in a file, killed when it is dropped.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::environment::foreign_settings;
use crate::wait::PATIENCE;

/// A running process.
#[derive(Debug)]
pub struct Process {
    child: Child,
    group: Pid,
    log: PathBuf,
}

/// A command that inherits the environment, without what would change MLflow or the gateway.
#[expect(
    clippy::disallowed_methods,
    reason = "the tests start their own processes, and only here"
)]
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).kill_on_drop(true);
    for name in foreign_settings() {
        command.env_remove(name);
    }
    command
}

/// Runs a command to its end and gives what it printed to stdout; an error tells what it printed to stderr.
pub async fn output(mut command: Command) -> Result<String> {
    let shown = format!("{:?}", command.as_std());
    let ended = timeout(PATIENCE * 5, command.output())
        .await
        .with_context(|| format!("{shown} did not end"))?
        .with_context(|| format!("start {shown}"))?;
    let errors = String::from_utf8_lossy(&ended.stderr);
    ensure!(
        ended.status.success(),
        "{shown} ended with {}:\n{errors}",
        ended.status
    );
    String::from_utf8(ended.stdout).with_context(|| format!("{shown} did not print UTF-8"))
}

/// Whether a process of this id exists and has not ended.
pub fn process_lives(id: u32) -> bool {
    let Some(pid) = pid(id) else { return false };
    // A zombie still takes signals, but has nothing left.
    let zombie = std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| {
        stat.rsplit(") ")
            .next()
            .is_some_and(|rest| rest.starts_with('Z'))
    });
    test_kill_process(pid).is_ok() && !zombie
}

/// Sends SIGKILL to any one process.
pub fn kill(id: u32) {
    if let Some(pid) = pid(id) {
        // It may have ended by itself in the meantime, which is what is wanted.
        let _ = kill_process(pid, Signal::KILL);
    }
}

impl Process {
    /// Starts it; everything that it prints is added to the file `log`.
    pub fn spawn(mut command: Command, log: impl Into<PathBuf>) -> Result<Self> {
        let log = log.into();
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("open {}", log.display()))?;
        command.stdout(file.try_clone()?).stderr(file);
        let child = command
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {:?}", command.as_std()))?;
        let group = child
            .id()
            .and_then(pid)
            .context("a process that has just started has an id")?;
        Ok(Self { child, group, log })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.group.as_raw_nonzero().get().unsigned_abs()
    }

    /// The file that holds what it printed.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// SIGKILL to the process alone, as an out-of-memory killer would do.
    pub async fn kill(&mut self) -> Result<()> {
        kill(self.id());
        self.wait(Duration::from_secs(30)).await.map(drop)
    }

    /// SIGTERM, and how it ended.
    pub async fn terminate(&mut self) -> Result<ExitStatus> {
        // ESRCH if it has ended already: the wait tells how.
        let _ = kill_process(self.group, Signal::TERM);
        self.wait(PATIENCE).await
    }

    async fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        match timeout(deadline, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => bail!(
                "process {} did not end within {deadline:?} of the signal",
                self.id()
            ),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Also when the leader has ended: members of its group may live on. A group id is not given away before they end.
        let _ = kill_process_group(self.group, Signal::KILL);
    }
}

fn pid(id: u32) -> Option<Pid> {
    Pid::from_raw(id.try_into().ok()?)
}
