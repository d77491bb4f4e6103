//! Environments from a channel of made-up packages: once, whole or not at all, the same next month, and explained.

#![cfg(feature = "conda")]
#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

#[expect(dead_code, reason = "another test file uses the rest")]
mod support;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use conda_runner::{CondaRunner, EnvManager, LogKind, RunnerEnvironments, Worker};
use serving_core::{LoadError, Loader, Progress, ReplicaId, Retry};
use support::channel::{Channel, PLACEHOLDER, Package};
use support::{Machine, Models, get, job, log, socket, write};
use tokio::task::JoinSet;

const PLAIN: &str = "channels: [conda-forge]\ndependencies: [python=3.11, tool]\n";

/// A machine, and a channel with a Python and a `tool`.
fn machine() -> (Machine, Channel) {
    let mut machine = Machine::new();
    let mut channel = machine.with_channel();
    add_tool(&mut channel, "1.0");
    (machine, channel)
}

fn add_tool(channel: &mut Channel, version: &str) {
    channel.add(&Package {
        name: "tool",
        version,
        depends: &["python"],
        files: vec![
            (
                "bin/tool".to_owned(),
                format!("#!/bin/sh\necho {PLACEHOLDER} {version}\n"),
            ),
            (
                "etc/conda/activate.d/tool.sh".to_owned(),
                "export TOOL_HOME=\"$CONDA_PREFIX/share/tool\"\n".to_owned(),
            ),
        ],
    });
}

fn runner(machine: &Machine, conda: &'static str) -> CondaRunner<Worker> {
    machine.runner_of(Models {
        conda: Box::new(|_| conda.to_owned()),
        ..Models::default()
    })
}

/// Folders of what counts as an environment.
fn environments(machine: &Machine) -> BTreeSet<PathBuf> {
    let entries = std::fs::read_dir(machine.path("data/environments")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.join(".sluicegate.json").exists())
        .collect()
}

fn only_environment(machine: &Machine) -> PathBuf {
    let all = environments(machine);
    assert_eq!(all.len(), 1, "{all:?}");
    all.into_iter().next().unwrap()
}

fn tool(environment: &std::path::Path) -> String {
    std::fs::read_to_string(environment.join("bin/tool")).unwrap()
}

async fn refused(runner: &CondaRunner<Worker>) -> LoadError {
    let Err(error) = runner.prepare(job(1, &[])).await else {
        panic!("it was prepared");
    };
    error
}

#[tokio::test]
async fn a_worker_runs_in_what_conda_yaml_declares_and_its_files_name_its_place() {
    let (machine, _channel) = machine();
    let runner = runner(
        &machine,
        "channels: [conda-forge]\ndependencies: [python=3.11, tool]\nvariables: {VERSION: 3.10, OVERRULED: no}\n",
    );
    let words = [("environment", r#"{"OVERRULED": "yes"}"#)];
    let prepared = runner.prepare(job(1, &words)).await.unwrap();
    let instance = prepared.load(ReplicaId(0)).await.unwrap();
    let seen = get(socket(&instance.servable), "/environment").await;
    let seen = |name: &str| seen["variables"][name].as_str().unwrap_or("").to_owned();
    let place = only_environment(&machine);
    let shown = place.display().to_string();
    assert!(seen("PATH").starts_with(&format!("{shown}/bin:")));
    assert_eq!(seen("CONDA_PREFIX"), shown);
    assert_eq!(seen("TOOL_HOME"), format!("{shown}/share/tool"));
    assert_eq!(
        (seen("VERSION"), seen("OVERRULED")),
        ("3.10".to_owned(), "yes".to_owned())
    );
    assert_eq!(tool(&place), format!("#!/bin/sh\necho {shown} 1.0\n"));
    instance.stop.stop().await;
}

#[tokio::test]
async fn twenty_versions_with_the_same_declaration_get_one_build() {
    let (machine, _channel) = machine();
    let runner = Arc::new(machine.runner_of(Models {
        // The same declaration, written in two ways.
        conda: Box::new(|source| match source.len() {
            1 => PLAIN.to_owned(),
            _ => "# by hand\nname: x\ndependencies:\n- Tool\n- python = 3.11.*\nchannels:\n- defaults\n".to_owned(),
        }),
        ..Models::default()
    }));
    let mut wishes = JoinSet::new();
    for version in 1..=20 {
        let runner = Arc::clone(&runner);
        wishes.spawn(async move { runner.prepare(job(version, &[])).await.map(drop) });
    }
    for wish in wishes.join_all().await {
        wish.unwrap();
    }
    runner.idle().await;
    only_environment(&machine);
    let built = |version| log(&runner, version, LogKind::Build).contains("building environment");
    assert_eq!((1..=20).filter(|version| built(*version)).count(), 1);
}

#[tokio::test]
async fn what_was_chosen_once_is_chosen_again_whatever_the_channel_has_since() {
    let (machine, mut channel) = machine();
    runner(&machine, PLAIN).prepare(job(1, &[])).await.unwrap();
    let first = tool(&only_environment(&machine));
    add_tool(&mut channel, "2.0");
    // Pruning takes the environment, not the lock.
    std::fs::remove_dir_all(machine.path("data/environments")).unwrap();
    let again = runner(&machine, PLAIN);
    again.prepare(job(1, &[])).await.unwrap();
    assert_eq!(tool(&only_environment(&machine)), first);
    let told = log(&again, 1, LogKind::Build);
    assert!(
        told.contains("chosen when this environment was first built"),
        "{told}"
    );
}

#[tokio::test]
async fn a_broken_lock_is_told_and_all_is_chosen_anew() {
    let (machine, mut channel) = machine();
    runner(&machine, PLAIN).prepare(job(1, &[])).await.unwrap();
    add_tool(&mut channel, "2.0");
    let place = only_environment(&machine);
    let key = place.file_name().unwrap().to_str().unwrap();
    let lock = machine.path(&format!("data/locks/{key}.json"));
    for broken in [
        "{",
        "{\"conda\": {\"packages\": 3}}",
        "{\"conda\": \"\\u0000\"}",
    ] {
        std::fs::write(&lock, broken).unwrap();
        std::fs::remove_dir_all(machine.path("data/environments")).unwrap();
        let runner = runner(&machine, PLAIN);
        runner.prepare(job(1, &[])).await.unwrap();
        assert!(tool(&only_environment(&machine)).contains("2.0"));
        let told = log(&runner, 1, LogKind::Build);
        assert!(told.contains("anew"), "{told}");
    }
}

#[tokio::test]
async fn a_locked_package_that_is_gone_is_no_riddle() {
    let (machine, mut channel) = machine();
    runner(&machine, PLAIN).prepare(job(1, &[])).await.unwrap();
    channel.remove("tool", "1.0");
    for cached in ["data/environments", "data/packages"] {
        std::fs::remove_dir_all(machine.path(cached)).unwrap();
    }
    let error = refused(&runner(&machine, PLAIN)).await;
    assert!(error.message.contains("--fresh"), "{error}");
}

#[tokio::test]
async fn two_managers_and_two_declarations_have_environments_of_their_own() {
    let (machine, _channel) = machine();
    let runner = machine.runner_of(Models {
        conda: Box::new(|source| match source {
            "1" => PLAIN.to_owned(),
            _ => PLAIN.replace("3.11", "3.10"),
        }),
        ..Models::default()
    });
    for version in [1, 2, 1] {
        runner.prepare(job(version, &[])).await.unwrap();
    }
    assert_eq!(environments(&machine).len(), 2);
}

#[tokio::test]
async fn why_there_is_no_environment_has_a_code() {
    let (machine, _channel) = machine();
    for (conda, code, says) in [
        (
            "dependencies:\n- python: 3.10\n",
            "INVALID_DECLARATION",
            "python=VERSION",
        ),
        (
            "dependencies: [python=3.11, tol]",
            "PACKAGE_NOT_FOUND",
            "tool",
        ),
        (
            "dependencies: [python=3.9]",
            "PYTHON_NOT_AVAILABLE",
            "3.11.7",
        ),
        (
            "dependencies: [python=3.11, tool>=3]",
            "UNSATISFIABLE",
            "tool",
        ),
    ] {
        let error = refused(&runner(&machine, conda)).await;
        assert_eq!(error.code.as_deref(), Some(code), "{error}");
        assert_eq!(error.retry, Retry::Never, "{error}");
        let told = format!("{error} {}", error.last_lines.join(" "));
        assert!(told.contains(says), "{told}");
        std::fs::remove_dir_all(machine.path("data/models")).unwrap();
    }
    assert_eq!(environments(&machine).len(), 0);
}

#[tokio::test]
async fn an_environment_without_mlflow_is_none_for_a_model() {
    let (machine, _channel) = machine();
    write(&machine.path("broken"), "");
    let error = refused(&runner(&machine, PLAIN)).await;
    assert!(error.message.contains("does not work"), "{error}");
}

#[tokio::test]
async fn the_log_of_a_build_is_kept_with_its_key_also_of_one_that_failed() {
    let (machine, _channel) = machine();
    let runner = runner(&machine, PLAIN);
    write(&machine.path("broken"), "boom");
    refused(&runner).await;
    std::fs::remove_file(machine.path("broken")).unwrap();
    runner.prepare(job(1, &[])).await.unwrap();
    runner.idle().await;
    let place = only_environment(&machine);
    let key = place.file_name().unwrap().to_str().unwrap();
    let kept =
        std::fs::read_to_string(machine.path(&format!("data/logs/environments/{key}/build.log")))
            .unwrap();
    let attempts: Vec<&str> = kept.split("--- attempt at ").skip(1).collect();
    assert_eq!(attempts.len(), 2, "{kept}");
    assert!(
        attempts[0].contains("boom") && attempts[0].contains("failed: "),
        "{kept}"
    );
    assert!(
        attempts[1].contains("[solving] took") && attempts[1].contains("for iris@1"),
        "{kept}"
    );
    // The version's own log has it as well.
    assert!(log(&runner, 1, LogKind::Build).contains("[solving] took"));
}

#[tokio::test]
async fn a_folder_that_is_no_model_gets_an_environment_without_mlflow_which_is_none_for_a_model() {
    let (machine, _channel) = machine();
    write(&machine.path("bare"), "");
    write(&machine.path("folder/conda.yaml"), PLAIN);
    let environments = RunnerEnvironments::open(machine.config.clone()).unwrap();
    let (progress, steps) = Progress::channel();
    let folder = machine.path("folder");
    let built = environments
        .build(&folder, EnvManager::Conda, false, &progress)
        .await
        .unwrap();
    assert_eq!(built.mlflow, None);
    assert_eq!(built.python.as_deref(), Some("3.11.7"));
    let names: Vec<&str> = built
        .packages
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    assert_eq!(names, ["python", "tool"]);
    assert!(steps.borrow().is_some());
    let told = environments.build_log(&built.key).await.unwrap();
    assert!(told.contains("[solving] took"), "{told}");
    environments.idle().await;

    let error = refused(&runner(&machine, PLAIN)).await;
    assert_eq!(error.code.as_deref(), Some("MLFLOW_MISSING"), "{error}");
    assert_eq!(only_environment(&machine), built.path);
}
