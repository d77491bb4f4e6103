//! Where processes are started: the clean environment that they see, and the tasks that attend to them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serving_core::LoadError;
use tokio::net::unix::pipe;
use tokio_util::task::TaskTracker;

use super::child::{Ended, Launch, Manner, Process};
use super::forked::Forked;
use super::logs::Log;
use super::output::Listener;

/// Never passed on. The first two would let somebody else's settings into an environment; the third costs eight
/// seconds of processor time at every start in an environment whose files were never compiled (MLflow 3.18, uv).
const NEVER_INHERITED: [&str; 4] = [
    "PYTHONHOME",
    "VIRTUAL_ENV",
    "PYTHONDONTWRITEBYTECODE",
    "CONDA_PREFIX",
];
/// Not inherited, but told to programs by the environment that they run in.
const IDENTITY: [&str; 2] = ["VIRTUAL_ENV", "CONDA_PREFIX"];
/// The gateway's credentials to the registry.
const SECRETS: [&str; 3] = [
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
];

/// Starts processes.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    inherited: Arc<[(String, String)]>,
    tasks: TaskTracker,
    manner: Manner,
}

impl Host {
    /// A host that passes on of `inherited` what a worker may see.
    pub(crate) fn new(inherited: &[(String, String)], tasks: TaskTracker) -> Self {
        let is_passed_on =
            |name: &str| !NEVER_INHERITED.contains(&name) && !SECRETS.contains(&name);
        Self {
            inherited: inherited
                .iter()
                .filter(|(name, _)| is_passed_on(name))
                .cloned()
                .collect(),
            tasks,
            manner: Manner::Usual,
        }
    }

    /// The same host for work that nobody is to feel: what it starts runs at the lowest priority.
    pub(crate) fn gentle(&self) -> Self {
        Self {
            manner: Manner::Gentle,
            ..self.clone()
        }
    }

    /// The same host for environments that are built: without what people have installed below `HOME` for themselves,
    /// which Python would find before what is in the environment.
    pub(crate) fn for_built(&self) -> Self {
        self.with("PYTHONNOUSERSITE", "1")
    }

    /// The same host; what it starts sees this variable unless it was inherited.
    pub(crate) fn with_default(&self, name: &str, value: &str) -> Self {
        if self.variable(name).is_some() {
            return self.clone();
        }
        self.with(name, value)
    }

    fn with(&self, name: &str, value: &str) -> Self {
        let others = self.inherited.iter().filter(|(known, _)| known != name);
        let own = (name.to_owned(), value.to_owned());
        Self {
            inherited: others.cloned().chain([own]).collect(),
            ..self.clone()
        }
    }

    /// The environment of a process: what is inherited, then `more`, the last one winning, and `bin` first on `PATH`
    /// whatever these say: MLflow starts its server by name, and must not find another environment's.
    pub(crate) fn environment<'a>(
        &self,
        bin: Option<&Path>,
        more: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Vec<(String, String)> {
        let mut all = self.inherited.to_vec();
        for (name, value) in more {
            all.retain(|(present, _)| present != name);
            if !NEVER_INHERITED.contains(&name) || IDENTITY.contains(&name) {
                all.push((name.to_owned(), value.to_owned()));
            }
        }
        let path = all
            .iter()
            .find(|(name, _)| name == "PATH")
            .map_or("", |(_, path)| path);
        let path = match bin {
            None => path.to_owned(),
            Some(bin) if path.is_empty() => bin.display().to_string(),
            Some(bin) => format!("{}:{path}", bin.display()),
        };
        all.retain(|(name, _)| name != "PATH");
        all.push(("PATH".to_owned(), path));
        all
    }

    /// Those who attend to what it starts.
    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// A variable of the inherited environment.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        let pair = self.inherited.iter().find(|(present, _)| present == name);
        pair.map(|(_, value)| value.as_str())
    }

    /// The program of this name on the inherited `PATH`.
    pub(crate) fn find(&self, program: &str) -> Option<PathBuf> {
        let folders = self
            .variable("PATH")?
            .split(':')
            .filter(|folder| folder.starts_with('/'));
        folders
            .map(|folder| Path::new(folder).join(program))
            .find(|path| is_program(path))
    }

    /// Starts a process whose output goes to `log`; `keep` is dropped when it and all that it started are gone.
    pub(crate) fn start(
        &self,
        launch: &Launch,
        log: Log,
        keep: impl Send + 'static,
    ) -> Result<Process, LoadError> {
        self.start_told(launch, log, None, keep)
    }

    /// Takes on what somebody else has forked, as [`start`](Self::start) does with what it starts.
    pub(crate) fn adopt(
        &self,
        forked: Forked,
        output: pipe::Receiver,
        log: Log,
        keep: impl Send + 'static,
    ) -> Process {
        Process::adopt(forked, output, log, &self.tasks, keep)
    }

    /// Runs a process to its end. Dropping the future kills it.
    pub(crate) async fn run(&self, launch: &Launch, log: &Log) -> Result<Arc<Ended>, LoadError> {
        log.line(&format!("$ {}", launch.shown())).await;
        Ok(self.start(launch, log.clone(), ())?.wait().await)
    }

    /// The same; each line of the output is also told to `listener` as it comes.
    pub(crate) async fn run_told(
        &self,
        launch: &Launch,
        log: &Log,
        listener: Listener,
    ) -> Result<Arc<Ended>, LoadError> {
        log.line(&format!("$ {}", launch.shown())).await;
        let process = self.start_told(launch, log.clone(), Some(listener), ())?;
        Ok(process.wait().await)
    }

    fn start_told(
        &self,
        launch: &Launch,
        log: Log,
        listener: Option<Listener>,
        keep: impl Send + 'static,
    ) -> Result<Process, LoadError> {
        Process::start(launch, self.manner, log, listener, &self.tasks, keep)
            .map_err(|error| cannot_start(launch, &error))
    }
}

/// Whether this is a file that somebody may run.
pub(crate) fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path)
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// A system without processes or descriptors left may have some later.
fn cannot_start(launch: &Launch, error: &io::Error) -> LoadError {
    LoadError::transient(format!(
        "cannot start {}: {error}",
        launch.program.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(inherited: &[(&str, &str)]) -> Host {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Host::new(
            &inherited.iter().map(owned).collect::<Vec<_>>(),
            TaskTracker::new(),
        )
    }

    #[test]
    fn secrets_and_what_spoils_an_environment_are_not_passed_on() {
        let host = host(&[
            ("HOME", "/home/me"),
            ("PATH", "/usr/bin"),
            ("MLFLOW_TRACKING_TOKEN", "secret"),
            ("MLFLOW_TRACKING_PASSWORD", "secret"),
            ("PYTHONDONTWRITEBYTECODE", "1"),
            ("PYTHONHOME", "/elsewhere"),
        ]);
        let environment = host.environment(None, [("PYTHONDONTWRITEBYTECODE", "1")]);
        let names: Vec<&str> = environment.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["HOME", "PATH"]);
    }

    #[tokio::test]
    async fn gentle_work_gives_way_to_everything_else() {
        let folder = tempfile::tempdir().unwrap();
        let log = crate::process::logs::LogWriter::start(1 << 20)
            .unwrap()
            .log(folder.path().join("build.log"));
        let host = host(&[("PATH", "/usr/bin:/bin")]);
        // Without arguments it prints the niceness that it runs at.
        let launch = Launch {
            program: host.find("nice").expect("every POSIX system has it"),
            arguments: Vec::new(),
            environment: host.environment(None, []),
            directory: "/".into(),
        };
        let ended = host.gentle().run(&launch, &log).await.unwrap();
        assert_eq!(ended.lines, ["19"]);
    }

    #[tokio::test]
    async fn where_there_is_no_program_for_it_gentle_work_is_done_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let log = crate::process::logs::LogWriter::start(1 << 20)
            .unwrap()
            .log(folder.path().join("build.log"));
        let host = host(&[("PATH", "/nowhere")]).gentle();
        let launch = Launch {
            program: "/bin/echo".into(),
            arguments: vec!["done".into()],
            environment: host.environment(None, []),
            directory: "/".into(),
        };
        let ended = host.run(&launch, &log).await.unwrap();
        assert_eq!(ended.lines, ["done"]);
    }

    #[test]
    fn the_environments_programs_come_first_and_later_words_win() {
        let host = host(&[("PATH", "/usr/bin:/bin"), ("LANG", "C")]);
        let more = [("LANG", "de"), ("A", "1"), ("A", "2"), ("PATH", "/own")];
        let environment = host.environment(Some(Path::new("/env/bin")), more);
        let pairs: Vec<(&str, &str)> = environment
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(
            pairs,
            [("LANG", "de"), ("A", "2"), ("PATH", "/env/bin:/own")]
        );
    }
}
