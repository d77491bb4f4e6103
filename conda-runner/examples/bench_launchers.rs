//! Measures what workers cost by each launcher: until the first and until each further one is ready, and in memory.
//!
//! `cargo run -p conda-runner --example bench_launchers -- MODEL_FOLDER PYTHON [ROUNDS [WORKERS…]]`
//!
//! In each round the launchers take turns, on a runner of their own with a data folder of its own. Workers are started
//! one after the other, as further versions would be. Times are wall-clock time and processor time of all processes
//! involved; memory is the proportional set size of all of them, templates included. Linux only.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use conda_runner::{
    CondaRunner, EnvManager, FetchedModel, Launcher, ModelSource, RunnerConfig, Worker,
};
use serving_core::{
    Generation, Incarnation, LoadError, LoadJob, Loader, Progress, ReplicaId, ServableId, Settings,
    Source, Version, VersionSpec, WorkPermits,
};
use tokio::time::Instant;

const LAUNCHERS: [Launcher; 3] = [Launcher::MlflowServe, Launcher::Direct, Launcher::Template];

/// Copies the files of a local folder.
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

/// What was measured in one round.
#[derive(Clone, Debug, Default)]
struct Measured {
    first: Vec<Cost>,
    further: Vec<Cost>,
    /// Megabytes by the number of workers.
    memory: BTreeMap<usize, Vec<f64>>,
}

/// Seconds.
#[derive(Clone, Copy, Debug)]
struct Cost {
    wall: f64,
    cpu: f64,
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, python, rest @ ..] = arguments.as_slice() else {
        return Err("usage: bench_launchers MODEL_FOLDER PYTHON [ROUNDS [WORKERS…]]".into());
    };
    let numbers: Vec<usize> = rest
        .iter()
        .map(|word| word.parse())
        .collect::<Result<_, _>>()?;
    let (rounds, counts) = match numbers.split_first() {
        Some((rounds, counts)) if !counts.is_empty() => (*rounds, counts.to_vec()),
        first => (first.map_or(3, |(rounds, _)| *rounds), vec![1, 4, 8]),
    };
    let mut measured = vec![Measured::default(); LAUNCHERS.len()];
    for _ in 0..rounds {
        for (launcher, measured) in LAUNCHERS.iter().zip(&mut measured) {
            round(model, python, *launcher, &counts, measured).await?;
        }
    }
    println!("median (least–most) of {rounds} rounds; processor time in brackets");
    for (launcher, measured) in LAUNCHERS.iter().zip(&measured) {
        println!("{launcher}");
        println!("  first worker    {}", costs(&measured.first));
        println!("  further workers {}", costs(&measured.further));
        for (count, megabytes) in &measured.memory {
            println!(
                "  {count:2} workers      {} MB",
                spread(megabytes.clone(), 0)
            );
        }
    }
    Ok(())
}

async fn round(
    model: &str,
    python: &str,
    launcher: Launcher,
    counts: &[usize],
    measured: &mut Measured,
) -> Result<(), Box<dyn std::error::Error>> {
    let data = std::env::temp_dir().join(format!("sluicegate-bench-{}", std::process::id()));
    let runner = CondaRunner::new(
        config(&data, python, launcher),
        Arc::new(LocalFolder),
        Arc::new(|worker: Worker| worker),
    )?;
    let mut instances = Vec::new();
    for number in 1..=counts.iter().copied().max().unwrap_or(1) {
        let prepared = runner.prepare(job(model, number as u64)).await?;
        let before = processes(&data).1;
        let began = Instant::now();
        instances.push(prepared.load(ReplicaId(0)).await?);
        let cost = Cost {
            wall: began.elapsed().as_secs_f64(),
            cpu: processes(&data).1.saturating_sub(before).as_secs_f64(),
        };
        if number == 1 {
            measured.first.push(cost);
        } else {
            measured.further.push(cost);
        }
        if counts.contains(&number) {
            let memory = measured.memory.entry(number).or_default();
            memory.push(processes(&data).0);
        }
    }
    for instance in instances {
        instance.stop.stop().await;
    }
    runner.idle().await;
    drop(runner);
    std::fs::remove_dir_all(&data)?;
    Ok(())
}

/// Megabytes and processor time of all processes that work below this folder.
fn processes(data: &Path) -> (f64, Duration) {
    let (mut memory, mut cpu) = (0.0, Duration::ZERO);
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return (memory, cpu);
    };
    for process in entries.flatten().map(|entry| entry.path()) {
        if !std::fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(data)) {
            continue;
        }
        let read = |name: &str| std::fs::read_to_string(process.join(name)).unwrap_or_default();
        let rollup = read("smaps_rollup");
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
        let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        memory += kilobytes.unwrap_or(0.0) / 1024.0;
        let stat = read("stat");
        let fields = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        // utime and stime, in the hundredths of a second that Linux counts in everywhere that this runs.
        let ticks = fields
            .split(' ')
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u64>().ok());
        cpu += Duration::from_millis(10 * ticks.sum::<u64>());
    }
    (memory, cpu)
}

#[expect(clippy::disallowed_methods, reason = "a program reads its environment")]
fn config(data: &Path, python: &str, launcher: Launcher) -> RunnerConfig {
    RunnerConfig {
        env_manager: EnvManager::Local,
        python: Some(PathBuf::from(python)),
        launcher,
        inherited_environment: std::env::vars().collect(),
        ..RunnerConfig::new(data)
    }
}

fn job(model: &str, version: u64) -> LoadJob {
    LoadJob {
        spec: Arc::new(VersionSpec {
            id: ServableId::new("bench", Version(version)),
            model_incarnation: Incarnation::from("local"),
            incarnation: Incarnation::from(model),
            source: Source::Readable(model.into()),
            settings: Arc::new(Settings::default()),
        }),
        generation: Generation(1),
        progress: Progress::channel().0,
        work: WorkPermits::unlimited(),
    }
}

fn costs(costs: &[Cost]) -> String {
    let wall = costs.iter().map(|cost| cost.wall).collect();
    let cpu = costs.iter().map(|cost| cost.cpu).collect();
    format!("{} s [{} s]", spread(wall, 2), spread(cpu, 2))
}

fn spread(mut numbers: Vec<f64>, digits: usize) -> String {
    numbers.sort_by(f64::total_cmp);
    let (Some(least), Some(most)) = (numbers.first(), numbers.last()) else {
        return "–".to_owned();
    };
    let median = numbers[numbers.len() / 2];
    format!("{median:.digits$} ({least:.digits$}–{most:.digits$})")
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
