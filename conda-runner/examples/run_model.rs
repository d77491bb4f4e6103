//! Runs a model folder as a worker, without a registry and without a gateway:
//!
//! `cargo run -p conda-runner --example run_model -- MODEL_FOLDER DATA_DIR [MANAGER | PYTHON] [LAUNCHER] [CHANNEL_ALIAS]`
//!
//! With an interpreter (its path) the worker runs in it. Otherwise the environment that the model declares is built by
//! `conda`, which is the default, `uv` or `virtualenv`. LAUNCHER is `mlflow-serve`, `direct` or `template`. Channels of
//! conda live below CHANNEL_ALIAS.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use conda_runner::{
    CondaRunner, EnvManager, FetchedModel, LogKind, ModelSource, RunnerConfig, UnknownLauncher,
    Worker, WorkerEndpoint,
};
use serving_core::{
    Generation, Incarnation, LoadError, LoadJob, Loader, Progress, ReplicaId, ServableId, Settings,
    Source, Version, VersionSpec, WorkPermits,
};
use tokio::time::Instant;

/// Takes the source for a local folder.
struct LocalFolder;

#[async_trait]
impl ModelSource for LocalFolder {
    async fn fetch(
        &self,
        source: &str,
        into: &Path,
        _: &Progress,
    ) -> Result<FetchedModel, LoadError> {
        copy(Path::new(source), into).map_err(|error| LoadError::permanent(error.to_string()))?;
        Ok(FetchedModel::Complete)
    }
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, data_dir, rest @ ..] = arguments.as_slice() else {
        return Err(
            "usage: run_model MODEL_FOLDER DATA_DIR [MANAGER | PYTHON] [LAUNCHER] [CHANNEL_ALIAS]"
                .into(),
        );
    };
    let start = Instant::now();
    let (progress, mut steps) = Progress::channel();
    let runner = CondaRunner::new(
        config(data_dir, rest)?,
        Arc::new(LocalFolder),
        Arc::new(|worker| worker),
    )?;
    let spec = spec(model);
    let id = spec.id.clone();
    let job = LoadJob {
        spec: Arc::new(spec),
        generation: Generation(1),
        progress,
        work: WorkPermits::unlimited(),
    };
    let starting = async {
        let prepared = runner.prepare(job).await?;
        prepared.load(ReplicaId(0)).await
    };
    let told = async {
        while steps.changed().await.is_ok() {
            let step = steps.borrow_and_update().clone().unwrap_or_default();
            println!("{:6.2} s  {step}", start.elapsed().as_secs_f64());
        }
        std::future::pending().await
    };
    let instance: serving_core::Instance<Worker> = tokio::select! {
        started = starting => started?,
        never = told => never,
    };
    let worker = &instance.servable;
    let WorkerEndpoint::Unix(socket) = &worker.endpoint;
    println!(
        "{:6.2} s  MLflow {} answers on {}",
        start.elapsed().as_secs_f64(),
        worker.mlflow_version,
        socket.display()
    );
    let logs = runner.files().attempts(&id, LogKind::Worker)?;
    println!("logs: {logs:?}\nend it with Ctrl-C");
    tokio::select! {
        exit = instance.exit => println!("the worker died: {exit:?}"),
        _ = tokio::signal::ctrl_c() => instance.stop.stop().await,
    }
    runner.idle().await;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a program reads its environment")]
fn config(data_dir: &str, rest: &[String]) -> Result<RunnerConfig, UnknownLauncher> {
    let mut config = RunnerConfig {
        inherited_environment: std::env::vars().collect(),
        ..RunnerConfig::new(data_dir)
    };
    match rest.first().map(|word| word.parse()) {
        None => {}
        Some(Ok(manager)) => config.env_manager = manager,
        Some(Err(_)) => {
            config.env_manager = EnvManager::Local;
            config.python = rest.first().map(PathBuf::from);
        }
    }
    if let Some(word) = rest.get(1) {
        config.launcher = word.parse()?;
    }
    if let Some(alias) = rest.get(2) {
        config.conda.channel_alias.clone_from(alias);
    }
    Ok(config)
}

fn spec(model: &str) -> VersionSpec {
    VersionSpec {
        id: ServableId::new("example", Version(1)),
        model_incarnation: Incarnation::from("local"),
        incarnation: Incarnation::from(model),
        source: Source::Readable(model.into()),
        settings: Arc::new(Settings::default()),
    }
}

fn copy(from: &Path, into: &Path) -> std::io::Result<()> {
    if from.is_file() {
        return std::fs::copy(from, into).map(|_| ());
    }
    std::fs::create_dir(into)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &into.join(entry.file_name()))?;
    }
    Ok(())
}
