//! Templates that die, fail or are slow, and forks that do not get ready: others take their place, and nobody is blamed
//! who could not help it.
#![cfg(target_os = "linux")]

#[expect(dead_code, reason = "another test file uses the rest")]
mod support;

use std::sync::Arc;
use std::time::Duration;

use conda_runner::LogKind;
use rustix::process::Signal;
use serving_core::{Loader, ReplicaId, Retry};
use support::templates::{
    codes, connections, family, forked, is_forked, kill, load, machine, noting, on_import,
    only_worker, signal,
};
use support::{EXAMPLE, dead, eventually, get, is_alive, job, log, socket};

#[tokio::test]
async fn forks_outlive_their_template_and_their_end_is_noticed_all_the_same() {
    let machine = machine();
    let runner = machine.runner();
    let instance = load(&runner, forked(1, "")).await.unwrap();
    let worker = only_worker(&runner);
    assert!(is_forked(&runner));
    let template = family(worker).0;
    kill(template);
    dead(&[template]).await;
    assert_eq!(
        get(socket(&instance.servable), "/scored").await[0][1],
        EXAMPLE
    );
    // Nor is it missed by interpreters that the model starts.
    assert_eq!(get(socket(&instance.servable), "/spawned").await, 0);
    // The next one gets a new one.
    let next = load(&runner, forked(2, "")).await.unwrap();
    assert!(is_alive(worker) && is_forked(&runner));
    kill(worker);
    let exit = instance.exit.await;
    assert!(
        exit.reason.contains("nobody was left who could tell how"),
        "{exit:?}"
    );
    next.stop.stop().await;
    runner.idle().await;
}

#[tokio::test]
async fn the_end_of_a_worker_with_forks_of_its_own_is_noticed_without_its_template() {
    let machine = machine();
    let pids = machine.path("pids");
    std::fs::create_dir_all(&pids).unwrap();
    let words = serde_json::json!({ "MODE": "forks", "PIDS": pids }).to_string();
    let runner = machine.runner();
    let job = job(1, &[("launcher", "template"), ("environment", &words)]);
    let instance = load(&runner, job).await.unwrap();
    let child = machine.pid("pids/child").await;
    let worker = only_worker(&runner);
    let template = family(worker).0;
    kill(template);
    dead(&[template]).await;
    kill(worker);
    let exit = tokio::time::timeout(support::PATIENCE, instance.exit).await;
    let exit = exit.unwrap();
    assert!(exit.reason.contains("nobody was left"), "{exit:?}");
    dead(&[child]).await;
    runner.idle().await;
}

#[tokio::test]
async fn a_template_that_dies_with_an_order_in_its_hands_is_replaced_and_nobody_is_blamed() {
    let machine = machine();
    let runner = Arc::new(machine.runner());
    let first = load(&runner, forked(1, "")).await.unwrap();
    // More often than a template would be forgiven.
    for version in 2..=5 {
        let template = runner.workers().templates()[0].process;
        let before = connections(template);
        signal(template, Signal::STOP);
        let (job, notes) = noting(forked(version, ""));
        let asking = Arc::clone(&runner);
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move { load(&asking, job).await.unwrap() });
        eventually(|| (connections(template) > before).then_some(())).await;
        signal(template, Signal::KILL);
        let next = tasks.join_next().await.unwrap().unwrap();
        assert_eq!(codes(&notes), [""; 0]);
        let told = log(&runner, version, LogKind::Worker);
        assert!(
            told.contains("a fork of template") && !told.contains("-m uvicorn"),
            "{told}"
        );
        next.stop.stop().await;
    }
    first.stop.stop().await;
    runner.idle().await;
}

#[tokio::test]
async fn a_worker_whose_template_dies_as_it_forks_is_known_all_the_same() {
    let machine = machine();
    on_import(
        &machine,
        "import os, signal
fork = os.fork
def fork_and_die():
    process = fork()
    if process:
        # Until then the worker goes with the template's group.
        while os.getpgid(process) != process:
            pass
        os.kill(os.getpid(), signal.SIGKILL)
    return process
os.fork = fork_and_die",
    );
    let runner = machine.runner();
    let (job, notes) = noting(forked(1, ""));
    let instance = load(&runner, job).await.unwrap();
    assert_eq!(codes(&notes), [""; 0]);
    assert!(is_forked(&runner));
    instance.stop.stop().await;
    runner.idle().await;
}

#[tokio::test]
async fn packages_that_are_being_installed_are_nobodys_fault() {
    let machine = machine();
    let packages = machine.path("packages");
    on_import(
        &machine,
        &format!(
            "import os, pathlib; (pathlib.Path({packages:?}) / f'{{os.getpid()}}.dist-info').mkdir()"
        ),
    );
    let runner = machine.runner();
    let (job, notes) = noting(forked(1, ""));
    let prepared = runner.prepare(job).await.unwrap();
    for time in 1..=4 {
        let instance = prepared.load(ReplicaId(0)).await.unwrap();
        assert!(!is_forked(&runner));
        assert_eq!(codes(&notes), vec!["TEMPLATE_STALE"; time]);
        instance.stop.stop().await;
    }
    on_import(&machine, "");
    let instance = prepared.load(ReplicaId(0)).await.unwrap();
    assert!(is_forked(&runner));
    instance.stop.stop().await;
    runner.idle().await;
}

#[tokio::test]
async fn where_no_fork_gets_ready_a_process_of_its_own_does_and_it_is_told_why() {
    let mut machine = machine();
    machine.config.warm_up_timeout = Duration::from_secs(1);
    let runner = machine.runner();
    for (mode, code) in [
        ("dies in a fork", "FORK_DIED"),
        ("never scores in a fork", "FORK_NOT_READY"),
    ] {
        let (job, notes) = noting(forked(1, mode));
        let prepared = runner.prepare(job).await.unwrap();
        let instance = prepared.load(ReplicaId(0)).await.unwrap();
        assert_eq!(codes(&notes), [code], "{mode}");
        assert!(!is_forked(&runner));
        instance.stop.stop().await;
        // That version is not forked again.
        let instance = prepared.load(ReplicaId(1)).await.unwrap();
        assert_eq!(codes(&notes), [code], "{mode}");
        instance.stop.stop().await;
    }
    runner.idle().await;
}

#[tokio::test]
async fn a_fork_that_says_nothing_is_given_up_in_time_for_a_process_of_its_own() {
    let mut machine = machine();
    // A third of it is waited for.
    machine.config.start_timeout = Duration::from_secs(48);
    let told = machine.path("told");
    let runner = machine.runner();
    let words = serde_json::json!({ "MODE": "silent in a fork if told", "TOLD": told }).to_string();
    let words = [("launcher", "template"), ("environment", words.as_str())];
    // What is judged later is not the start of the template.
    let first = load(&runner, job(1, &words)).await.unwrap();
    eventually(|| runner.workers().templates().pop()).await;
    std::fs::write(told, "").unwrap();
    let (job, notes) = noting(job(2, &words));
    let second = load(&runner, job).await.unwrap();
    assert_eq!(codes(&notes), ["FORK_NOT_READY"]);
    let log = log(&runner, 2, LogKind::Worker);
    assert!(log.contains("-m uvicorn"), "{log}");
    first.stop.stop().await;
    second.stop.stop().await;
    runner.idle().await;
}

#[tokio::test]
async fn a_template_that_fails_again_and_again_is_given_up() {
    let machine = machine();
    std::fs::write(machine.path("no-template"), "").unwrap();
    let runner = machine.runner();
    for version in 1..=4 {
        let (job, notes) = noting(forked(version, ""));
        let instance = load(&runner, job).await.unwrap();
        let expected: &[&str] = if version < 4 {
            &["TEMPLATE_NOT_STARTED"]
        } else {
            &[]
        };
        assert_eq!(codes(&notes), expected, "{version}");
        instance.stop.stop().await;
    }
    std::fs::remove_file(machine.path("no-template")).unwrap();
    let instance = load(&runner, forked(1, "")).await.unwrap();
    assert!(!is_forked(&runner));
    instance.stop.stop().await;
}

#[tokio::test]
async fn a_template_that_is_slow_to_start_goes_on_and_is_there_for_the_next_worker() {
    let mut machine = machine();
    // A third of it is waited for.
    machine.config.start_timeout = Duration::from_secs(45);
    std::fs::write(machine.path("slow-template"), "").unwrap();
    let runner = machine.runner();
    // More than a template would be forgiven.
    let (jobs, notes): (Vec<_>, Vec<_>) =
        (1..=4).map(|version| noting(forked(version, ""))).unzip();
    let mut prepared = Vec::new();
    for job in jobs {
        prepared.push(runner.prepare(job).await.unwrap());
    }
    let mut early = tokio::task::JoinSet::new();
    for version in prepared.clone() {
        early.spawn(async move { version.load(ReplicaId(0)).await.unwrap() });
    }
    let early = early.join_all().await;
    for notes in &notes {
        assert_eq!(codes(notes), ["TEMPLATE_NOT_READY"]);
    }
    assert!(!is_forked(&runner));
    std::fs::remove_file(machine.path("slow-template")).unwrap();
    let started = eventually(|| runner.workers().templates().pop()).await;
    let late = prepared[0].load(ReplicaId(1)).await.unwrap();
    assert!(is_forked(&runner));
    assert_eq!(machine.pid("template-pid").await, started.process);
    assert_eq!(codes(&notes[0]).len(), 1);
    for instance in early.into_iter().chain([late]) {
        instance.stop.stop().await;
    }
    runner.idle().await;
    let path = format!("data/logs/templates/{}/template.log", started.key);
    let told = std::fs::read_to_string(machine.path(&path)).unwrap();
    assert_eq!(told.matches("--- template started at").count(), 1, "{told}");
}

#[tokio::test]
async fn a_start_of_a_template_outlives_the_worker_that_asked_for_it_and_ends_with_the_runner() {
    let machine = machine();
    std::fs::write(machine.path("slow-template"), "").unwrap();
    let runner = Arc::new(machine.runner());
    let mut tasks = tokio::task::JoinSet::new();
    let starting = Arc::clone(&runner);
    tasks.spawn(async move { load(&starting, forked(1, "")).await.map(drop) });
    let template = machine.pid("template-pid").await;
    tasks.shutdown().await;
    // Whoever comes now waits for that one.
    let starting = Arc::clone(&runner);
    tasks.spawn(async move { load(&starting, forked(1, "")).await.map(drop) });
    let begun = || {
        log(&runner, 1, LogKind::Worker)
            .matches("attempt at")
            .count()
    };
    eventually(|| (begun() == 2).then_some(())).await;
    assert!(is_alive(template));
    tasks.shutdown().await;
    runner.idle().await;
    dead(&[template]).await;
}

#[tokio::test]
async fn a_model_that_fails_in_any_way_says_so_and_the_template_is_not_blamed() {
    let machine = machine();
    let runner = machine.runner();
    for _ in 0..4 {
        let (job, notes) = noting(forked(1, "raises"));
        let Err(error) = load(&runner, job).await else {
            panic!("it was started");
        };
        assert_eq!(error.retry, Retry::Never);
        assert!(
            error.message.ends_with("ValueError: a broken model"),
            "{error}"
        );
        assert_eq!(codes(&notes), [""; 0]);
    }
    let told = log(&runner, 1, LogKind::Worker);
    let last = told.lines().rfind(|line| line.contains("attempt at"));
    assert!(last.unwrap().contains("-m uvicorn"), "{told}");
    let forks = told.matches("a fork of template").count();
    assert!(forks > 1, "it was tried each time: {told}");
    runner.idle().await;
}

#[tokio::test]
async fn a_model_that_raises_where_others_of_its_kind_were_ready_is_not_tried_twice() {
    let machine = machine();
    let told = machine.path("told");
    let runner = machine.runner();
    let words = serde_json::json!({ "MODE": "raises if told", "TOLD": told }).to_string();
    let words = [("launcher", "template"), ("environment", words.as_str())];
    let instance = load(&runner, job(1, &words)).await.unwrap();
    std::fs::write(told, "").unwrap();
    let Err(error) = load(&runner, job(2, &words)).await else {
        panic!("it was started");
    };
    assert_eq!(error.retry, Retry::Never);
    assert_eq!(
        &*error.message,
        "the worker ended while it started (exit code 1): ValueError: a broken model"
    );
    let log = log(&runner, 2, LogKind::Worker);
    assert_eq!(log.matches("attempt at").count(), 1, "{log}");
    assert!(log.contains("a fork of template"), "{log}");
    instance.stop.stop().await;
    runner.idle().await;
}
