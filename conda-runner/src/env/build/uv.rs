//! Builds an environment with uv, in two steps as MLflow does: what builds packages first, then the requirements.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serving_core::LoadError;

use crate::env::declared::PythonEnv;
use crate::process::child::{Ended, Launch};
use crate::process::diagnosis::failed_build;
use crate::process::host::Host;
use crate::process::logs::Log;

/// uv, and what the operator wants of all environments.
#[derive(Clone, Debug)]
pub(crate) struct Uv {
    pub(crate) program: PathBuf,
    /// A constraints file.
    pub(crate) constraints: Option<PathBuf>,
}

impl Uv {
    /// Builds what the model in `folder` declares at `into`, which does not exist before. The result can be moved.
    pub(crate) async fn build(
        &self,
        host: &Host,
        folder: &Path,
        declared: &PythonEnv,
        into: &Path,
        log: &Log,
    ) -> Result<(), LoadError> {
        for package in &declared.left_out {
            log.line(&format!("left out {package}: only conda can install it"))
                .await;
        }
        self.make(host, folder, declared.python.as_deref(), into, log)
            .await?;
        for (doing, lines) in [
            (
                "install the build dependencies",
                &declared.build_dependencies,
            ),
            ("install the requirements", &declared.dependencies),
        ] {
            if !lines.is_empty() {
                let ended = self
                    .run(host, folder, self.install(into, lines), log)
                    .await?;
                checked(doing, &ended)?;
            }
        }
        Ok(())
    }

    /// `uv venv`, with the wanted Python or, where that very one is not installed, another of its minor version.
    async fn make(
        &self,
        host: &Host,
        folder: &Path,
        python: Option<&str>,
        into: &Path,
        log: &Log,
    ) -> Result<(), LoadError> {
        let ended = self.run(host, folder, venv(python, into), log).await?;
        let Some(python) = python else {
            return checked("make an environment", &ended);
        };
        if !is_python_missing(&ended) {
            return checked("make an environment", &ended);
        }
        let minor = minor_version(python).filter(|minor| *minor != python);
        if let Some(minor) = minor {
            log.line(&format!(
                "Python {python} is not installed: taking any Python {minor} instead"
            ))
            .await;
            let ended = self.run(host, folder, venv(Some(minor), into), log).await?;
            if !is_python_missing(&ended) {
                return checked("make an environment", &ended);
            }
        }
        Err(LoadError::permanent(format!(
            "the model wants Python {python}, and uv finds neither that nor another Python {}: \
             install it, or serve the model with env_manager local",
            minor.unwrap_or(python)
        )))
    }

    fn install(&self, into: &Path, lines: &[String]) -> Vec<OsString> {
        let mut arguments: Vec<OsString> =
            ["pip", "install", "--python"].map(OsString::from).into();
        arguments.push(into.join("bin/python").into());
        if let Some(constraints) = &self.constraints {
            arguments.extend(["--constraints".into(), constraints.into()]);
        }
        for line in lines {
            match line.trim().split_once(char::is_whitespace) {
                // An option and its value are two arguments, a requirement is one whatever is in it.
                Some((option, value)) if option.starts_with('-') => {
                    arguments.extend([option.into(), value.trim().into()]);
                }
                _ => arguments.push(line.trim().into()),
            }
        }
        arguments
    }

    async fn run(
        &self,
        host: &Host,
        folder: &Path,
        arguments: Vec<OsString>,
        log: &Log,
    ) -> Result<std::sync::Arc<Ended>, LoadError> {
        let path = search_path(host);
        let settings = [
            ("PATH", path.as_str()),
            // Without it uv tries for long to fetch a missing Python from GitHub.
            ("UV_PYTHON_DOWNLOADS", "never"),
            ("UV_NO_PROGRESS", "1"),
            ("NO_COLOR", "1"),
        ];
        let launch = Launch {
            program: self.program.clone(),
            arguments,
            environment: host.environment(None, settings),
            // Requirements name the model's own files relative to its folder.
            directory: folder.to_owned(),
        };
        host.run(&launch, log).await
    }
}

/// The inherited `PATH`, then the folders of the Pythons that pyenv installed: its own entries on `PATH` are wrappers
/// that refuse every version but the chosen one, so uv would not find the others.
fn search_path(host: &Host) -> String {
    let inherited = host.variable("PATH").unwrap_or_default();
    let root = host.variable("PYENV_ROOT").map(PathBuf::from);
    let root = root.or_else(|| Some(Path::new(host.variable("HOME")?).join(".pyenv")));
    let versions = root.and_then(|root| std::fs::read_dir(root.join("versions")).ok());
    let folders = versions
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin"));
    let mut folders: Vec<String> = folders
        .filter(|folder| folder.is_dir())
        .map(|folder| folder.display().to_string())
        .collect();
    folders.sort();
    folders.insert(0, inherited.to_owned());
    folders.join(":")
}

fn venv(python: Option<&str>, into: &Path) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = ["venv", "--relocatable", "--no-project"]
        .map(OsString::from)
        .into();
    if let Some(python) = python {
        arguments.extend(["--python".into(), python.into()]);
    }
    arguments.push(into.into());
    arguments
}

fn checked(doing: &str, ended: &Ended) -> Result<(), LoadError> {
    if ended.success {
        Ok(())
    } else {
        Err(failed_build(doing, ended))
    }
}

fn is_python_missing(ended: &Ended) -> bool {
    !ended.success
        && ended
            .lines
            .iter()
            .any(|line| line.contains("No interpreter found"))
}

/// `3.11` of `3.11.7`.
fn minor_version(python: &str) -> Option<&str> {
    let (first_dot, _) = python.match_indices('.').next()?;
    let end = python[first_dot + 1..]
        .find('.')
        .map_or(python.len(), |dot| first_dot + 1 + dot);
    Some(&python[..end])
}

#[cfg(test)]
mod tests {
    use tokio_util::task::TaskTracker;

    use super::*;

    #[test]
    fn a_version_is_relaxed_to_its_minor_version() {
        assert_eq!(minor_version("3.11.7"), Some("3.11"));
        assert_eq!(minor_version("3.10"), Some("3.10"));
        assert_eq!(minor_version("3"), None);
    }

    #[test]
    fn pythons_of_pyenv_are_found_after_those_on_the_path() {
        let home = tempfile::tempdir().unwrap();
        for version in ["3.9.18", "3.11.7"] {
            std::fs::create_dir_all(
                home.path()
                    .join(".pyenv/versions")
                    .join(version)
                    .join("bin"),
            )
            .unwrap();
        }
        let home = home.path().display().to_string();
        let inherited = [
            ("PATH".to_owned(), "/usr/bin".to_owned()),
            ("HOME".to_owned(), home.clone()),
        ];
        let versions = format!("{home}/.pyenv/versions");
        assert_eq!(
            search_path(&Host::new(&inherited, TaskTracker::new())),
            format!("/usr/bin:{versions}/3.11.7/bin:{versions}/3.9.18/bin")
        );
        assert_eq!(
            search_path(&Host::new(&inherited[..1], TaskTracker::new())),
            "/usr/bin"
        );
    }

    #[test]
    fn an_option_and_its_value_are_two_arguments() {
        let uv = Uv {
            program: "uv".into(),
            constraints: Some("/etc/constraints.txt".into()),
        };
        let lines = ["-r requirements.txt", "numpy >= 1, < 2", "--pre"].map(str::to_owned);
        let arguments = uv.install(Path::new("/env"), &lines);
        assert_eq!(
            arguments,
            [
                "pip",
                "install",
                "--python",
                "/env/bin/python",
                "--constraints",
                "/etc/constraints.txt",
                "-r",
                "requirements.txt",
                "numpy >= 1, < 2",
                "--pre"
            ]
        );
    }
}
