//! Whether what serves a model can be imported, asked before anybody waits for a worker.

use std::ffi::OsString;
use std::time::Duration;

use serving_core::LoadError;
use tokio::time::timeout;

use super::Site;
use crate::env::trouble::Trouble;
use crate::process::child::{Ended, Launch};
use crate::process::diagnosis::{exception, speaks_of_passing};
use crate::process::output::last;

/// Nothing is compiled yet, the disk is cold, and others go first.
const DEADLINE: Duration = Duration::from_secs(600);
/// Begins the line that says what is tried next.
const STEP: &str = "importing ";

/// Imports what `mlflow models serve` does, in its order, and makes the scoring server's application as it does, with
/// nothing in the place of the model (its module cannot be imported without a model: it loads it). The arguments are
/// the module that loads the model, and the library that it is nothing without.
const QUESTION: &str = r#"
import importlib, importlib.util, os, sys
from unittest import mock

def needed(module):
    print("importing " + module, flush=True)
    return importlib.import_module(module)

def used(*modules):
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception:
            pass

def has(module):
    return importlib.util.find_spec(module) is not None

server = needed("mlflow.pyfunc.scoring_server")
if has("mlflow.pyfunc.scoring_server.app"):
    needed("uvicorn")
    used("uvicorn.main", "uvicorn.loops.auto", "uvicorn.protocols.http.auto", "uvicorn.lifespan.on")
elif has("mlflow.pyfunc.scoring_server.wsgi"):
    needed("gunicorn")
    used("gunicorn.app.wsgiapp", "gunicorn.workers.sync")
for module in sys.argv[1:]:
    needed(module)
used("mlflow.cli", "mlflow.models.cli", "mlflow.pyfunc.backend")
print("importing the scoring server's application", flush=True)
nobody = mock.MagicMock()
nobody.metadata.get_input_schema.return_value = None
server.init(nobody)
"#;

/// The library that a flavour's loader imports only when it loads a model.
const LIBRARIES: [(&str, &str); 12] = [
    ("mlflow.catboost", "catboost"),
    ("mlflow.h2o", "h2o"),
    ("mlflow.lightgbm", "lightgbm"),
    ("mlflow.onnx", "onnxruntime"),
    ("mlflow.prophet", "prophet"),
    ("mlflow.pytorch", "torch"),
    ("mlflow.sentence_transformers", "sentence_transformers"),
    ("mlflow.sklearn", "sklearn"),
    ("mlflow.spacy", "spacy"),
    ("mlflow.statsmodels", "statsmodels"),
    ("mlflow.transformers", "transformers"),
    ("mlflow.xgboost", "xgboost"),
];

/// Packages whose newer releases older MLflow versions cannot run with: a sign of them in what was printed, and a
/// bound that helps.
const ROT: [(&str, &str); 11] = [
    ("pkg_resources", "setuptools<81"),
    ("'FastAPI' object", "starlette<1 and fastapi<0.120"),
    ("starlette", "starlette<1 and fastapi<0.120"),
    ("fastapi", "starlette<1 and fastapi<0.120"),
    ("sqlalchemy", "sqlalchemy<2"),
    ("werkzeug", "flask<3 and werkzeug<3"),
    ("flask", "flask<3 and werkzeug<3"),
    ("google.protobuf", "protobuf<4"),
    ("Descriptors cannot be created directly", "protobuf<4"),
    ("pydantic", "pydantic<2"),
    ("numpy", "numpy<2"),
];

/// Imports MLflow's scoring server and, where MLflow provides it, the module that loads the model (`loader_module` of
/// `MLmodel`: "mlflow.sklearn"). Leaves the compiled files of all that was imported behind.
pub(crate) async fn import_check(
    site: &Site,
    loader_module: Option<&str>,
) -> Result<(), LoadError> {
    // Others are the model's own, and are there only when the model is loaded.
    let module = loader_module.filter(|module| module.starts_with("mlflow."));
    let library = LIBRARIES.iter().find(|(name, _)| Some(*name) == module);
    let mut arguments: Vec<OsString> = ["-c", QUESTION].map(OsString::from).into();
    arguments.extend(
        module
            .into_iter()
            .chain(library.map(|(_, library)| *library))
            .map(OsString::from),
    );
    let variables = [
        ("MLFLOW_DISABLE_TELEMETRY", "true"),
        ("PYTHONUNBUFFERED", "1"),
    ];
    let bin = site.prefix.join("bin");
    let launch = Launch {
        program: bin.join("python"),
        arguments,
        environment: site.host.environment(Some(&bin), variables),
        // A folder without Python files, since the current one is searched for modules first.
        directory: "/".into(),
    };
    // Started, not run: the log would show the whole question.
    let process = site.host.start(&launch, site.report.log.clone(), ())?;
    let Ok(ended) = timeout(DEADLINE, process.wait()).await else {
        return Err(Trouble::ImportFailed.passing(format!(
            "what serves the model could not be imported in {} within {} minutes",
            name(site),
            DEADLINE.as_secs() / 60
        )));
    };
    if ended.success {
        return Ok(());
    }
    Err(failed(&name(site), &ended))
}

/// For people: the beginning of the environment's key.
fn name(site: &Site) -> String {
    let key = site.place.file_name().unwrap_or_default().to_string_lossy();
    format!("environment {}", key.chars().take(8).collect::<String>())
}

fn failed(environment: &str, ended: &Ended) -> LoadError {
    let mut steps = ended.lines.iter().rev();
    let what = steps.find_map(|line| line.strip_prefix(STEP));
    let what = what.unwrap_or("Python's own modules");
    let shown: Vec<String> = ended
        .lines
        .iter()
        .filter(|line| !line.starts_with(STEP))
        .cloned()
        .collect();
    let Some(exception) = exception(&ended.lines) else {
        // Killed, or ended by a library: a processor without the instructions that it wants, or no memory.
        let message = format!(
            "all packages of {environment} are installed, but importing {what} ended Python ({}): perhaps a package \
             is not made for this machine, or there is no memory left",
            ended.reason
        );
        return Trouble::ImportFailed
            .passing(message)
            .with_last_lines(last(&shown));
    };
    let passing = speaks_of_passing(&ended.lines);
    let advice = if passing {
        "It is tried again later".to_owned()
    } else {
        advice(exception, &ended.lines)
    };
    let message = format!(
        "all packages of {environment} are installed, but {what} cannot be imported: {}. {advice}",
        exception.trim_end_matches('.'),
    );
    let error = if passing {
        Trouble::ImportFailed.passing(message)
    } else {
        Trouble::ImportFailed.error(message)
    };
    error.with_last_lines(last(&shown))
}

fn advice(exception: &str, lines: &[String]) -> String {
    let missing = exception
        .split_once("No module named '")
        .and_then(|(_, rest)| rest.split_once('\''))
        .map(|(name, _)| name);
    // A part that is missing was there in an older release.
    let missing = missing.filter(|name| !name.contains('.') && *name != "pkg_resources");
    if let Some(name) = missing {
        return format!(
            "Add the package that provides {name} to the model's requirements, and log the model anew"
        );
    }
    if exception.contains("cannot open shared object file") {
        return "Install that library on this machine, or take the package from conda, which brings it along".to_owned();
    }
    // The frame that raised it tells whose fault it is where the exception does not.
    let mut frames = lines
        .iter()
        .filter(|line| line.trim_start().starts_with("File \""));
    let frame = frames.next_back().map_or("", |line| line.as_str());
    let raised_by = frame
        .split_once("site-packages/")
        .map_or("", |(_, module)| module);
    let of_exception = ROT.iter().find(|(sign, _)| exception.contains(sign));
    let of_frame = || {
        let is_of = |sign: &str| raised_by.starts_with(&sign.replace('.', "/"));
        ROT.iter().find(|(sign, _)| is_of(sign))
    };
    match of_exception.or_else(of_frame) {
        Some((_, bound)) => format!(
            "A newer release of a package no longer works with the others: bound it ({bound}) in the file that the \
             gateway's setting `constraints` names, or in the model's requirements"
        ),
        None => "Correct the versions in the model's requirements, or bound them in the file that the gateway's \
                 setting `constraints` names"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;
    use std::path::{Path, PathBuf};

    use serving_core::Retry;

    use super::*;
    use crate::env::build::testing::Machine;
    use crate::env::build::{distributions, make_venv};

    const SERVER: &str = "import fastapi\ndef init(model):\n    assert model.metadata.get_input_schema() is None\n    fastapi.FastAPI().route('/ping')\n";
    const FASTAPI: &str = "class FastAPI:\n    def route(self, path):\n        pass\n";
    const FILES: [(&str, &str); 8] = [
        ("mlflow/__init__.py", ""),
        ("mlflow/pyfunc/__init__.py", ""),
        ("mlflow/pyfunc/scoring_server/__init__.py", SERVER),
        (
            "mlflow/pyfunc/scoring_server/app.py",
            "raise SystemExit('loads a model')\n",
        ),
        ("mlflow/sklearn.py", ""),
        ("sklearn.py", ""),
        ("fastapi.py", FASTAPI),
        ("uvicorn.py", ""),
    ];

    /// An environment whose MLflow and servers are a few lines each, and where these are.
    async fn environment(machine: &Machine) -> (Site, PathBuf) {
        let (site, _) = machine.site();
        make_venv(&site, &machine.python().await, None)
            .await
            .unwrap();
        let folder = distributions::site_packages(&site.prefix)
            .unwrap()
            .remove(0);
        fill(&folder, &FILES);
        (site, folder)
    }

    fn fill(folder: &Path, files: &[(&str, &str)]) {
        for (name, text) in files {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    }

    #[tokio::test]
    async fn what_serves_is_imported_and_compiled() {
        let machine = Machine::new();
        let (site, folder) = environment(&machine).await;
        import_check(&site, Some("mlflow.sklearn")).await.unwrap();
        for name in ["mlflow/pyfunc/scoring_server", "mlflow", ""] {
            assert!(folder.join(name).join("__pycache__").is_dir(), "{name}");
        }
        // The model's own module is there only with the model.
        import_check(&site, Some("own_loader")).await.unwrap();
    }

    #[tokio::test]
    async fn what_cannot_be_imported_is_named_with_the_reason_and_the_remedy() {
        let machine = Machine::new();
        let (site, folder) = environment(&machine).await;
        let mut seen = String::new();
        for (case, name, text) in [
            ("a missing library", "sklearn.py", "gone"),
            ("a missing module", "mlflow/sklearn.py", "import skops.io\n"),
            ("no server", "uvicorn.py", "gone"),
            (
                "an outdated import",
                "mlflow/__init__.py",
                "raise ModuleNotFoundError(\"No module named 'pkg_resources'\")\n",
            ),
            (
                "a server of another generation",
                "fastapi.py",
                "class FastAPI: pass\n",
            ),
            (
                "an odd value",
                "sklearn.py",
                "raise ValueError('numbers differ')\n",
            ),
            (
                "a missing library of the system",
                "sklearn.py",
                "raise ImportError('libgomp.so.1: cannot open shared object file')\n",
            ),
            ("no memory", "sklearn.py", "raise MemoryError\n"),
            (
                "a sudden end",
                "sklearn.py",
                "import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n",
            ),
        ] {
            fill(&folder, &FILES);
            match text {
                "gone" => std::fs::remove_file(folder.join(name)).unwrap(),
                text => fill(&folder, &[(name, text)]),
            }
            let error = import_check(&site, Some("mlflow.sklearn"))
                .await
                .unwrap_err();
            assert_eq!(error.code.as_deref(), Some("IMPORT_FAILED"), "{case}");
            let retry = match error.retry {
                Retry::Later => "again later",
                Retry::Never => "waits for a change",
            };
            writeln!(seen, "{case}: {retry}\n    {}\n", error.message).unwrap();
        }
        insta::assert_snapshot!(seen);
    }
}
