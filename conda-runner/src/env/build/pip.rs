//! Installs the pip part of an environment, with uv or with the environment's own pip.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serving_core::LoadError;
use tokio::time::timeout;

use super::failure::Attempt;
use super::indexes::Indexes;
use super::{Site, distributions};
use crate::env::trouble::Trouble;
use crate::error::disk;
use crate::process::child::Launch;

/// For one installation. The largest frameworks are gigabytes, and some packages are compiled.
const DEADLINE: Duration = Duration::from_secs(3600);
/// Bytes of pip's own log that are read back.
const LOG_READ: u64 = 16 << 20;
/// What pip tells only there: why an index gave no package, and which versions are for other Pythons.
const LOGGED: [&str; 2] = ["Could not fetch URL ", " Requires-Python "];
/// Lines of it that are kept.
const LOGGED_LINES: usize = 100;

/// What the operator wants of all installations from package indexes.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct PipSettings {
    /// A constraints file.
    pub(crate) constraints: Option<PathBuf>,
    /// The index in the place of PyPI. May hold a password.
    pub(crate) index_url: Option<String>,
    /// Further indexes. May hold passwords.
    pub(crate) extra_index_urls: Vec<String>,
    /// Whether only what is cached may be used.
    pub(crate) offline: bool,
}

/// Who installs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Installer {
    /// This uv.
    Uv(PathBuf),
    /// The pip of the environment itself.
    Pip,
}

impl Installer {
    /// Installs `lines` (of a requirements file) into the environment at the site's prefix. Of each package that
    /// `locked` names (`name==version`) it takes that version. Where the index cannot be reached, what uv has cached
    /// may do.
    pub(crate) async fn install(
        &self,
        site: &Site,
        lines: &[String],
        locked: &[String],
        settings: &PipSettings,
    ) -> Result<(), LoadError> {
        if lines.iter().all(|line| line.trim().is_empty()) {
            return Ok(());
        }
        let files = Files::write(site, lines, locked, settings).await?;
        let indexes = Indexes::new(settings, &site.host);
        let error = match self.attempt(site, &files, &indexes).await {
            Err(error) if self.may_have_cached(&error, &indexes) => error,
            outcome => return outcome,
        };
        let report = &site.report;
        report
            .line("the package index cannot be reached: trying with what is cached")
            .await;
        match self.attempt(site, &files, &indexes.offline()).await {
            Ok(()) => {
                report
                    .line("all of it was cached: installed without the package index")
                    .await;
                Ok(())
            }
            // What is not cached is no news: the network is what is wrong.
            Err(_) => Err(error),
        }
    }

    /// Every Python package in the environment at the site's prefix, as `name==version`; those that came from a file
    /// or a repository are left out.
    pub(crate) async fn installed(&self, site: &Site) -> Result<Vec<String>, LoadError> {
        let prefix = site.prefix.clone();
        let list = tokio::task::spawn_blocking(move || distributions::installed(&prefix)).await;
        let list = list
            .unwrap_or_else(|error| Err(std::io::Error::other(error)))
            .map_err(disk("list the packages in", &site.prefix))?;
        let told = format!("{} Python packages are there after {self}", list.len());
        site.report.line(&told).await;
        Ok(list)
    }

    /// Only uv can resolve requirements from its cache.
    fn may_have_cached(&self, error: &LoadError, indexes: &Indexes) -> bool {
        let network = error.code.as_deref() == Some(Trouble::Network.code());
        network && matches!(self, Self::Uv(_)) && !indexes.is_offline()
    }

    async fn attempt(
        &self,
        site: &Site,
        files: &Files,
        indexes: &Indexes,
    ) -> Result<(), LoadError> {
        let variables = indexes.variables(&site.host);
        let more = variables
            .iter()
            .map(|(name, value)| (*name, value.as_str()));
        let (program, arguments) = self.command(site, files, indexes.is_offline());
        let launch = Launch {
            program,
            arguments,
            environment: site.host.environment(Some(&site.prefix.join("bin")), more),
            // Requirements name the model's own files relative to its folder.
            directory: site.folder.clone(),
        };
        let report = site.report.clone();
        let listener = Box::new(move |line: &str| {
            if let Some(packages) = to_install(line) {
                report.progress(&format!("installing {packages} Python packages"));
            }
        });
        let run = site.host.run_told(&launch, &site.report.log, listener);
        let Ok(ended) = timeout(DEADLINE, run).await else {
            return Err(Trouble::PipFailed.passing(format!(
                "{self} did not install the model's requirements within {} minutes",
                DEADLINE.as_secs() / 60
            )));
        };
        let ended = ended?;
        if ended.success {
            return Ok(());
        }
        let error = Attempt {
            program: &self.to_string(),
            ended: &ended,
            more: &files.logged().await,
            asked: &indexes.shown(),
            offline: indexes.is_offline(),
        };
        Err(error.error())
    }

    fn command(&self, site: &Site, files: &Files, offline: bool) -> (PathBuf, Vec<OsString>) {
        let python = site.prefix.join("bin/python");
        let (program, mut arguments) = match self {
            Self::Uv(uv) => {
                let mut arguments: Vec<OsString> =
                    ["pip", "install", "--python"].map(OsString::from).into();
                arguments.push(python.into());
                if offline {
                    arguments.push("--offline".into());
                }
                (uv.clone(), arguments)
            }
            Self::Pip => {
                // Isolated: the model's folder is the current one, and holds whatever Python files it likes.
                let mut arguments: Vec<OsString> = [
                    "-I",
                    "-m",
                    "pip",
                    "install",
                    "--progress-bar",
                    "off",
                    "--log",
                ]
                .map(OsString::from)
                .into();
                arguments.push(files.log.clone().into());
                (python, arguments)
            }
        };
        for constraints in files.constraints.iter().chain(&files.locked) {
            arguments.extend(["--constraint".into(), constraints.into()]);
        }
        arguments.extend(["--requirement".into(), files.requirements.clone().into()]);
        (program, arguments)
    }
}

impl fmt::Display for Installer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Uv(_) => "uv",
            Self::Pip => "pip",
        })
    }
}

/// Shows no address: it may hold a password.
impl fmt::Debug for PipSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PipSettings")
            .field("constraints", &self.constraints)
            .field("offline", &self.offline)
            .finish_non_exhaustive()
    }
}

/// What an installer reads and writes, beside the prefix: the requirements may hold passwords, which a command line
/// would show to everybody on the machine.
struct Files {
    requirements: PathBuf,
    constraints: Option<PathBuf>,
    locked: Option<PathBuf>,
    /// pip's.
    log: PathBuf,
}

impl Files {
    async fn write(
        site: &Site,
        lines: &[String],
        locked: &[String],
        settings: &PipSettings,
    ) -> Result<Self, LoadError> {
        let folder = site.prefix.parent().unwrap_or(&site.prefix);
        let files = Self {
            requirements: folder.join("requirements.txt"),
            constraints: settings.constraints.clone(),
            locked: (!locked.is_empty()).then(|| folder.join("locked.txt")),
            log: folder.join("pip.log"),
        };
        let lines: Vec<String> = lines
            .iter()
            .map(|line| from_elsewhere(line, &site.folder))
            .collect();
        write_lines(&files.requirements, &lines).await?;
        if let Some(path) = &files.locked {
            write_lines(path, locked).await?;
        }
        Ok(files)
    }

    /// What pip told only its own log. Without it there is less to say, which is no trouble of its own.
    async fn logged(&self) -> Vec<String> {
        let path = self.log.clone();
        let read = tokio::task::spawn_blocking(move || read_logged(&path)).await;
        read.ok().and_then(Result::ok).unwrap_or_default()
    }
}

fn read_logged(path: &Path) -> std::io::Result<Vec<String>> {
    use std::io::Read;
    let mut text = Vec::new();
    std::fs::File::open(path)?
        .take(LOG_READ)
        .read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    let lines = text
        .lines()
        .filter(|line| LOGGED.iter().any(|part| line.contains(part)));
    // Each begins with the time.
    let lines = lines.map(|line| line.split_once(' ').map_or(line, |(_, line)| line));
    let all: Vec<String> = lines.map(str::to_owned).collect();
    Ok(all[all.len().saturating_sub(LOGGED_LINES)..].to_vec())
}

async fn write_lines(path: &Path, lines: &[String]) -> Result<(), LoadError> {
    let mut text = lines.join("\n");
    text.push('\n');
    tokio::fs::write(path, text)
        .await
        .map_err(disk("write", path))
}

/// The line for a requirements file that is not in `folder`: installers look for other requirements files, and for
/// folders of wheels, beside the file that names them. (For packages they look in the current folder.)
fn from_elsewhere(line: &str, folder: &Path) -> String {
    let line = line.trim();
    let options = [
        "--requirement",
        "-r",
        "--constraint",
        "-c",
        "--find-links",
        "-f",
    ];
    let Some(option) = options.iter().find(|option| line.starts_with(**option)) else {
        return line.to_owned();
    };
    let value = line[option.len()..].trim_start_matches(['=', ' ', '\t']);
    let (name, comment) = value.split_once(" #").unwrap_or((value, ""));
    let comment = if comment.is_empty() {
        String::new()
    } else {
        format!(" #{comment}")
    };
    let name = name.trim();
    if name.contains("://") || name.starts_with("file:") || name.is_empty() {
        return line.to_owned();
    }
    format!("{option} {}{comment}", folder.join(name).display())
}

/// How many packages are about to be installed, from the line that uv or pip tells it with.
fn to_install(line: &str) -> Option<usize> {
    if let Some(packages) = line.strip_prefix("Installing collected packages: ") {
        return Some(packages.split(", ").count());
    }
    let (number, rest) = line.strip_prefix("Resolved ")?.split_once(' ')?;
    let number = number.parse().ok()?;
    (rest.starts_with("package") && number > 0).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::build::testing::{self, Machine};

    #[test]
    fn files_that_a_line_refers_to_are_found_from_everywhere() {
        let folder = Path::new("/model");
        for (line, meant) in [
            ("-r requirements.txt", "-r /model/requirements.txt"),
            ("-rrequirements.txt", "-r /model/requirements.txt"),
            (
                "--requirement=sub/r.txt # x",
                "--requirement /model/sub/r.txt # x",
            ),
            ("-c constraints.txt", "-c /model/constraints.txt"),
            ("--find-links wheels", "--find-links /model/wheels"),
            ("-f https://host/wheels", "-f https://host/wheels"),
            ("--index-url https://host/", "--index-url https://host/"),
            ("-e ./own", "-e ./own"),
            (
                "./x.whl ; python_version > '3'",
                "./x.whl ; python_version > '3'",
            ),
        ] {
            assert_eq!(from_elsewhere(line, folder), meant);
        }
    }

    #[test]
    fn the_number_of_packages_is_told_by_both_programs() {
        assert_eq!(to_install("Resolved 92 packages in 1.20s"), Some(92));
        assert_eq!(to_install("Resolved 1 package in 12ms"), Some(1));
        assert_eq!(
            to_install("Installing collected packages: six, newpkg, idna"),
            Some(3)
        );
        assert_eq!(to_install("Installed 92 packages in 4ms"), None);
        assert_eq!(to_install("Resolved nothing"), None);
    }

    /// A uv that writes down what it is given, and then does as the test says.
    fn uv(machine: &Machine, then: &str) -> Installer {
        let script = format!(
            r#"
            here='{}'
            echo "$*" >> "$here/calls"
            echo "$UV_DEFAULT_INDEX|$PIP_INDEX_URL|$(pwd)" > "$here/seen"
            {then}"#,
            machine.path("").display()
        );
        Installer::Uv(machine.program("tools/uv", &script))
    }

    fn lines(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[tokio::test]
    async fn requirements_constraints_and_the_lock_reach_uv_and_passwords_no_command_line() {
        let machine = Machine::new();
        let uv = uv(&machine, "echo Resolved 3 packages in 1ms");
        let settings = PipSettings {
            constraints: Some("/etc/constraints.txt".into()),
            index_url: Some("https://me:secret@own/simple".to_owned()),
            ..PipSettings::default()
        };
        let wanted = lines(&["mlflow==3.17.2", "--extra-index-url https://you:hidden@b/"]);
        let (site, mut steps) = machine.site();
        uv.install(&site, &wanted, &lines(&["numpy==2.4.6"]), &settings)
            .await
            .unwrap();
        let at = |name: &str| machine.path(name).display().to_string();
        let calls = machine.read("calls");
        assert_eq!(
            calls.trim(),
            format!(
                "pip install --python {} --constraint /etc/constraints.txt --constraint {} --requirement {}",
                at("staging/whole/bin/python"),
                at("staging/locked.txt"),
                at("staging/requirements.txt"),
            )
        );
        let index = "https://me:secret@own/simple";
        assert_eq!(
            machine.read("seen").trim(),
            format!("{index}|{index}|{}", at("model"))
        );
        assert_eq!(machine.read("staging/locked.txt"), "numpy==2.4.6\n");
        assert_eq!(
            machine.read("staging/requirements.txt"),
            "mlflow==3.17.2\n--extra-index-url https://you:hidden@b/\n"
        );
        let step = steps.borrow_and_update().clone();
        assert_eq!(step.as_deref(), Some("installing 3 Python packages"));
        let log = machine.log().await;
        assert!(!log.contains("secret") && !log.contains("hidden"), "{log}");
    }

    #[tokio::test]
    async fn when_the_index_cannot_be_reached_what_is_cached_may_do() {
        let machine = Machine::new();
        let unreachable = "echo 'error: Request failed after 3 retries'; exit 2";
        let uv = uv(
            &machine,
            &format!("case \"$*\" in *--offline*) ;; *) {unreachable} ;; esac"),
        );
        let (site, _steps) = machine.site();
        uv.install(&site, &lines(&["six"]), &[], &PipSettings::default())
            .await
            .unwrap();
        assert_eq!(machine.read("calls").lines().count(), 2);
        assert!(machine.log().await.contains("all of it was cached"));
    }

    #[tokio::test]
    async fn what_is_not_cached_either_is_the_networks_trouble() {
        let machine = Machine::new();
        let offline = "echo 'was not found in the cache'; exit 1";
        let online = "echo 'error: Request failed after 3 retries'; exit 2";
        let uv = uv(
            &machine,
            &format!("case \"$*\" in *--offline*) {offline} ;; *) {online} ;; esac"),
        );
        let (site, _steps) = machine.site();
        let wanted = lines(&["six"]);
        let online = PipSettings::default();
        let failed = uv.install(&site, &wanted, &[], &online).await;
        let error = failed.unwrap_err();
        assert_eq!(error.code.as_deref(), Some("NETWORK"));
        let settings = PipSettings {
            offline: true,
            ..PipSettings::default()
        };
        let failed = uv.install(&site, &wanted, &[], &settings).await;
        assert_eq!(failed.unwrap_err().code.as_deref(), Some("OFFLINE"));
        assert_eq!(machine.read("calls").lines().count(), 3);
    }

    #[tokio::test]
    async fn nothing_to_install_starts_nothing() {
        let machine = Machine::new();
        let (site, _steps) = machine.site();
        let nothing = Installer::Uv("/nowhere/uv".into());
        nothing
            .install(&site, &lines(&["", " "]), &[], &PipSettings::default())
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn a_wheel_of_the_model_is_installed_by_pip_without_any_index() {
        let machine = Machine::new();
        let python = machine.python().await;
        let (site, _steps) = machine.site();
        crate::env::build::make_venv(&site, &python, None)
            .await
            .unwrap();
        testing::wheel(&machine.path("model"), "own");
        let settings = PipSettings {
            offline: true,
            ..PipSettings::default()
        };
        let wanted = lines(&["./own-1.0-py3-none-any.whl ; python_version > '3'"]);
        Installer::Pip
            .install(&site, &wanted, &[], &settings)
            .await
            .unwrap();
        let installed = Installer::Pip.installed(&site).await.unwrap();
        assert!(
            installed.iter().any(|package| package.starts_with("pip==")),
            "{installed:?}"
        );
        assert!(!installed.iter().any(|package| package.starts_with("own==")));
        assert!(site.prefix.join("bin/own-program").exists());
    }
}
