//! The uv program: the configured one, the one on the `PATH`, or one of our own, installed from the package index.

use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::indexes::Indexes;
use super::{PipSettings, Report};
use crate::names;
use crate::process::child::Launch;
use crate::process::host::{Host, is_program};

/// For downloading its twenty megabytes, and for waiting until somebody else has.
const DEADLINE: Duration = Duration::from_secs(300);
/// For its answer to the question whether it works.
const ANSWER: Duration = Duration::from_secs(20);
/// Between two looks whether another process is done.
const PAUSE: Duration = Duration::from_millis(100);
/// What is on the package index: the program within a wheel.
const PACKAGE: &str = "uv>=0.5";
/// Begins the names of folders in which it is being made.
const STAGING: &str = ".uv-";

/// Where uv is looked for. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct UvTool {
    /// By the operator's wish.
    pub(crate) configured: Option<PathBuf>,
    /// Our own tools folder.
    pub(crate) tools: PathBuf,
}

impl UvTool {
    /// uv, installed with the pip of the interpreter `python` where it is not there yet. `None` if it is not to be had,
    /// and then it is said why.
    pub(crate) async fn provide(
        &self,
        host: &Host,
        python: &Path,
        settings: &PipSettings,
        report: &Report,
    ) -> Option<PathBuf> {
        if let Some(uv) = self.find(host) {
            return Some(uv);
        }
        let outcome = if settings.offline {
            Err("the gateway is set to be offline".to_owned())
        } else {
            let installing = self.install(host, python, settings, report);
            let outcome = timeout(DEADLINE, installing).await;
            outcome.unwrap_or_else(|_| Err("it took too long".to_owned()))
        };
        match outcome {
            Ok(()) => self.find(host),
            Err(why) => {
                report
                    .line(&format!(
                        "uv is not installed, and cannot be now ({why}): pip installs the Python packages, which is slower"
                    ))
                    .await;
                None
            }
        }
    }

    /// What is there already. Looked for each time: who installs it later need not start anew.
    fn find(&self, host: &Host) -> Option<PathBuf> {
        let configured = self.configured.clone().filter(|uv| is_program(uv));
        configured
            .or_else(|| host.find("uv"))
            .or_else(|| Some(self.own()).filter(|uv| is_program(uv)))
    }

    fn own(&self) -> PathBuf {
        self.tools.join("uv/bin/uv")
    }

    /// Puts our own to its place as a whole, unless somebody else has by then.
    async fn install(
        &self,
        host: &Host,
        python: &Path,
        settings: &PipSettings,
        report: &Report,
    ) -> Result<(), String> {
        let failed = |error: io::Error| format!("cannot use {}: {error}", self.tools.display());
        tokio::fs::create_dir_all(&self.tools)
            .await
            .map_err(failed)?;
        let _one_at_a_time = self.lock().await.map_err(failed)?;
        if is_program(&self.own()) {
            return Ok(());
        }
        self.sweep().map_err(failed)?;
        let staging = self.tools.join(format!("{STAGING}{}", names::fresh()));
        let outcome = self.fill(&staging, host, python, settings, report).await;
        let outcome = match outcome {
            Ok(()) => std::fs::rename(&staging, self.tools.join("uv")).map_err(failed),
            Err(why) => Err(why),
        };
        if outcome.is_err() {
            // What is left of it is swept by the next one.
            let _ = tokio::fs::remove_dir_all(&staging).await;
        }
        outcome
    }

    async fn fill(
        &self,
        staging: &Path,
        host: &Host,
        python: &Path,
        settings: &PipSettings,
        report: &Report,
    ) -> Result<(), String> {
        report.progress("installing uv");
        let indexes = Indexes::new(settings, host).variables(host);
        let more = indexes.iter().map(|(name, value)| (*name, value.as_str()));
        let arguments = [
            "-I",
            "-m",
            "pip",
            "install",
            "--no-deps",
            "--only-binary",
            ":all:",
            "--progress-bar",
            "off",
        ];
        let mut arguments: Vec<OsString> = arguments.map(OsString::from).into();
        arguments.extend(["--target".into(), staging.into(), PACKAGE.into()]);
        let install = Launch {
            program: python.to_owned(),
            arguments,
            environment: host.environment(None, more),
            directory: "/".into(),
        };
        let said = host
            .run(&install, &report.log)
            .await
            .map_err(|error| error.to_string())?;
        if !said.success {
            let last = said.lines.iter().rfind(|line| !line.is_empty());
            return Err(last.map_or_else(|| said.reason.clone(), Clone::clone));
        }
        let works = Launch {
            program: staging.join("bin/uv"),
            arguments: vec!["--version".into()],
            environment: host.environment(None, []),
            directory: "/".into(),
        };
        let works = timeout(ANSWER, host.run(&works, &report.log)).await;
        match works {
            Ok(Ok(ended)) if ended.success => Ok(()),
            _ => Err("the one from the package index does not run on this machine".to_owned()),
        }
    }

    /// Held until dropped, and by the system's doing no longer than this process lives.
    async fn lock(&self) -> io::Result<File> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.tools.join(".lock"))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => sleep(PAUSE).await,
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    /// Removes what somebody who was killed left, and one of ours that is not whole.
    fn sweep(&self) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.tools)? {
            let entry = entry?;
            let name = entry.file_name();
            let is_left = name
                .to_str()
                .is_some_and(|name| name.starts_with(STAGING) || name == "uv");
            if is_left {
                std::fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

    use super::*;
    use crate::env::build::testing::{Machine, host_with};

    fn tool(machine: &Machine) -> UvTool {
        UvTool {
            configured: None,
            tools: machine.path("tools"),
        }
    }

    /// On a machine where nobody has installed uv.
    fn host() -> Host {
        host_with(&[("PATH", "/usr/bin:/bin"), ("HOME", "/nowhere")])
    }

    /// A Python whose pip installs a uv that is a script.
    fn python(machine: &Machine, uv: &str) -> PathBuf {
        let here = machine.path("").display().to_string();
        let script = format!(
            r#"
            echo "$*" >> "{here}/calls"
            echo "$PIP_INDEX_URL" > "{here}/seen"
            case "$*" in *--target*) ;; *) exit 9 ;; esac
            while [ "$1" != --target ]; do shift; done
            mkdir -p "$2/bin"
            printf '#!/bin/sh\n{uv}\n' > "$2/bin/uv"
            chmod +x "$2/bin/uv""#
        );
        machine.program("bin/python", &script)
    }

    #[tokio::test]
    async fn the_configured_one_goes_before_the_one_on_the_path_and_before_ours() {
        let machine = Machine::new();
        let ours = machine.program("tools/uv/bin/uv", "");
        let mut tool = tool(&machine);
        let (report, _) = machine.report();
        let settings = PipSettings::default();
        let python = Path::new("/nowhere/python");
        let found = tool.provide(&host(), python, &settings, &report).await;
        assert_eq!(found, Some(ours));
        let on_path = machine.program("path/uv", "");
        let path = machine.path("path").display().to_string();
        let host = host_with(&[("PATH", &path)]);
        assert_eq!(
            tool.provide(&host, python, &settings, &report).await,
            Some(on_path)
        );
        let configured = machine.program("own/uv", "");
        tool.configured = Some(configured.clone());
        assert_eq!(
            tool.provide(&host, python, &settings, &report).await,
            Some(configured)
        );
    }

    #[tokio::test]
    async fn many_who_need_it_at_once_install_it_once_from_the_operators_index() {
        let machine = Machine::new();
        let python = python(&machine, "exit 0");
        machine.write("tools/.uv-0123/half", "left by somebody who was killed");
        let settings = PipSettings {
            index_url: Some("https://own/simple".to_owned()),
            ..PipSettings::default()
        };
        let mut wishes = JoinSet::new();
        for _ in 0..5 {
            let (tool, host, python) = (tool(&machine), host(), python.clone());
            let ((report, _), settings) = (machine.report(), settings.clone());
            wishes.spawn(async move { tool.provide(&host, &python, &settings, &report).await });
        }
        for found in wishes.join_all().await {
            assert_eq!(found, Some(machine.path("tools/uv/bin/uv")));
        }
        assert_eq!(machine.read("calls").lines().count(), 1);
        assert_eq!(machine.read("seen").trim(), "https://own/simple");
        let names = std::fs::read_dir(machine.path("tools")).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [".lock", "uv"]);
    }

    #[tokio::test]
    async fn where_it_is_not_to_be_had_it_is_said_why_and_nothing_is_left() {
        let machine = Machine::new();
        let without_pip = machine.program("bin/bare", "echo 'No module named pip'; exit 1");
        let unfit = python(&machine, "exit 126");
        let online = PipSettings::default();
        let offline = PipSettings {
            offline: true,
            ..PipSettings::default()
        };
        for (python, settings, why) in [
            (Path::new("/nowhere/python"), &online, "not found"),
            (&without_pip, &online, "No module named pip"),
            (&unfit, &online, "does not run on this machine"),
            (&unfit, &offline, "offline"),
        ] {
            let (report, _) = machine.report();
            let tool = tool(&machine);
            let found = tool.provide(&host(), python, settings, &report).await;
            assert_eq!(found, None);
            let log = machine.log().await;
            let last = log.lines().last().unwrap_or_default();
            assert!(last.contains(why), "{last}");
            assert!(!machine.path("tools/uv").exists());
        }
    }
}
