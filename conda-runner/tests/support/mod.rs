//! A runner with scripts in the place of Python, MLflow and uv.

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use conda_runner::{
    CondaRunner, EnvManager, FetchedModel, LogKind, ModelSource, RunnerConfig, Worker,
    WorkerEndpoint,
};
use serving_core::{
    Generation, Incarnation, Instance, LoadError, LoadJob, Loader, Progress, ReplicaId, ServableId,
    Settings, Source, Version, VersionSpec, WorkPermits,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::Instant;

/// No wait of a test is longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const MLMODEL: &str = "flavors: {python_function: {}}\nmlflow_version: 3.17.2\n\
    saved_input_example_info: {artifact_path: input_example.json, serving_input_path: serving_input_example.json, type: dataframe}\n";
pub(crate) const EXAMPLE: &str =
    "{\"dataframe_split\": {\"columns\": [\"a\"], \"data\": [[1.50]]}}";

/// A machine for one test.
pub(crate) struct Machine {
    pub(crate) folder: TempDir,
    pub(crate) config: RunnerConfig,
}

/// Gives each version a model folder of a few files.
pub(crate) struct Models {
    pub(crate) requirements: Box<dyn Fn(&str) -> String + Send + Sync>,
    pub(crate) fetched: FetchedModel,
}

#[async_trait]
impl ModelSource for Models {
    async fn fetch(
        &self,
        source: &str,
        into: &Path,
        _: &Progress,
    ) -> Result<FetchedModel, LoadError> {
        std::fs::create_dir(into).unwrap();
        write(&into.join("MLmodel"), MLMODEL);
        write(
            &into.join("python_env.yaml"),
            "python: 3.11.7\ndependencies: [-r requirements.txt]\n",
        );
        write(&into.join("requirements.txt"), &(self.requirements)(source));
        if self.fetched == FetchedModel::Complete {
            write(&into.join("serving_input_example.json"), EXAMPLE);
        }
        Ok(self.fetched.clone())
    }
}

impl Machine {
    /// With an interpreter and a uv that are scripts.
    pub(crate) fn new() -> Self {
        Self::on(TempDir::new().unwrap())
    }

    /// The same, where `folder` says.
    pub(crate) fn on(folder: TempDir) -> Self {
        let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/worker.py");
        let at = |name: &str| folder.path().join(name);
        let python = r#"#!/bin/sh
            case "$1 $2 $3 $4" in
            "-c "*) echo '{"mlflow": "3.17.2", "server": "uvicorn", "module": "mlflow"}' ;;
            "-m mlflow models serve") SEEN_PATH="$PATH" exec python3 "SERVER" "$@" ;;
            "-m mlflow artifacts download")
                echo "$CREDENTIAL" > "$8/credential"
                mkdir "$8/model" && cp "HERE/template/"* "$8/model" ;;
            esac"#;
        // Where a test makes the file `hang` or `fail`, installing does that. Each call leaves its line.
        let uv = r#"#!/bin/sh
            echo "$*" >> "HERE/calls"
            for last; do :; done
            case "$1" in
            venv)
                if [ "$4 $5" = "--python 3.11.7" ] && [ -e "HERE/only-3.11" ]; then
                    echo "error: No interpreter found for Python 3.11.7" ; exit 2
                fi
                mkdir -p "$last/bin" && cp "HERE/env/bin/python" "$last/bin/python" ;;
            pip)
                if [ -e "HERE/fail" ]; then cat "HERE/fail"; exit 1; fi
                if [ -e "HERE/hang" ]; then
                    sleep 1000 & echo $! > "HERE/pid.new" ; mv "HERE/pid.new" "HERE/pid" ; wait
                fi ;;
            esac"#;
        let here = |script: &str| {
            let script = script.replace("HERE", &folder.path().display().to_string());
            script.replace("SERVER", &server.display().to_string())
        };
        program(&at("env/bin/python"), &here(python));
        program(&at("tools/uv"), &here(uv));
        let config = RunnerConfig {
            env_manager: EnvManager::Local,
            python: Some(at("env/bin/python")),
            uv: Some(at("tools/uv")),
            inherited_environment: inherited(),
            start_timeout: PATIENCE,
            stop_grace: PATIENCE,
            ..RunnerConfig::new(at("data"))
        };
        Self { folder, config }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn runner(&self) -> CondaRunner<Worker> {
        self.runner_of(Models {
            requirements: Box::new(|_| "mlflow==3.17.2\n".to_owned()),
            fetched: FetchedModel::Complete,
        })
    }

    pub(crate) fn runner_of(&self, models: Models) -> CondaRunner<Worker> {
        CondaRunner::new(
            self.config.clone(),
            Arc::new(models),
            Arc::new(|worker| worker),
        )
        .unwrap()
    }

    /// The id that a script wrote to a file.
    pub(crate) async fn pid(&self, name: &str) -> u32 {
        let path = self.path(name);
        eventually(|| std::fs::read_to_string(&path).ok())
            .await
            .trim()
            .parse()
            .unwrap()
    }
}

/// A job for a version of `iris`, and who sees its progress.
pub(crate) fn job(version: u64, words: &[(&str, &str)]) -> LoadJob {
    let loader = words
        .iter()
        .map(|(name, word)| ((*name).to_owned(), (*word).to_owned()))
        .collect();
    LoadJob {
        spec: Arc::new(VersionSpec {
            id: ServableId::new("iris", Version(version)),
            model_incarnation: Incarnation::from("first"),
            incarnation: Incarnation::from("first"),
            source: Source::Readable(version.to_string().into()),
            settings: Arc::new(Settings {
                loader,
                ..Settings::default()
            }),
        }),
        generation: Generation(1),
        progress: Progress::channel().0,
        work: WorkPermits::unlimited(),
    }
}

/// A worker whose script behaves as `mode` says.
pub(crate) async fn start(
    runner: &CondaRunner<Worker>,
    mode: &str,
) -> Result<Instance<Worker>, LoadError> {
    let environment = format!("{{\"MODE\": {mode:?}}}");
    runner
        .prepare(job(1, &[("environment", &environment)]))
        .await?
        .load(ReplicaId(0))
        .await
}

pub(crate) fn socket(worker: &Worker) -> &Path {
    let WorkerEndpoint::Unix(socket) = &worker.endpoint;
    socket
}

/// The JSON that a worker answers.
pub(crate) async fn get(socket: &Path, path: &str) -> serde_json::Value {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    stream
        .write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

pub(crate) fn log(runner: &CondaRunner<Worker>, version: u64, kind: LogKind) -> String {
    let files = runner
        .files()
        .logs(&ServableId::new("iris", Version(version)), kind);
    files
        .iter()
        .filter_map(|file| std::fs::read_to_string(file).ok())
        .collect()
}

/// Whether a process does anything any more: one that only waits to be reaped does not.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Waits until none of the processes does anything any more: killing is the system's work, and takes it a moment.
pub(crate) async fn dead(pids: &[u32]) {
    eventually(|| (!pids.iter().any(|pid| is_alive(*pid))).then_some(())).await;
}

/// Looks until there is something.
pub(crate) async fn eventually<R>(mut look: impl FnMut() -> Option<R>) -> R {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "it did not happen");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn program(path: &Path, script: &str) {
    write(path, script.trim_start());
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
}

#[expect(
    clippy::disallowed_methods,
    reason = "the tests' scripts need the machine's python3"
)]
fn inherited() -> Vec<(String, String)> {
    let mut all: Vec<_> = ["PATH", "HOME"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?)))
        .collect();
    all.push(("MLFLOW_TRACKING_TOKEN".to_owned(), "secret".to_owned()));
    all
}
