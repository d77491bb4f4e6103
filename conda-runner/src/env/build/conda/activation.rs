//! What the activation of an installed environment sets: packages bring scripts and lists of variables for it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use serving_core::LoadError;

use crate::env::trouble::Trouble;
use crate::error::disk;
use crate::names;
use crate::process::child::Launch;
use crate::process::host::Host;
use crate::process::logs::Log;

/// How long the scripts may take together.
const LONGEST: Duration = Duration::from_secs(60);
/// Sources its arguments but the first one, and writes all variables to that, with [`WHOLE`] at the end. As in conda, it
/// does not matter how a script ends; one that ends the shell keeps those after it from running.
const SCRIPT: &str = r#"
umask 077
sluicegate_variables=$1
shift
trap '{ env -0 && printf "sluicegate_is_whole=1\0"; } > "$sluicegate_variables"' EXIT
for sluicegate_script in "$@"; do
    . "$sluicegate_script" || echo "$sluicegate_script ended with status $?, which is ignored, as conda does"
done
exit 0
"#;
/// What the variables end with when all of them are there.
const WHOLE: &[u8] = b"sluicegate_is_whole=1\0";
/// Set by whoever starts a program in the environment, or of no meaning outside of the shell.
const NOT_OF_SCRIPTS: [&str; 8] = [
    "PATH",
    "PWD",
    "OLDPWD",
    "SHLVL",
    "_",
    "CONDA_PREFIX",
    "sluicegate_script",
    "sluicegate_variables",
];

/// The variables that activating the environment at `place` sets, `PATH` and `CONDA_PREFIX` aside. Runs its scripts
/// (`etc/conda/activate.d/*.sh`), if there are any, in the order of their names.
pub(crate) async fn activation(
    host: &Host,
    place: &Path,
    log: &Log,
) -> Result<BTreeMap<String, String>, LoadError> {
    let mut variables = BTreeMap::new();
    for list in files(&place.join("etc/conda/env_vars.d"), "json").await? {
        let text = tokio::fs::read_to_string(&list)
            .await
            .map_err(disk("read", &list))?;
        let read: BTreeMap<String, Value> = serde_json::from_str(&text).map_err(|error| {
            Trouble::InstallFailed.error(format!(
                "a package brings {}, which is no list of variables: {error}",
                list.display()
            ))
        })?;
        let texts = read.into_iter().map(|(name, value)| match value {
            Value::String(text) => (name, text),
            other => (name, other.to_string()),
        });
        variables.extend(texts);
    }
    let scripts = files(&place.join("etc/conda/activate.d"), "sh").await?;
    if !scripts.is_empty() {
        variables = run(host, place, &scripts, variables, log).await?;
    }
    Ok(variables)
}

async fn run(
    host: &Host,
    place: &Path,
    scripts: &[PathBuf],
    mut variables: BTreeMap<String, String>,
    log: &Log,
) -> Result<BTreeMap<String, String>, LoadError> {
    // They are written for the shell of people, which is rarely the plainest one.
    let shell = host.find("bash").or_else(|| host.find("sh"));
    // Several versions may be getting ready in it at once.
    let written = place.join(format!("conda-meta/.activation.{}", names::fresh()));
    let more = variables
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let mut environment = host.environment(Some(&place.join("bin")), more);
    environment.push(("CONDA_PREFIX".to_owned(), place.display().to_string()));
    let before: BTreeMap<String, String> = environment.iter().cloned().collect();
    let mut arguments = vec!["-c".into(), SCRIPT.into(), "activation".into()];
    arguments.push(written.clone().into());
    arguments.extend(scripts.iter().map(|script| script.clone().into()));
    let launch = Launch {
        program: shell.unwrap_or_else(|| PathBuf::from("/bin/sh")),
        arguments,
        environment,
        directory: place.to_owned(),
    };
    let names = scripts.iter().filter_map(|script| script.file_name());
    let names: Vec<String> = names
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    log.line(&format!(
        "running the activation scripts {}",
        names.join(", ")
    ))
    .await;
    let ended = host.start(&launch, log.clone(), ())?.wait();
    let ended = tokio::time::timeout(LONGEST, ended).await;
    let text = tokio::fs::read(&written).await;
    // It holds the gateway's own variables as well.
    match tokio::fs::remove_file(&written).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(disk("remove", &written)(error));
        }
        _ => {}
    }
    // Not of the environment itself, as far as one can tell: the machine may be busy, or short of something.
    let failed = |why: &str| {
        Trouble::InstallFailed.passing(format!(
            "the activation scripts of the environment ({}) {why}",
            names.join(", ")
        ))
    };
    let ended = ended.map_err(|_| failed(&format!("do not end within {} s", LONGEST.as_secs())))?;
    let text = text.ok();
    let Some(text) = text.as_deref().and_then(|text| text.strip_suffix(WHOLE)) else {
        let mut error = failed("fail");
        error.last_lines.clone_from(&ended.lines);
        return Err(error);
    };
    if !ended.success {
        log.line("one of the activation scripts ended the shell: those after it were not run")
            .await;
    }
    variables.extend(changed(&before, text));
    Ok(variables)
}

/// The variables in the output of `env -0` that are not as they were `before`.
fn changed(before: &BTreeMap<String, String>, output: &[u8]) -> BTreeMap<String, String> {
    let pairs = output.split(|byte| *byte == 0).filter_map(|pair| {
        let (name, value) = std::str::from_utf8(pair).ok()?.split_once('=')?;
        let is_new = before.get(name).is_none_or(|before| before != value);
        (is_new && !NOT_OF_SCRIPTS.contains(&name)).then(|| (name.to_owned(), value.to_owned()))
    });
    pairs.collect()
}

/// The files with this extension in a folder, by name. None if there is no such folder.
async fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, LoadError> {
    let mut entries = match tokio::fs::read_dir(folder).await {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(disk("read", folder)(error)),
    };
    let mut files = Vec::new();
    while let Some(entry) = entries.next_entry().await.map_err(disk("read", folder))? {
        let path = entry.path();
        if path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
