//! A build is killed with SIGKILL at fifty moments from its begin to its end: nothing half-made ever counts, and the next
//! build succeeds.
//!
//! A program of its own instead of test functions, because it runs itself again as the process that is killed.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test, though no test function"
)]

#[expect(dead_code, reason = "another test file uses the rest")]
mod support;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serving_core::Loader;
use support::channel::Package;
use support::{Machine, Models, PATIENCE, job};
use tokio::time::Instant;

/// How often a build is killed.
const KILLS: usize = 50;
const PACKAGES: usize = 6;
const FILES: usize = 8;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    match std::env::args()
        .skip_while(|argument| argument != "build-in")
        .nth(1)
    {
        Some(root) => runtime.block_on(build(Path::new(&root))),
        None => runtime.block_on(nothing_half_made_ever_counts()),
    }
}

/// Builds in the machine of whoever kills it.
async fn build(root: &Path) {
    let machine = machine_of(Machine::found(root.to_owned()));
    machine.0.prepare(job(1, &[])).await.unwrap();
    std::fs::write(root.join("done"), "").unwrap();
    // Whoever kills it may itself be gone.
    tokio::time::sleep(Duration::from_secs(60)).await;
}

async fn nothing_half_made_ever_counts() {
    let mut machine = Machine::new();
    let mut channel = machine.with_channel();
    for package in 0..PACKAGES {
        channel.add(&Package {
            name: &format!("package{package}"),
            version: "1.0",
            depends: &["python"],
            files: (0..FILES).map(|file| made_up(package, file)).collect(),
        });
    }
    let cold = undisturbed(&machine);
    let warm = undisturbed(&machine);
    let mut finished = 0;
    for kill in 0..KILLS {
        // Every other build downloads as well.
        let files = if kill % 2 == 0 {
            remove(&machine.path("data/packages"));
            cold
        } else {
            warm
        };
        let mut build = start(&machine);
        let start = count(&machine.path("data"));
        let moment = start + files * kill / KILLS;
        wait_for(&machine, moment);
        jitter();
        end(&mut build);
        if check(&machine) {
            finished += 1;
            remove(&machine.path("data/environments"));
        }
        let _ = std::fs::remove_file(machine.path("done"));
    }
    assert!(
        finished < KILLS / 2,
        "most builds were finished when they were killed"
    );
    let (runner, machine) = machine_of(machine);
    runner.prepare(job(1, &[])).await.unwrap();
    runner.idle().await;
    assert!(check(&machine));
    let left: Vec<_> = entries(&machine.path("data/environments"));
    let staging = |path: &&PathBuf| path.to_string_lossy().contains("staging");
    assert_eq!(left.iter().filter(staging).count(), 0, "{left:?}");
    println!("nothing half-made ever counts ... ok ({finished} of {KILLS} killed after their end)");
}

fn machine_of(mut machine: Machine) -> (conda_runner::CondaRunner<conda_runner::Worker>, Machine) {
    machine.config.env_manager = conda_runner::EnvManager::Conda;
    machine.config.conda.channel_alias = format!("file://{}", machine.path("channels").display());
    let names: Vec<String> = (0..PACKAGES)
        .map(|package| format!("package{package}"))
        .collect();
    let conda = format!(
        "dependencies: [python=3.11, pip, {}, pip: [own]]\n",
        names.join(", ")
    );
    let runner = machine.runner_of(Models {
        conda: Box::new(move |_| conda.clone()),
        ..Models::default()
    });
    (runner, machine)
}

fn made_up(package: usize, file: usize) -> (String, String) {
    let path = format!("share/package{package}/{file}");
    (path, format!("{package}.{file}\n").repeat(100))
}

/// How many files a build makes.
fn undisturbed(machine: &Machine) -> usize {
    remove(&machine.path("data/environments"));
    let before = count(&machine.path("data"));
    let mut build = start(machine);
    wait_for(machine, usize::MAX);
    end(&mut build);
    assert!(check(machine));
    let files = count(&machine.path("data")) - before;
    remove(&machine.path("data/environments"));
    std::fs::remove_file(machine.path("done")).unwrap();
    files
}

#[expect(
    clippy::disallowed_methods,
    reason = "this process is to be killed, not run by the module under test"
)]
fn start(machine: &Machine) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["build-in", machine.path("").to_str().unwrap()])
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

fn end(build: &mut Child) {
    build.kill().unwrap();
    build.wait().unwrap();
}

/// Returns when the build has made so many files, or is done.
fn wait_for(machine: &Machine, files: usize) {
    let deadline = Instant::now() + PATIENCE;
    while count(&machine.path("data")) < files && !machine.path("done").exists() {
        assert!(Instant::now() < deadline, "the build does not go on");
        std::thread::yield_now();
    }
}

/// A moment between two files.
fn jitter() {
    let random = RandomState::new().build_hasher().finish();
    std::thread::sleep(Duration::from_micros(random % 3000));
}

/// Whether there is a finished environment. It is whole if it counts as one.
fn check(machine: &Machine) -> bool {
    let all = entries(&machine.path("data/environments"));
    let mut finished = all
        .iter()
        .filter(|path| path.join(".sluicegate.json").exists() && !path.ends_with("whole"));
    let Some(environment) = finished.next() else {
        return false;
    };
    assert!(finished.next().is_none());
    let marker = std::fs::read_to_string(environment.join(".sluicegate.json")).unwrap();
    serde_json::from_str::<serde_json::Value>(&marker).unwrap();
    assert!(environment.join("bin/python").exists());
    let own = "lib/python3.77/site-packages/own-1.0.dist-info/METADATA";
    assert!(environment.join(own).exists());
    for package in 0..PACKAGES {
        for file in 0..FILES {
            let (path, text) = made_up(package, file);
            assert_eq!(
                std::fs::read_to_string(environment.join(path)).unwrap(),
                text
            );
        }
    }
    for lock in entries(&machine.path("data/locks")) {
        let is_kept = lock
            .extension()
            .is_some_and(|extension| extension == "json");
        if is_kept {
            let text = std::fs::read_to_string(lock).unwrap();
            serde_json::from_str::<serde_json::Value>(&text).unwrap();
        }
    }
    true
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// All files below it. What goes away meanwhile is not counted.
fn count(folder: &Path) -> usize {
    let below = entries(folder);
    let count_one = |path: &PathBuf| match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => count(path),
        Ok(_) => 1,
        Err(_) => 0,
    };
    below.iter().map(count_one).sum()
}

fn remove(folder: &Path) {
    if folder.exists() {
        std::fs::remove_dir_all(folder).unwrap();
    }
}
