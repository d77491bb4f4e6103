//! Building environments with a scripted uv: once, whole or not at all, and with errors that say what to do.

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

#[expect(dead_code, reason = "another test file uses the rest")]
mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use conda_runner::{EnvManager, FetchedModel, LogKind};
use serving_core::{LoadError, LoadJob, Loader, Progress, ReplicaId, Retry};
use support::{Machine, Models, dead, eventually, get, is_alive, job, log, socket, write};
use tokio::task::JoinSet;

fn machine() -> Machine {
    let mut machine = Machine::new();
    machine.config.env_manager = EnvManager::Uv;
    machine
}

fn calls(machine: &Machine, command: &str) -> usize {
    let calls = std::fs::read_to_string(machine.path("calls")).unwrap_or_default();
    calls
        .lines()
        .filter(|line| line.starts_with(command))
        .count()
}

/// Names of what counts as an environment, and of what is being made.
fn environments(machine: &Machine) -> BTreeSet<String> {
    let entries = std::fs::read_dir(machine.path("data/environments")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != ".locks").collect()
}

/// Ends the process that an installing script waits for.
fn end(installer: u32) {
    let installer = rustix::process::Pid::from_raw(i32::try_from(installer).unwrap()).unwrap();
    rustix::process::kill_process(installer, rustix::process::Signal::TERM).unwrap();
}

async fn refused(machine: &Machine) -> LoadError {
    let Err(error) = machine.runner().prepare(job(1, &[])).await else {
        panic!("it was prepared");
    };
    error
}

#[tokio::test]
async fn twenty_versions_with_the_same_requirements_get_one_build() {
    let machine = machine();
    let runner = Arc::new(machine.runner_of(Models {
        // The same requirements, written twenty times in two ways.
        requirements: Box::new(|source| match source.len() {
            1 => "mlflow==3.17.2\nscikit-learn==1.9.1\n".to_owned(),
            _ => "Scikit_Learn == 1.9.1  # model\n\nmlflow==3.17.2".to_owned(),
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
    assert_eq!(calls(&machine, "venv"), 1);
    runner.idle().await;
    assert_eq!(environments(&machine).len(), 1);
    let built = |version| log(&runner, version, LogKind::Build).contains("building environment");
    assert_eq!((1..=20).filter(|version| built(*version)).count(), 1);
}

#[tokio::test]
async fn a_worker_runs_in_the_environment_that_was_built() {
    let machine = machine();
    let runner = machine.runner();
    let instance = runner
        .prepare(job(1, &[]))
        .await
        .unwrap()
        .load(ReplicaId(0))
        .await
        .unwrap();
    let seen = get(socket(&instance.servable), "/environment").await;
    let name = environments(&machine)
        .into_iter()
        .find(|name| !name.starts_with('.'))
        .unwrap();
    let built = machine.path("data/environments").join(name);
    let path = seen["variables"]["PATH"].as_str().unwrap();
    assert!(
        path.starts_with(&format!("{}/bin:", built.display())),
        "{path}"
    );
    instance.stop.stop().await;
}

#[tokio::test]
async fn an_abandoned_build_is_killed_and_leaves_nothing_that_counts() {
    let machine = machine();
    let runner = Arc::new(machine.runner());
    write(&machine.path("hang"), "");
    let mut tasks = JoinSet::new();
    let building = Arc::clone(&runner);
    tasks.spawn(async move { building.prepare(job(1, &[])).await.map(drop) });
    let installer = machine.pid("pid").await;
    assert!(is_alive(installer));
    tasks.shutdown().await;
    runner.idle().await;
    dead(&[installer]).await;
    assert_eq!(environments(&machine), BTreeSet::new());

    std::fs::remove_file(machine.path("hang")).unwrap();
    assert!(runner.prepare(job(1, &[])).await.is_ok());
    assert_eq!(environments(&machine).len(), 1);
}

#[tokio::test]
async fn a_build_that_others_wait_for_goes_on_when_its_first_version_is_given_up() {
    let machine = machine();
    let runner = Arc::new(machine.runner());
    write(&machine.path("hang"), "");
    let mut first = JoinSet::new();
    let building = Arc::clone(&runner);
    first.spawn(async move { building.prepare(job(1, &[])).await.map(drop) });
    let installer = machine.pid("pid").await;
    let mut second = JoinSet::new();
    let (progress, mut steps) = Progress::channel();
    let waiting = Arc::clone(&runner);
    let job = LoadJob {
        progress,
        ..job(2, &[])
    };
    second.spawn(async move { waiting.prepare(job).await.map(drop) });
    let waits = |step: &Option<Arc<str>>| {
        step.as_ref()
            .is_some_and(|step| step.starts_with("building environment"))
    };
    steps.wait_for(waits).await.unwrap();
    first.shutdown().await;
    assert!(is_alive(installer));
    std::fs::remove_file(machine.path("hang")).unwrap();
    end(installer);
    second.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(calls(&machine, "venv"), 1);
}

#[tokio::test]
async fn an_environment_whose_python_is_gone_is_built_anew() {
    let machine = machine();
    let runner = machine.runner();
    runner.prepare(job(1, &[])).await.unwrap();
    runner.idle().await;
    let name = environments(&machine).into_iter().next().unwrap();
    let python = machine
        .path("data/environments")
        .join(name)
        .join("bin/python");
    std::fs::remove_file(&python).unwrap();
    std::os::unix::fs::symlink("/nowhere/python3", &python).unwrap();
    runner.prepare(job(1, &[])).await.unwrap();
    assert!(python.is_file());
    assert_eq!(calls(&machine, "venv"), 2);
}

#[tokio::test]
async fn a_model_whose_folder_is_gone_is_fetched_anew() {
    let machine = machine();
    let runner = machine.runner();
    runner.prepare(job(1, &[])).await.unwrap();
    runner.idle().await;
    std::fs::remove_dir_all(machine.path("data/models")).unwrap();
    let prepared = runner.prepare(job(1, &[])).await.unwrap();
    let instance = prepared.load(ReplicaId(0)).await.unwrap();
    instance.stop.stop().await;
}

#[tokio::test]
async fn uv_that_is_installed_later_is_found_without_a_new_start() {
    let mut machine = machine();
    let late = machine.path("late");
    let path = machine
        .config
        .inherited_environment
        .iter_mut()
        .find(|(name, _)| name == "PATH")
        .unwrap();
    let has_no_uv = |folder: &&str| !Path::new(folder).join("uv").exists();
    let others: Vec<&str> = path.1.split(':').filter(has_no_uv).collect();
    path.1 = format!("{}:{}", late.display(), others.join(":"));
    machine.config.uv = None;
    let runner = machine.runner();
    assert!(runner.prepare(job(1, &[])).await.is_err());
    std::os::unix::fs::symlink(machine.path("tools"), late).unwrap();
    assert!(runner.prepare(job(1, &[])).await.is_ok());
}

#[tokio::test]
async fn requirements_without_a_solution_are_a_permanent_error_with_uvs_own_words() {
    let machine = machine();
    let words = "error: No solution found when resolving dependencies\n  cause: there is no version of numpy==99.1";
    write(&machine.path("fail"), words);
    let error = refused(&machine).await;
    assert_eq!(error.retry, Retry::Never);
    assert!(error.message.contains("No solution found"), "{error}");
    assert!(
        error
            .last_lines
            .iter()
            .any(|line| line.contains("numpy==99.1"))
    );
}

#[tokio::test]
async fn an_index_that_cannot_be_reached_is_worth_another_try() {
    let machine = machine();
    write(
        &machine.path("fail"),
        "error: Request failed after 3 retries\n  cause: Failed to fetch: http://index/",
    );
    assert_eq!(refused(&machine).await.retry, Retry::Later);
}

#[tokio::test]
async fn a_missing_patch_version_of_python_is_replaced_by_its_neighbour_and_noted() {
    let machine = machine();
    write(&machine.path("only-3.11"), "");
    let runner = machine.runner();
    runner.prepare(job(1, &[])).await.unwrap();
    let told = log(&runner, 1, LogKind::Build);
    assert!(
        told.contains("Python 3.11.7 is not installed: taking any Python 3.11 instead"),
        "{told}"
    );
}

#[tokio::test]
async fn without_uv_the_error_names_the_way_out() {
    let mut machine = machine();
    machine.config.uv = Some(machine.path("nowhere/uv"));
    let error = refused(&machine).await;
    assert_eq!(error.retry, Retry::Never);
    assert!(
        error.message.contains("--env-manager local --python"),
        "{error}"
    );
}

#[tokio::test]
async fn managers_of_later_versions_are_refused_for_now() {
    let machine = machine();
    for manager in ["conda", "virtualenv"] {
        let Err(error) = machine
            .runner()
            .prepare(job(1, &[("env_manager", manager)]))
            .await
        else {
            panic!("{manager} was prepared");
        };
        assert_eq!(error.retry, Retry::Never);
        assert!(
            error.message.contains("not available in this version"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn constraints_reach_uv_and_change_the_environment() {
    let mut machine = machine();
    machine.runner().prepare(job(1, &[])).await.unwrap();
    write(&machine.path("constraints.txt"), "starlette<1\n");
    machine.config.pip.constraints = Some(machine.path("constraints.txt"));
    machine.runner().prepare(job(1, &[])).await.unwrap();
    assert_eq!(calls(&machine, "venv"), 2);
    let told = std::fs::read_to_string(machine.path("calls")).unwrap();
    assert!(
        told.contains(&format!(
            "--constraints {}",
            machine.path("constraints.txt").display()
        )),
        "{told}"
    );
}

#[tokio::test]
async fn what_only_mlflows_client_can_read_is_downloaded_by_the_environments_own() {
    let machine = machine();
    write(&machine.path("template/MLmodel"), support::MLMODEL);
    write(
        &machine.path("template/python_env.yaml"),
        "python: 3.11.7\ndependencies: [-r requirements.txt]\n",
    );
    write(
        &machine.path("template/requirements.txt"),
        "mlflow==3.17.2\n",
    );
    write(
        &machine.path("template/serving_input_example.json"),
        support::EXAMPLE,
    );
    let runner = machine.runner_of(Models {
        fetched: FetchedModel::NeedsClient {
            uri: "s3://bucket/model".to_owned(),
            environment: vec![("CREDENTIAL".to_owned(), "for the download alone".to_owned())],
        },
        ..Models::default()
    });
    let instance = runner
        .prepare(job(1, &[]))
        .await
        .unwrap()
        .load(ReplicaId(0))
        .await
        .unwrap();
    assert!(instance.servable.facts.example.is_some());
    let seen = get(socket(&instance.servable), "/environment").await;
    assert_eq!(seen["variables"].get("CREDENTIAL"), None);
    assert_eq!(calls(&machine, "venv"), 1);
    assert!(!log(&runner, 1, LogKind::Build).contains("for the download alone"));
    instance.stop.stop().await;
}

#[tokio::test]
async fn a_second_gateway_on_the_data_folder_waits_for_the_first_ones_build() {
    let machine = machine();
    let (first, second) = (Arc::new(machine.runner()), Arc::new(machine.runner()));
    write(&machine.path("hang"), "");
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { first.prepare(job(1, &[])).await.map(drop) });
    let installer = machine.pid("pid").await;
    std::fs::remove_file(machine.path("hang")).unwrap();
    tasks.spawn(async move { second.prepare(job(2, &[])).await.map(drop) });
    end(installer);
    for done in tasks.join_all().await {
        done.unwrap();
    }
    assert_eq!(calls(&machine, "venv"), 1);
    eventually(|| (environments(&machine).len() == 1).then_some(())).await;
}
