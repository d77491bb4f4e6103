//! Programs that are measured: each in a group of its own, its output in a file, ended when it is dropped.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::wait::until;

/// How long a program may take to end when it is asked to.
const GRACE: Duration = Duration::from_secs(20);

/// A running program.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    group: Pid,
    log: PathBuf,
}

/// A command that has nothing to read.
#[expect(
    clippy::disallowed_methods,
    reason = "benchmarks start what they measure, and only here"
)]
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    command
}

/// Runs a command to its end and gives what it printed to stdout.
pub fn output(mut command: Command) -> Result<String> {
    let ended = command.output();
    let ended = ended.with_context(|| format!("start {command:?}"))?;
    ensure!(
        ended.status.success(),
        "{command:?} ended with {}:\n{}",
        ended.status,
        String::from_utf8_lossy(&ended.stderr)
    );
    String::from_utf8(ended.stdout).with_context(|| format!("{command:?} did not print UTF-8"))
}

/// The program `name` that was built together with this one.
pub fn sibling(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("find this program")?;
    let path = own.with_file_name(name);
    ensure!(
        path.exists(),
        "there is no {}: build it as this program was built (`cargo build --release --workspace --bins`)",
        path.display()
    );
    Ok(path)
}

impl Program {
    /// Starts it in the folder of the file `log`, where what it prints goes.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let opened = OpenOptions::new().create(true).append(true).open(log);
        let file = opened.with_context(|| format!("open {}", log.display()))?;
        command.stdout(file.try_clone()?).stderr(file);
        // By which its children are known as well, should nobody be left who could end them in order.
        if let Some(folder) = log.parent() {
            command.current_dir(folder);
        }
        let child = command.process_group(0).spawn();
        let child = child.with_context(|| format!("start {command:?}"))?;
        let id = i32::try_from(child.id())?;
        Ok(Self {
            name: name.to_owned(),
            group: Pid::from_raw(id).context("a process that has just started has an id")?,
            child,
            log: log.to_owned(),
        })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed so far.
    pub fn log(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Waits until `probe` gives a value; ends early, with its log, if the program does.
    pub fn until<T>(
        &mut self,
        patience: Duration,
        what: &str,
        mut probe: impl FnMut() -> Option<T>,
    ) -> Result<T> {
        let waited = until(patience, what, || {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}", self.name);
            }
            Ok(probe().ok_or("not yet"))
        });
        waited.with_context(|| format!("{} says:\n{}", self.name, tail(&self.log())))
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_none() {
            // ESRCH if it ends just now.
            let _ = kill_process(self.group, Signal::TERM);
            let child = &mut self.child;
            until(GRACE, "a program ends", || {
                Ok(child.try_wait()?.ok_or("it runs"))
            })?;
        }
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Whatever is left: the group is killed next.
        let _ = self.end();
        let _ = kill_process_group(self.group, Signal::KILL);
        let _ = self.child.wait();
    }
}

/// The last lines.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
