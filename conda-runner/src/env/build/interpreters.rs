//! Finds the interpreters that are installed on this machine.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Report;
use crate::process::child::Launch;
use crate::process::host::{Host, is_program};

/// For the answer of one interpreter. Only a broken one, or a disk far away, takes longer.
const ANSWER: Duration = Duration::from_secs(10);
/// Interpreters that are asked at the same time.
const AT_ONCE: usize = 4;
/// Interpreters that are asked at all.
const MOST: usize = 64;
/// Below the home folder, or at the root of an administrator's machine.
const CONDA_ROOTS: [&str; 4] = ["miniconda3", "anaconda3", "miniforge3", "mambaforge"];

/// Any Python understands it, also 2.7, and answers with what it is a virtual environment of.
const QUESTION: &str = r#"
import json, os, sys
base = getattr(sys, "base_prefix", sys.prefix)
program = sys.executable
if base != sys.prefix:
    program = os.path.join(base, "bin", "python%d.%d" % sys.version_info[:2])
def has(module):
    try:
        from importlib.util import find_spec
        return find_spec(module) is not None
    except Exception:
        return False
print(json.dumps({
    "program": program,
    "version": "%d.%d.%d" % sys.version_info[:3],
    "usual": sys.version_info[3] == "final" and sys.implementation.name == "cpython" and "t" not in sys.abiflags,
    "venv": has("venv") and has("ensurepip"),
}))
"#;

/// What an interpreter has to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    /// `3.11.7`, or else another of its minor version; `3.11`; `None` takes any.
    pub(crate) version: Option<&'a str>,
    /// Whether it has to make virtual environments by itself: on Debian that is a package of its own.
    pub(crate) venv: bool,
}

/// What one says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Interpreter {
    program: PathBuf,
    version: String,
    usual: bool,
    venv: bool,
}

/// An installed interpreter, the fittest: of the wanted version, or else of its minor version. Never one of another
/// minor version: what was pickled there need not load.
pub(crate) async fn installed(host: &Host, wanted: Wanted<'_>, report: &Report) -> Option<PathBuf> {
    let looking = host.clone();
    let candidates = tokio::task::spawn_blocking(move || candidates(&looking)).await;
    let found = ask_all(host, candidates.ok()?, report).await;
    let chosen = choose(&found, wanted)?;
    match wanted.version {
        Some(version) if version != chosen.version => {
            let line = format!(
                "Python {version} is not installed: taking {}",
                chosen.version
            );
            report.line(&line).await;
        }
        _ => {}
    }
    Some(chosen.program.clone())
}

fn choose<'a>(found: &'a [Interpreter], wanted: Wanted<'_>) -> Option<&'a Interpreter> {
    let mut fit = found
        .iter()
        .filter(|found| found.usual && (found.venv || !wanted.venv));
    let Some(version) = wanted.version else {
        return fit.find(|found| minor(&found.version) >= Some((3, 8)));
    };
    let minor_wanted = minor(version)?;
    let fit = fit.filter(|found| minor(&found.version) == Some(minor_wanted));
    // Of equals the first one that was found.
    fit.rev()
        .max_by_key(|found| (found.version == version, patch(&found.version)))
}

/// `(3, 11)` of `3.11.7` and of `3.11.*`.
fn minor(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn patch(version: &str) -> Option<u32> {
    version.split('.').nth(2)?.parse().ok()
}

/// In the order of the candidates. Those that do not answer are left out.
async fn ask_all(host: &Host, candidates: Vec<PathBuf>, report: &Report) -> Vec<Interpreter> {
    let mut found: Vec<(usize, Interpreter)> = Vec::new();
    let mut questions = JoinSet::new();
    for (at, program) in candidates.into_iter().enumerate() {
        if questions.len() == AT_ONCE {
            found.extend(questions.join_next().await.and_then(Result::ok).flatten());
        }
        let (host, report) = (host.clone(), report.clone());
        questions.spawn(async move { Some((at, ask(&host, program, &report).await?)) });
    }
    found.extend(questions.join_all().await.into_iter().flatten());
    found.sort_by_key(|(at, _)| *at);
    found.into_iter().map(|(_, found)| found).collect()
}

async fn ask(host: &Host, program: PathBuf, report: &Report) -> Option<Interpreter> {
    let launch = Launch {
        arguments: ["-I", "-c", QUESTION].map(OsString::from).into(),
        environment: host.environment(None, []),
        directory: "/".into(),
        program,
    };
    let process = host.start(&launch, report.log.clone(), ()).ok()?;
    let ended = timeout(ANSWER, process.wait()).await.ok()?;
    let answer = ended
        .lines
        .iter()
        .rev()
        .find_map(|line| serde_json::from_str::<Interpreter>(line).ok());
    answer.filter(|found| ended.success && is_program(&found.program))
}

/// Where interpreters usually are, each once, in the order of preference.
fn candidates(host: &Host) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = Vec::new();
    let path = host.variable("PATH").unwrap_or_default().split(':');
    folders.extend(
        path.filter(|folder| folder.starts_with('/'))
            .map(PathBuf::from),
    );
    let home = host.variable("HOME").map(PathBuf::from);
    let below_home = |name: &str| home.as_ref().map(|home| home.join(name));
    let variable = |name: &str| host.variable(name).map(PathBuf::from);

    let pyenv = variable("PYENV_ROOT").or_else(|| below_home(".pyenv"));
    let uv = variable("UV_PYTHON_INSTALL_DIR").or_else(|| {
        let data = variable("XDG_DATA_HOME").or_else(|| below_home(".local/share"));
        Some(data?.join("uv/python"))
    });
    for versions in [pyenv.map(|root| root.join("versions")), uv]
        .into_iter()
        .flatten()
    {
        folders.extend(
            folders_in(&versions)
                .into_iter()
                .map(|version| version.join("bin")),
        );
    }
    let conda = variable("CONDA_EXE").and_then(|program| {
        // ROOT/bin/conda
        Some(program.parent()?.parent()?.to_owned())
    });
    let usual = CONDA_ROOTS.iter().flat_map(|name| {
        let administrators = Path::new("/opt").join(name);
        below_home(name).into_iter().chain([administrators])
    });
    for root in conda.into_iter().chain(usual) {
        folders.push(root.join("bin"));
        let environments = folders_in(&root.join("envs"));
        folders.extend(
            environments
                .into_iter()
                .map(|environment| environment.join("bin")),
        );
    }

    let mut known = HashSet::new();
    let programs = folders
        .iter()
        .filter(|folder| !is_shims(folder))
        .flat_map(|folder| interpreters_in(folder));
    let is_new = |program: &PathBuf| {
        known.insert(fs::canonicalize(program).unwrap_or_else(|_| program.clone()))
    };
    programs.filter(is_new).take(MOST).collect()
}

/// pyenv's, and others' who follow it: wrappers that refuse every version but the chosen one.
fn is_shims(folder: &Path) -> bool {
    folder.file_name().is_some_and(|name| name == "shims")
}

/// `python3.11` and the like, the latest first, then what is only called `python3` or `python`.
fn interpreters_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut exact: Vec<((u32, u32), PathBuf)> = entries
        .filter_map(|entry| {
            let name = entry.file_name();
            let version = name.to_str()?.strip_prefix("python")?;
            let digits = version
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.');
            let version = minor(version).filter(|version| digits && version.0 >= 3)?;
            Some((version, entry.path()))
        })
        .collect();
    exact.sort();
    let exact = exact.into_iter().rev().map(|(_, path)| path);
    let others = ["python3", "python"].map(|name| folder.join(name));
    exact
        .chain(others)
        .filter(|path| is_program(path))
        .collect()
}

fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut all: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    all.sort();
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::build::testing::{Machine, host_with};

    /// An interpreter of which nothing but its answer is real.
    fn interpreter(machine: &Machine, name: &str, version: &str, more: &str) -> PathBuf {
        let answer = format!(
            r#"{{"program": "{}", "version": "{version}", "usual": true, "venv": true{more}}}"#,
            machine.path(name).display()
        );
        machine.program(name, &format!("echo warning: x; echo '{answer}'"))
    }

    async fn found(
        machine: &Machine,
        host: &Host,
        version: Option<&str>,
        venv: bool,
    ) -> Option<PathBuf> {
        installed(host, Wanted { version, venv }, &machine.report().0).await
    }

    #[tokio::test]
    async fn the_very_version_goes_before_another_of_the_same_minor_and_no_other_will_do() {
        let machine = Machine::new();
        let host = host_with(&[
            ("PATH", &machine.path("bin").display().to_string()),
            ("HOME", &machine.path("home").display().to_string()),
        ]);
        let newest = interpreter(&machine, "bin/python3.11", "3.11.9", "");
        let exact = interpreter(
            &machine,
            "home/.pyenv/versions/3.11.7/bin/python3.11",
            "3.11.7",
            "",
        );
        let managed = "home/.local/share/uv/python/cpython-3.12.1-linux/bin/python3.12";
        let managed = interpreter(&machine, managed, "3.12.1", "");
        let conda = interpreter(
            &machine,
            "home/miniforge3/envs/own/bin/python",
            "3.10.4",
            "",
        );
        for (version, expected) in [
            (Some("3.11.7"), Some(&exact)),
            (Some("3.11.2"), Some(&newest)),
            (Some("3.11"), Some(&newest)),
            (Some("3.12.8"), Some(&managed)),
            (Some("3.10"), Some(&conda)),
            (Some("3.9.18"), None),
            (Some("3"), None),
            (Some("nonsense"), None),
            (None, Some(&newest)),
        ] {
            let found = found(&machine, &host, version, true).await;
            assert_eq!(found.as_ref(), expected, "{version:?}");
        }
        let log = machine.log().await;
        assert!(
            log.contains("Python 3.11.2 is not installed: taking 3.11.9"),
            "{log}"
        );
    }

    #[tokio::test]
    async fn broken_ones_shims_odd_ones_and_those_without_venv_are_passed_over() {
        let machine = Machine::new();
        let path = ["shims", "broken", "odd", "bare", "good"]
            .map(|name| machine.path(name).display().to_string());
        let host = host_with(&[("PATH", &path.join(":")), ("HOME", "/nowhere")]);
        interpreter(&machine, "shims/python3.11", "3.11.7", "");
        machine.program("broken/python3.11", "echo cannot; exit 127");
        machine.write("broken/python3", "no program");
        let odd = r#"{"program": "/bin/sh", "version": "3.11.7", "usual": false, "venv": true}"#;
        machine.program("odd/python3.11", &format!("echo '{odd}'"));
        let bare = machine.path("bare/python3.11");
        let answer = format!(
            r#"{{"program": "{}", "version": "3.11.7", "usual": true, "venv": false}}"#,
            bare.display()
        );
        machine.program("bare/python3.11", &format!("echo '{answer}'"));
        let good = interpreter(&machine, "good/python3.11", "3.11.7", "");
        let version = Some("3.11.7");
        assert_eq!(found(&machine, &host, version, true).await, Some(good));
        assert_eq!(found(&machine, &host, version, false).await, Some(bare));
    }

    #[tokio::test]
    async fn of_a_virtual_environment_its_base_is_taken() {
        let machine = Machine::new();
        let base = machine.python().await;
        let (site, _steps) = machine.site();
        crate::env::build::make_venv(&site, &base, None)
            .await
            .unwrap();
        let path = site.prefix.join("bin").display().to_string();
        let host = host_with(&[("PATH", &path), ("HOME", "/nowhere")]);
        let found = found(&machine, &host, None, false).await.unwrap();
        assert_eq!(
            fs::canonicalize(found).unwrap(),
            fs::canonicalize(base).unwrap()
        );
    }
}
