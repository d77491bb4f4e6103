//! Compiles the Python files of an environment that is in use already, at low priority.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;

use super::distributions::python_folders;
use crate::process::child::Launch;
use crate::process::host::Host;
use crate::process::logs::Log;

/// Twenty thousand files take half a minute of a processor, and this one waits for everybody else's.
const DEADLINE: Duration = Duration::from_secs(1800);

/// Compiles what is not compiled yet, below `place`. Best effort: what cannot be compiled is compiled when imported.
pub(crate) async fn compile(host: &Host, place: &Path, log: &Log) {
    let folders = place.to_owned();
    let folders = tokio::task::spawn_blocking(move || python_folders(&folders)).await;
    let Ok(Ok(folders)) = folders else {
        return;
    };
    // Tests are a quarter of all files, and nobody imports them.
    let mut arguments: Vec<OsString> = ["-I", "-m", "compileall", "-q", "-x", "/tests/"]
        .map(OsString::from)
        .into();
    arguments.extend(folders.into_iter().map(OsString::from));
    let launch = Launch {
        program: place.join("bin/python"),
        arguments,
        environment: host.environment(None, []),
        directory: "/".into(),
    };
    // Some packages carry files for another Python, which cannot be compiled: whether all could is no news.
    let outcome = timeout(DEADLINE, host.gentle().run(&launch, log)).await;
    let text = match outcome {
        Ok(Ok(ended)) => format!("compiling ended ({})", ended.reason),
        Ok(Err(error)) => format!("compiling ended: {error}"),
        Err(_) => "compiling was given up: it took too long".to_owned(),
    };
    log.line(&text).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::build::make_venv;
    use crate::env::build::testing::Machine;

    #[tokio::test]
    async fn what_is_installed_is_compiled_and_what_cannot_be_is_left() {
        let machine = Machine::new();
        let (site, _steps) = machine.site();
        make_venv(&site, &machine.python().await, None)
            .await
            .unwrap();
        let folder = super::super::distributions::site_packages(&site.prefix)
            .unwrap()
            .remove(0);
        for (name, text) in [
            ("fine.py", "x = 1\n"),
            ("broken.py", "print 'for another Python'\n"),
            ("own/tests/test_own.py", "x = 1\n"),
        ] {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        compile(&site.host, &site.prefix, &site.report.log).await;
        let compiled = std::fs::read_dir(folder.join("__pycache__")).unwrap();
        let names: Vec<String> = compiled
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with("fine") || name.starts_with("broken"))
            .collect();
        assert_eq!(names.len(), 1, "{names:?}");
        assert!(!folder.join("own/tests/__pycache__").exists());
    }

    #[tokio::test]
    async fn where_there_is_no_environment_nothing_happens() {
        let machine = Machine::new();
        let (site, _steps) = machine.site();
        compile(&site.host, &site.prefix, &site.report.log).await;
    }
}
