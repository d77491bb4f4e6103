//! What was chosen once is chosen again, until somebody wants a build afresh, which harms nobody.

#[expect(dead_code, reason = "another test file uses the rest")]
mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use serving_core::{LoadJob, Loader, Progress};
use support::builds::{all_calls, calls, end, machine, only_environment};
use support::{Models, dead, is_alive, job, write};
use tokio::task::JoinSet;

#[tokio::test]
async fn what_was_installed_once_is_wanted_again_and_a_fresh_build_chooses_anew() {
    let machine = machine();
    machine.runner().prepare(job(1, &[])).await.unwrap();
    assert!(!all_calls(&machine).contains("own==1.0"));
    // Pruning takes the environment, not the lock.
    std::fs::remove_dir_all(machine.path("data/environments")).unwrap();
    let runner = machine.runner();
    runner.prepare(job(1, &[])).await.unwrap();
    assert!(all_calls(&machine).contains("  own==1.0"));

    std::fs::remove_file(machine.path("calls")).unwrap();
    runner.prepare(job(1, &[("fresh", "true")])).await.unwrap();
    assert_eq!(calls(&machine, "venv"), 1);
    assert!(!all_calls(&machine).contains("own==1.0"));
    only_environment(&machine);
}

#[tokio::test]
async fn what_builds_packages_and_what_the_model_wants_of_the_same_name_are_chosen_each_for_itself()
{
    let machine = machine();
    let build = async || {
        let runner = machine.runner_of(Models {
            python_env: "python: 3.77.1\nbuild_dependencies: [setuptools==65.5.0]\ndependencies: [setuptools==70.0]\n"
                .to_owned(),
            ..Models::default()
        });
        runner.prepare(job(1, &[])).await.unwrap();
        runner.idle().await;
    };
    build().await;
    std::fs::remove_dir_all(machine.path("data/environments")).unwrap();
    std::fs::remove_file(machine.path("calls")).unwrap();
    build().await;
    let told = all_calls(&machine);
    let wanted: Vec<&str> = told
        .lines()
        .filter_map(|line| line.strip_prefix("  setuptools=="))
        .collect();
    // Of each installation the lock, then the requirements.
    assert_eq!(wanted, ["65.5.0", "65.5.0", "70.0", "70.0"], "{told}");
}

#[tokio::test]
async fn what_is_in_use_is_not_built_afresh() {
    let machine = machine();
    let runner = machine.runner();
    let prepared = runner.prepare(job(1, &[])).await.unwrap();
    let Err(error) = runner.prepare(job(2, &[("fresh", "true")])).await else {
        panic!("it was built under a version that uses it");
    };
    assert!(error.message.contains("in use by iris@1"), "{error}");
    assert_eq!(calls(&machine, "venv"), 1);
    drop(prepared);
    runner.prepare(job(2, &[("fresh", "true")])).await.unwrap();
    assert_eq!(calls(&machine, "venv"), 2);
}

#[tokio::test]
async fn a_fresh_build_that_fails_leaves_the_environment_that_works() {
    let machine = machine();
    let runner = machine.runner();
    runner.prepare(job(1, &[])).await.unwrap();
    runner.idle().await;
    let built = only_environment(&machine);
    write(&machine.path("fail"), "error: there is no such package\n");
    let fresh = runner.prepare(job(1, &[("fresh", "true")])).await;
    assert!(fresh.is_err());
    assert_eq!(only_environment(&machine), built);
    runner.prepare(job(1, &[])).await.unwrap();
    assert_eq!(calls(&machine, "venv"), 2);
}

#[tokio::test]
async fn a_fresh_wish_waits_for_a_build_that_is_running_and_then_builds_anew() {
    let machine = machine();
    let runner = Arc::new(machine.runner());
    write(&machine.path("hang"), "");
    let mut wishes = JoinSet::new();
    let ahead = Arc::clone(&runner);
    wishes.spawn(async move { ahead.build_ahead(job(1, &[])).await });
    let installer = machine.pid("pid").await;
    let fresh = Arc::clone(&runner);
    let (progress, mut steps) = Progress::channel();
    let wish = LoadJob {
        progress,
        ..job(2, &[("fresh", "true")])
    };
    wishes.spawn(async move { fresh.build_ahead(wish).await });
    steps.wait_for(Option::is_some).await.unwrap();
    assert_eq!(calls(&machine, "venv"), 1);
    std::fs::remove_file(machine.path("hang")).unwrap();
    end(installer);
    let keys: BTreeSet<_> = wishes
        .join_all()
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(calls(&machine, "venv"), 2);
    let built = only_environment(&machine);
    let key = built.file_name().unwrap().to_string_lossy().into_owned();
    assert_eq!(keys, BTreeSet::from([Some(key)]));
}

#[tokio::test]
async fn compiling_goes_on_in_the_background_keeps_nobody_from_a_fresh_build_and_ends_with_the_runner()
 {
    let machine = machine();
    let runner = machine.runner();
    write(&machine.path("slow"), "");
    runner.prepare(job(1, &[])).await.unwrap();
    let first = machine.pid("compiler").await;
    assert!(is_alive(first));
    std::fs::remove_file(machine.path("compiler")).unwrap();
    runner.prepare(job(1, &[("fresh", "true")])).await.unwrap();
    dead(&[first]).await;
    let second = machine.pid("compiler").await;
    runner.idle().await;
    dead(&[second]).await;
}
