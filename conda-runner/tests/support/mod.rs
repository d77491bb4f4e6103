//! A runner with scripts in the place of Python, MLflow and uv.

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

pub(crate) mod builds;
pub(crate) mod channel;
#[cfg(target_os = "linux")]
pub(crate) mod templates;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use channel::{Channel, Package};
use conda_runner::{
    CondaRunner, EnvManager, FetchedModel, Launcher, LogKind, ModelSource, RunnerConfig, Worker,
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

/// An interpreter in whatever environment it is copied to. Where a test makes the file `broken`, it fails; with `bare`
/// it has no MLflow, and with `slow` it never ends to compile.
const PYTHON: &str = r#"#!/bin/sh
[ "$1" = -I ] && shift
for last; do :; done
case "$1 $2 $3 $4" in
"-c "*)
    if [ -e "HERE/broken" ]; then cat "HERE/broken" ; exit 1; fi
    if [ -e "HERE/lacks-$last" ]; then
        echo "importing $last"; echo "ModuleNotFoundError: No module named '$last'"; exit 1
    fi
    if [ -e "HERE/bare" ]; then echo '{"mlflow": null, "python": "VERSION"}' ; exit; fi
    echo '{"program": "HERE/tools/python3.77", "version": "VERSION", "usual": true, "venv": true,' \
        '"mlflow": "3.17.2", "server": "uvicorn", "module": "mlflow", "python": "VERSION"}' ;;
*/template.py\ *)
    if [ -e "HERE/no-template" ]; then echo "no template today"; exit 1; fi
    echo $$ > "HERE/template.new" ; mv "HERE/template.new" "HERE/template-pid"
    while [ -e "HERE/slow-template" ]; do sleep 0.1; done
    PYTHONPYCACHEPREFIX="HERE/compiled" PYTHONPATH="LIBRARIES:HERE/packages" exec python3 "$@" ;;
"-m mlflow models serve" | "-m uvicorn --host "*) SEEN_PATH="$PATH" exec python3 "SERVER" "$@" ;;
"-m mlflow artifacts download")
    echo "$CREDENTIAL" > "$8/credential"
    mkdir "$8/model" && cp "HERE/template/"* "$8/model" ;;
"-m compileall "*)
    if [ -e "HERE/slow" ]; then
        echo $$ > "HERE/compiler.new" ; mv "HERE/compiler.new" "HERE/compiler" ; exec sleep 1000
    fi ;;
"-m venv "*) exec "HERE/installer" venv - - - "$0" "$last" ;;
"-m pip "*) shift 2; exec "HERE/installer" pip install --python "$0" "$@" ;;
esac"#;

/// uv, as far as it is used, and what `venv` and `pip` do. Where a test makes the file `hang` or `fail`, installing does
/// that. Each call leaves its line, and what it wants.
const INSTALLER: &str = r#"#!/bin/sh
echo "$*" >> "HERE/calls"
for last; do :; done
case "$1" in
venv) mkdir -p "$last/bin" && ln -s "$5" "$last/bin/python" && echo > "$last/pyvenv.cfg" ;;
pip)
    if [ -e "HERE/fail" ]; then cat "HERE/fail"; exit 1; fi
    if [ -e "HERE/hang" ]; then
        sleep 1000 & echo $! > "HERE/pid.new" ; mv "HERE/pid.new" "HERE/pid" ; wait
    fi
    for argument; do
        case "$argument" in
        *.txt) sed "s/^/  /" "$argument" >> "HERE/calls" ;;
        esac
    done
    packages="${4%/bin/python}/lib/python3.77/site-packages"
    for version in $(sed -n 's/^setuptools==//p' "$last"); do
        rm -rf "$packages/setuptools-"*
        mkdir -p "$packages/setuptools-$version.dist-info"
        printf 'Name: setuptools\nVersion: %s\n' "$version" > "$packages/setuptools-$version.dist-info/METADATA"
    done
    echo "$UV_CACHE_DIR $PIP_CACHE_DIR $PYTHONNOUSERSITE" > "HERE/seen"
    mkdir -p "$packages/own-1.0.dist-info"
    printf 'Name: own\nVersion: 1.0\n' > "$packages/own-1.0.dist-info/METADATA" ;;
esac"#;

/// A machine for one test.
pub(crate) struct Machine {
    pub(crate) config: RunnerConfig,
    root: PathBuf,
    /// Removed with the machine, unless that is somebody else's.
    _folder: Option<TempDir>,
}

/// Gives each version a model folder of a few files.
pub(crate) struct Models {
    /// The requirements file, by the version's source.
    pub(crate) requirements: Box<dyn Fn(&str) -> String + Send + Sync>,
    pub(crate) python_env: String,
    pub(crate) mlmodel: Box<dyn Fn(&str) -> String + Send + Sync>,
    /// `conda.yaml`; empty leaves it out.
    pub(crate) conda: Box<dyn Fn(&str) -> String + Send + Sync>,
    pub(crate) fetched: FetchedModel,
    /// Files that it was logged with, by name.
    pub(crate) code: &'static [&'static str],
}

impl Default for Models {
    fn default() -> Self {
        Self {
            requirements: Box::new(|_| "mlflow==3.17.2\n".to_owned()),
            python_env: "python: 3.77.1\ndependencies: [-r requirements.txt]\n".to_owned(),
            mlmodel: Box::new(|_| MLMODEL.to_owned()),
            conda: Box::new(|_| String::new()),
            fetched: FetchedModel::Complete,
            code: &[],
        }
    }
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
        write(&into.join("MLmodel"), &(self.mlmodel)(source));
        write(&into.join("python_env.yaml"), &self.python_env);
        write(&into.join("requirements.txt"), &(self.requirements)(source));
        let conda = (self.conda)(source);
        if !conda.is_empty() {
            write(&into.join("conda.yaml"), &conda);
        }
        for name in self.code {
            std::fs::create_dir_all(into.join("code")).unwrap();
            write(&into.join("code").join(name), "");
        }
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
        let machine = Self::found(folder.path().to_owned());
        let python = machine.python("3.77.1");
        program(&machine.path("env/bin/python"), &python);
        program(&machine.path("tools/python3.77"), &python);
        program(&machine.path("installer"), &machine.script(INSTALLER));
        std::os::unix::fs::symlink(machine.path("installer"), machine.path("tools/uv")).unwrap();
        Self {
            _folder: Some(folder),
            ..machine
        }
    }

    /// The one that another process made at `root`.
    pub(crate) fn found(root: PathBuf) -> Self {
        let at = |name: &str| root.join(name);
        let config = RunnerConfig {
            env_manager: EnvManager::Local,
            launcher: Launcher::MlflowServe,
            python: Some(at("env/bin/python")),
            uv: Some(at("tools/uv")),
            inherited_environment: inherited(&root),
            start_timeout: PATIENCE,
            stop_grace: PATIENCE,
            ..RunnerConfig::new(at("data"))
        };
        Self {
            config,
            root,
            _folder: None,
        }
    }

    /// Has environments built by conda, from a channel that has a Python, which is a script.
    pub(crate) fn with_channel(&mut self) -> Channel {
        let mut channel = Channel::new(self.path("channels"));
        self.config.env_manager = EnvManager::Conda;
        self.config.conda.channel_alias = channel.alias();
        // What a test adds to a channel is seen at once.
        self.config.conda.refresh = Duration::ZERO;
        for version in ["3.10.13", "3.11.7"] {
            self.add_python(&mut channel, version);
        }
        channel.add(&Package {
            name: "pip",
            version: "25.3",
            depends: &["python"],
            files: Vec::new(),
        });
        channel
    }

    pub(crate) fn add_python(&self, channel: &mut Channel, version: &str) {
        let script = self.python(version);
        channel.add(&Package {
            name: "python",
            version,
            depends: &[],
            files: vec![("bin/python".to_owned(), script.trim_start().to_owned())],
        });
    }

    /// The script of an interpreter. The environment of the tests has no Python 3.77, whatever machine they run on.
    pub(crate) fn python(&self, version: &str) -> String {
        self.script(PYTHON).replace("VERSION", version)
    }

    fn script(&self, script: &str) -> String {
        let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/worker.py");
        let script = script.replace("HERE", &self.root.display().to_string());
        let script = script.replace("SERVER", &server.display().to_string());
        let site = server.with_file_name("site");
        script.replace("LIBRARIES", &site.display().to_string())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(crate) fn runner(&self) -> CondaRunner<Worker> {
        self.runner_of(Models::default())
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

/// All that is kept of the attempts of a kind, one after the other.
pub(crate) fn log(runner: &CondaRunner<Worker>, version: u64, kind: LogKind) -> String {
    let attempts = runner
        .files()
        .attempts(&ServableId::new("iris", Version(version)), kind)
        .unwrap();
    attempts
        .iter()
        .flat_map(|attempt| &attempt.pieces)
        .filter_map(|piece| std::fs::read_to_string(&piece.path).ok())
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

pub(crate) fn program(path: &Path, script: &str) {
    write(path, script.trim_start());
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
}

#[expect(
    clippy::disallowed_methods,
    reason = "the tests' scripts need the machine's python3"
)]
fn inherited(root: &Path) -> Vec<(String, String)> {
    let path = std::env::var("PATH").unwrap();
    let root = root.display();
    [
        ("PATH", format!("{root}/tools:{path}")),
        ("HOME", format!("{root}/home")),
        ("MLFLOW_TRACKING_TOKEN", "secret".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}
