//! Programs that the quickstart starts: a process group each, a log each, and none that outlives the quickstart,
//! even if that is killed with SIGKILL (see `lifeline.sh`).

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStdin};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::TaskTracker;

use super::log;
use crate::error::CommandError;

const LIFELINE: &str = include_str!("lifeline.sh");

/// Between two looks at a log.
const LOOK: Duration = Duration::from_millis(100);

/// All programs of a quickstart.
pub(super) struct Processes {
    log_folder: PathBuf,
    /// From SIGTERM to SIGKILL.
    grace: Duration,
    /// Variables that no program sees.
    without: Vec<OsString>,
    /// Variables that every program sees.
    with: Vec<(&'static str, String)>,
    groups: TaskTracker,
}

/// What to start.
pub(super) struct Program {
    name: &'static str,
    arguments: Vec<OsString>,
    variables: Vec<(&'static str, OsString)>,
}

/// A program that was started. Dropping it ends its process group.
pub(super) struct Running {
    name: &'static str,
    log: PathBuf,
    exit: watch::Receiver<Option<Exit>>,
    _lifeline: Option<ChildStdin>,
}

/// The exit code of a program: 128 and more for a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exit(i32);

impl Program {
    /// `executable`, shown and logged as `name`.
    pub(super) fn new(name: &'static str, executable: impl AsRef<OsStr>) -> Self {
        Self {
            name,
            arguments: vec![executable.as_ref().to_owned()],
            variables: Vec::new(),
        }
    }

    /// With these arguments behind those that it has.
    pub(super) fn arguments<A: AsRef<OsStr>>(mut self, more: impl IntoIterator<Item = A>) -> Self {
        let more = more.into_iter();
        self.arguments
            .extend(more.map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// With a variable of its own.
    pub(super) fn variable(mut self, name: &'static str, value: impl AsRef<OsStr>) -> Self {
        self.variables.push((name, value.as_ref().to_owned()));
        self
    }
}

impl Processes {
    /// Programs that log to `log_folder`, with `with` in and `without` not in their environment. When they are to end,
    /// they have `grace` to do it by themselves.
    pub(super) fn new(
        log_folder: PathBuf,
        grace: Duration,
        without: Vec<OsString>,
        with: Vec<(&'static str, String)>,
    ) -> Self {
        Self {
            log_folder,
            grace,
            without,
            with,
            groups: TaskTracker::new(),
        }
    }

    /// Starts `program`.
    #[expect(
        clippy::disallowed_methods,
        reason = "the quickstart's programs are no workers of a gateway, which conda-runner's process module is for"
    )]
    pub(super) fn start(&self, program: Program) -> Result<Running, CommandError> {
        let name = program.name;
        let log = self.log_of(name);
        std::fs::write(&log, "").map_err(|error| {
            CommandError::failed(format!("cannot write {}: {error}", log.display()))
        })?;
        let mut command = tokio::process::Command::new("/bin/sh");
        command
            .args(["-c", LIFELINE, name])
            .arg((self.grace.as_millis() / 100).to_string())
            .arg(&log)
            .args(&program.arguments)
            .envs(self.with.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0);
        for variable in &self.without {
            command.env_remove(variable);
        }
        command.envs(program.variables);
        let mut child = command
            .spawn()
            .map_err(|error| CommandError::failed(format!("cannot start {name}: {error}")))?;
        let lifeline = child.stdin.take();
        let (exited, exit) = watch::channel(None);
        self.groups.spawn(watch_group(child, exited));
        Ok(Running {
            name,
            log,
            exit,
            _lifeline: lifeline,
        })
    }

    /// Runs `program` to its end and returns what it printed. While it runs, `shown` gets each new last line of its log.
    ///
    /// # Errors
    /// When it fails, or takes longer than `deadline`: with the last lines that it printed.
    pub(super) async fn run(
        &self,
        program: Program,
        deadline: Duration,
        mut shown: impl FnMut(&str),
    ) -> Result<String, CommandError> {
        let name = program.name;
        let mut running = self.start(program)?;
        let log = running.log.clone();
        let ended = timeout(deadline, async {
            loop {
                tokio::select! {
                    exit = running.exited() => return exit,
                    () = sleep(LOOK) => {
                        if let Some(line) = log::last_line(&log) {
                            shown(&line);
                        }
                    }
                }
            }
        })
        .await;
        match ended {
            Ok(Exit(0)) => Ok(log::read(&log)),
            Ok(Exit(code)) => Err(log::failure(
                &format!("{name} failed with exit code {code}"),
                &log,
            )),
            Err(_) => {
                let seconds = deadline.as_secs();
                let what = format!("{name} was not done after {seconds} s");
                Err(log::failure(&what, &log))
            }
        }
    }

    /// What the last program of that name printed until now.
    pub(super) fn printed(&self, name: &str) -> String {
        log::read(&self.log_of(name))
    }

    fn log_of(&self, name: &str) -> PathBuf {
        self.log_folder.join(format!("{name}.log"))
    }

    /// Waits until the groups of all programs that were dropped have ended.
    pub(super) async fn all_ended(&self) {
        self.groups.close();
        // The watchers end every group within the grace; should one fail to, waiting longer would not help.
        let _ = timeout(self.grace + Duration::from_secs(5), self.groups.wait()).await;
    }
}

impl Running {
    /// Waits for the program's own end.
    pub(super) async fn exited(&mut self) -> Exit {
        match self.exit.wait_for(Option::is_some).await {
            Ok(exit) => exit.unwrap_or(Exit(1)),
            Err(_) => Exit(1),
        }
    }

    /// Waits until `seen` finds something in the log, and returns it.
    ///
    /// # Errors
    /// When the program ends first, or `deadline` passes.
    pub(super) async fn logged<T>(
        &mut self,
        deadline: Duration,
        seen: impl Fn(&str) -> Option<T>,
    ) -> Result<T, CommandError> {
        let last = Instant::now() + deadline;
        loop {
            // Asked first: a line that was written before the end still counts.
            let has_ended = self.exit.borrow().is_some();
            if let Some(found) = seen(&log::read(&self.log)) {
                return Ok(found);
            }
            if has_ended {
                return Err(self.ended_early());
            }
            if Instant::now() >= last {
                let what = format!("{} did not start in {} s", self.name, deadline.as_secs());
                return Err(log::failure(&what, &self.log));
            }
            tokio::select! {
                _ = self.exited() => {}
                () = sleep(LOOK) => {}
            }
        }
    }

    /// Where it logs.
    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    /// Says that it ended though it should not have.
    pub(super) fn ended_early(&self) -> CommandError {
        let code = match *self.exit.borrow() {
            Some(Exit(code)) => format!(" with exit code {code}"),
            None => String::new(),
        };
        log::failure(&format!("{} ended by itself{code}", self.name), &self.log)
    }
}

/// Reaps the group's first process and then waits until its last one, which holds stdout, has gone.
async fn watch_group(mut child: Child, exited: watch::Sender<Option<Exit>>) {
    let last = child.stdout.take();
    let code = match child.wait().await {
        Ok(status) => status.code().unwrap_or(128),
        Err(_) => 1,
    };
    exited.send_replace(Some(Exit(code)));
    if let Some(mut last) = last {
        let mut nothing = Vec::new();
        let _ = last.read_to_end(&mut nothing).await;
    }
}

#[cfg(test)]
mod tests;
