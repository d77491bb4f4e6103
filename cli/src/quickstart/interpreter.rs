//! Finds a Python that an environment can be built with, or says exactly what to install.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::process::{Processes, Program};
use crate::args::environment::Environment;
use crate::error::CommandError;

/// What MLflow needs.
const OLDEST: (u32, u32) = (3, 10);

/// Looked for in this order.
const NAMES: [&str; 6] = [
    "python3",
    "python3.13",
    "python3.12",
    "python3.11",
    "python3.10",
    "python",
];

/// Prints the version, and whether environments with pip can be made (Debian packs that apart).
const PROBE: &str = "import sys\n\
                     print(*sys.version_info[:2])\n\
                     import venv, ensurepip";

const DEADLINE: Duration = Duration::from_secs(30);

/// A Python that will do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interpreter {
    /// The program.
    pub(super) path: PathBuf,
    /// 3.11 is (3, 11).
    pub(super) version: (u32, u32),
}

/// There is no Python that will do: the first one found is told about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lack {
    first: Option<(PathBuf, Unfit)>,
}

/// What is wrong with a Python.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Unfit {
    Broken,
    TooOld((u32, u32)),
    WithoutVenv((u32, u32)),
}

/// The interpreter that was named, or the first fit one on the search path.
pub(super) async fn find(
    named: Option<&Path>,
    environment: &Environment,
    processes: &Processes,
) -> Result<Interpreter, Lack> {
    let candidates: Vec<PathBuf> = match named {
        Some(path) => vec![path.to_owned()],
        None => NAMES
            .iter()
            .filter_map(|name| environment.find_program(name))
            .collect(),
    };
    let mut first = None;
    for path in candidates {
        match probe(&path, processes).await {
            Ok(version) => return Ok(Interpreter { path, version }),
            Err(unfit) => first = first.or(Some((path, unfit))),
        }
    }
    Err(Lack { first })
}

async fn probe(path: &Path, processes: &Processes) -> Result<(u32, u32), Unfit> {
    let program = Program::new("python-check", path).arguments(["-c", PROBE]);
    let ended = processes.run(program, DEADLINE, |_| {}).await;
    let printed = processes.printed("python-check");
    judge(&printed, ended.is_ok())
}

/// `printed` ends with the output of the newest probe, which `succeeded` or not.
fn judge(printed: &str, succeeded: bool) -> Result<(u32, u32), Unfit> {
    let version = printed
        .lines()
        .rev()
        .find_map(version_of)
        .ok_or(Unfit::Broken)?;
    if version < OLDEST {
        Err(Unfit::TooOld(version))
    } else if succeeded {
        Ok(version)
    } else {
        Err(Unfit::WithoutVenv(version))
    }
}

fn version_of(line: &str) -> Option<(u32, u32)> {
    let (major, minor) = line.split_once(' ')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

impl Lack {
    /// What is wrong, as part of a sentence.
    pub(super) fn what(&self) -> String {
        let Some((path, unfit)) = &self.first else {
            return "there is no python3 on the PATH".to_owned();
        };
        let path = path.display();
        match unfit {
            Unfit::Broken => format!("{path} is no Python that runs"),
            Unfit::TooOld((major, minor)) => {
                format!("{path} is Python {major}.{minor}, which is too old")
            }
            Unfit::WithoutVenv((major, minor)) => {
                format!("{path} (Python {major}.{minor}) cannot make environments")
            }
        }
    }

    /// What to install.
    pub(super) fn remedy(&self) -> String {
        match self.first {
            Some((_, Unfit::WithoutVenv((major, minor)))) => format!(
                "install its venv module (Debian and Ubuntu: `sudo apt install python{major}.{minor}-venv`), \
                 or name another Python with --python"
            ),
            _ => "install Python 3.10 or later (Debian and Ubuntu: `sudo apt install python3 python3-venv`, \
                  Fedora: `sudo dnf install python3`, macOS: `brew install python3`, \
                  with uv: `uv python install 3.11`), or name one with --python"
                .to_owned(),
        }
    }

    /// Ends the command with it.
    pub(super) fn into_error(self) -> CommandError {
        CommandError::failed(self.what()).next(self.remedy())
    }

    /// Not a single Python was found.
    #[cfg(test)]
    pub(super) fn nothing() -> Self {
        Self { first: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_python_is_judged_by_its_version_and_by_what_it_can_import() {
        assert_eq!(judge("3 11\n", true), Ok((3, 11)));
        assert_eq!(judge("3 9\n", true), Err(Unfit::TooOld((3, 9))));
        let debian = "3 11\nModuleNotFoundError: No module named 'ensurepip'\n";
        assert_eq!(judge(debian, false), Err(Unfit::WithoutVenv((3, 11))));
        assert_eq!(judge("command not found\n", false), Err(Unfit::Broken));
    }

    #[test]
    fn every_lack_is_told_with_what_to_install() {
        let path = || PathBuf::from("/usr/bin/python3");
        let all = [
            None,
            Some((path(), Unfit::Broken)),
            Some((path(), Unfit::TooOld((3, 8)))),
            Some((path(), Unfit::WithoutVenv((3, 11)))),
        ];
        let told = all.map(|first| Lack { first }.into_error().to_string());
        insta::assert_snapshot!(told.join("\n\n"));
    }
}
