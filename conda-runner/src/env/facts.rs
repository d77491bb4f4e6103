//! What is really in an environment, asked of its own interpreter: never concluded from what a model declares.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serving_core::LoadError;
use tokio::time::timeout;

use super::trouble::Trouble;
use crate::process::child::{Ended, Launch};
use crate::process::diagnosis::failed_answer;
use crate::process::host::Host;
use crate::process::logs::Log;

/// It takes less than a second, unless the disk is cold and far away, and others go first.
const DEADLINE: Duration = Duration::from_secs(180);

/// Looks without importing MLflow, which takes seconds. `mlflow.version` is what the scoring server's `/version` tells.
const QUESTION: &str = r#"
import importlib.util, json, os, platform, runpy
spec = importlib.util.find_spec("mlflow")
root = next(iter(spec.submodule_search_locations or []), None) if spec else None
answer = {"mlflow": None}
if root and os.path.exists(os.path.join(root, "version.py")):
    has = lambda *parts: os.path.exists(os.path.join(root, *parts))
    server = "pyfunc", "scoring_server"
    answer = {
        "mlflow": runpy.run_path(os.path.join(root, "version.py"))["VERSION"],
        "server": "uvicorn" if has(*server, "app.py") else "gunicorn" if has(*server, "wsgi.py") else None,
        "module": "mlflow" if has("__main__.py") else "mlflow.cli",
    }
answer["python"] = platform.python_version()
print(json.dumps(answer))
"#;

/// What its interpreter says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// The version of MLflow that will serve.
    #[serde(rename = "mlflow")]
    pub(crate) mlflow_version: String,
    /// Which server `mlflow models serve` starts.
    pub(crate) server: ScoringServer,
    /// What to run with `-m`: MLflow 1.x has no `__main__`.
    pub(crate) module: String,
}

/// What was found in an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The version of its interpreter.
    pub(crate) python: Option<String>,
    /// What serves in it, or why nothing can.
    pub(crate) facts: Result<Facts, LoadError>,
}

/// The two generations of MLflow's scoring server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ScoringServer {
    /// FastAPI: 3.x, late 2.x.
    Uvicorn,
    /// Flask: 1.x, early 2.x.
    Gunicorn,
}

#[derive(Deserialize)]
struct Answer {
    python: Option<String>,
    mlflow: Option<String>,
    server: Option<ScoringServer>,
    module: Option<String>,
}

impl Facts {
    /// Asks `python`, the interpreter of an environment that has to serve.
    pub(crate) async fn ask(host: &Host, python: &Path, log: &Log) -> Result<Self, LoadError> {
        let name = format!("the environment of {}", python.display());
        Found::ask(host, python, &name, log).await?.facts
    }
}

impl Found {
    /// Asks `python`, of the environment that people know as `name`. An interpreter that does not work is an error, one
    /// without MLflow is none.
    pub(crate) async fn ask(
        host: &Host,
        python: &Path,
        name: &str,
        log: &Log,
    ) -> Result<Self, LoadError> {
        let launch = Launch {
            program: python.to_owned(),
            arguments: ["-c", QUESTION].map(OsString::from).into(),
            environment: host.environment(python.parent(), []),
            // A folder without Python files, since the current one is searched for modules first.
            directory: "/".into(),
        };
        let process = host.start(&launch, log.clone(), ())?;
        let Ok(ended) = timeout(DEADLINE, process.wait()).await else {
            // Perhaps the disk is slow, though most likely it is as slow the next time.
            return Err(Trouble::ImportFailed.passing(format!(
                "the Python of {name} did not come to its first line within {} minutes: perhaps a package in it \
                 begins something with each Python (a .pth file or a sitecustomize module) that does not end",
                DEADLINE.as_secs() / 60
            )));
        };
        Self::understood(name, &ended)
    }

    fn understood(name: &str, ended: &Arc<Ended>) -> Result<Self, LoadError> {
        let answer = ended
            .lines
            .iter()
            .rev()
            .find_map(|line| serde_json::from_str::<Answer>(line).ok());
        let Some(answer) = answer.filter(|_| ended.success) else {
            let message = format!(
                "{name} has a Python interpreter that does not work ({})",
                ended.reason
            );
            return Err(failed_answer(message, ended));
        };
        Ok(Self {
            python: answer.python.clone(),
            facts: answer.facts(name),
        })
    }
}

impl Answer {
    fn facts(self, name: &str) -> Result<Facts, LoadError> {
        let missing = |what: String| {
            Trouble::MlflowMissing.error(format!(
                "{what}: add mlflow to the model's requirements, or install it there"
            ))
        };
        let Some(mlflow_version) = self.mlflow else {
            return Err(missing(format!("{name} has no MLflow to serve with")));
        };
        let (Some(server), Some(module)) = (self.server, self.module) else {
            return Err(missing(format!(
                "{name} has MLflow {mlflow_version}, which has no scoring server known here"
            )));
        };
        Ok(Facts {
            mlflow_version,
            server,
            module,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn understood(code: i32, output: &str) -> Result<Facts, LoadError> {
        let ended = Ended {
            success: code == 0,
            code: Some(code),
            reason: format!("exit code {code}"),
            model_raised: false,
            lines: output.lines().map(str::to_owned).collect(),
        };
        Found::understood("the environment of /env/bin/python", &Arc::new(ended))?.facts
    }

    #[test]
    fn an_answer_is_found_among_warnings() {
        let output = "warning: x\n{\"mlflow\": \"1.30.1\", \"server\": \"gunicorn\", \"module\": \"mlflow.cli\"}\nbye";
        let facts = understood(0, output).unwrap();
        assert_eq!(facts.server, ScoringServer::Gunicorn);
        assert_eq!(facts.mlflow_version, "1.30.1");
    }

    #[test]
    fn no_python_no_mlflow_and_no_server_are_permanent_errors_that_say_what_to_do() {
        for (code, output, says) in [
            (
                127,
                "sh: 1: exec: /env/bin/python: not found",
                "does not work",
            ),
            (0, "{\"mlflow\": null}", "no MLflow to serve with"),
            (0, "hello", "does not work"),
            (
                0,
                "{\"mlflow\": \"9.0\", \"server\": null, \"module\": \"mlflow\"}",
                "which has no scoring server",
            ),
        ] {
            let error = understood(code, output).unwrap_err();
            assert_eq!(error.retry, serving_core::Retry::Never);
            let is_found = code == 0 && output.starts_with('{');
            let code = is_found.then_some("MLFLOW_MISSING");
            assert_eq!(error.code.as_deref(), code);
            assert!(error.message.contains(says), "{error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_interpreter_that_never_answers_is_given_up() {
        let machine = crate::env::build::Machine::new();
        let python = machine.program("bin/python", "exec sleep 1000");
        let host = crate::env::build::host_with(&[]);
        let asked = Facts::ask(&host, &python, &machine.report().0.log).await;
        let error = asked.unwrap_err();
        assert_eq!(error.code.as_deref(), Some("IMPORT_FAILED"));
        assert!(error.message.contains("within 3 minutes"), "{error}");
    }

    #[test]
    fn a_machine_without_room_for_a_process_may_have_some_later() {
        let error = understood(2, "sh: 0: Cannot fork").unwrap_err();
        assert_eq!(error.retry, serving_core::Retry::Later);
    }
}
