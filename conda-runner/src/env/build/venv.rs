//! Makes a virtual environment from an interpreter.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use serving_core::LoadError;
use tokio::time::timeout;

use super::Site;
use crate::env::trouble::Trouble;
use crate::process::child::{Ended, Launch};
use crate::process::diagnosis::speaks_of_passing;
use crate::process::output::last;

/// Seconds are usual; the interpreter's own `venv` installs pip as well.
const DEADLINE: Duration = Duration::from_secs(300);

/// Makes it at the site's prefix: with `uv`, or with the interpreter's own `venv` if that is `None`.
pub(crate) async fn make(
    site: &Site,
    interpreter: &Path,
    uv: Option<&Path>,
) -> Result<(), LoadError> {
    let (program, mut arguments): (&Path, Vec<OsString>) = match uv {
        Some(uv) => {
            let mut arguments: Vec<OsString> =
                ["venv", "--relocatable", "--no-project", "--python"]
                    .map(OsString::from)
                    .into();
            arguments.push(interpreter.into());
            (uv, arguments)
        }
        None => (interpreter, ["-I", "-m", "venv"].map(OsString::from).into()),
    };
    arguments.push(site.prefix.clone().into());
    let settings = [
        ("UV_PYTHON_DOWNLOADS", "never"),
        ("UV_NO_PROGRESS", "1"),
        ("NO_COLOR", "1"),
    ];
    let launch = Launch {
        program: program.to_owned(),
        arguments,
        environment: site.host.environment(None, settings),
        // Not the model's folder: uv takes settings from the files of the current one.
        directory: "/".into(),
    };
    let run = site.host.run(&launch, &site.report.log);
    let Ok(ended) = timeout(DEADLINE, run).await else {
        return Err(Trouble::ToolMissing.passing(format!(
            "{} did not make a virtual environment within {} seconds",
            interpreter.display(),
            DEADLINE.as_secs()
        )));
    };
    let ended = ended?;
    if ended.success {
        return Ok(());
    }
    Err(failed(interpreter, &ended).with_last_lines(last(&ended.lines)))
}

fn failed(interpreter: &Path, ended: &Ended) -> LoadError {
    let shown = interpreter.display();
    let says = |part: &str| ended.lines.iter().any(|line| line.contains(part));
    if says("No space left on device") || says("Disk quota exceeded") {
        return Trouble::DiskFull
            .error("there is no room left on the disk for a virtual environment: make room");
    }
    if says("ensurepip is not") || says("No module named venv") || says("No module named ensurepip")
    {
        return Trouble::ToolMissing.error(format!(
            "{shown} cannot make virtual environments: install its venv module (on Debian and Ubuntu the package \
             python3-venv), or serve with env_manager conda"
        ));
    }
    let message = format!(
        "{shown} cannot make a virtual environment ({}): does it work?",
        ended.reason
    );
    if ended.code.is_none() || speaks_of_passing(&ended.lines) {
        Trouble::ToolMissing.passing(message)
    } else {
        Trouble::ToolMissing.error(message)
    }
}

#[cfg(test)]
mod tests {
    use serving_core::Retry;

    use super::*;
    use crate::env::build::testing::Machine;

    #[tokio::test]
    async fn an_interpreter_makes_one_that_has_pip() {
        let machine = Machine::new();
        let python = machine.python().await;
        let (site, _steps) = machine.site();
        make(&site, &python, None).await.unwrap();
        assert!(site.prefix.join("pyvenv.cfg").is_file());
        assert!(site.prefix.join("bin/pip").is_file());
    }

    #[tokio::test]
    async fn uv_is_given_the_interpreter_and_asked_for_what_can_be_moved() {
        let machine = Machine::new();
        let uv = machine.program("tools/uv", "echo \"$*\" > \"${0%/*}/calls\"");
        let (site, _steps) = machine.site();
        make(&site, Path::new("/usr/bin/python3.11"), Some(&uv))
            .await
            .unwrap();
        let prefix = site.prefix.display();
        assert_eq!(
            machine.read("tools/calls").trim(),
            format!("venv --relocatable --no-project --python /usr/bin/python3.11 {prefix}")
        );
    }

    #[tokio::test]
    async fn what_an_interpreter_lacks_for_it_is_named_with_the_package_that_has_it() {
        let machine = Machine::new();
        let (site, _steps) = machine.site();
        let said = "The virtual environment was not created successfully because ensurepip is not available.";
        let python = machine.program("bin/python3", &format!("echo '{said}'; exit 1"));
        let error = make(&site, &python, None).await.unwrap_err();
        assert_eq!(error.retry, Retry::Never);
        assert!(error.message.contains("python3-venv"), "{error}");
        assert_eq!(error.last_lines, [said]);
        let python = machine.program(
            "bin/python3",
            "echo 'OSError: [Errno 28] No space left on device'; exit 1",
        );
        let error = make(&site, &python, None).await.unwrap_err();
        assert_eq!(error.code.as_deref(), Some("DISK_FULL"));
    }
}
