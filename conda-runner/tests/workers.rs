//! Workers that are scripts: they answer, they are warm, they see nothing they should not, and they go whole.

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

#[expect(dead_code, reason = "another test file uses the rest")]
mod support;

use std::sync::Arc;
use std::time::Duration;

use conda_runner::LogKind;
use serving_core::{LoadError, Loader, ReplicaId, Retry, ServableId, Version};
use support::{EXAMPLE, Machine, dead, get, is_alive, job, log, socket, start, write};
use tokio::task::JoinSet;

async fn refused(machine: &Machine, mode: &str) -> LoadError {
    let Err(error) = start(&machine.runner(), mode).await else {
        panic!("a worker of mode {mode:?} was started");
    };
    error
}

/// Words for a worker that has a deaf grandchild and tells both ids.
fn with_pids(machine: &Machine) -> String {
    let pids = machine.path("pids");
    std::fs::create_dir_all(&pids).unwrap();
    format!("{{\"PIDS\": {:?}}}", pids.display().to_string())
}

#[tokio::test]
async fn a_worker_is_offered_when_it_answers_and_has_scored_its_example_once() {
    let machine = Machine::new();
    let runner = machine.runner();
    let instance = start(&runner, "").await.unwrap();
    assert_eq!(instance.servable.mlflow_version, "3.17.2");
    assert_eq!(instance.servable.keep_alive, Duration::from_secs(75));
    let scored = get(socket(&instance.servable), "/scored").await;
    assert_eq!(scored, serde_json::json!([["application/json", EXAMPLE]]));
    instance.stop.stop().await;
}

#[tokio::test]
async fn warm_up_can_be_switched_off() {
    let machine = Machine::new();
    let runner = machine.runner();
    let prepared = runner
        .prepare(job(1, &[("warm_up", "false")]))
        .await
        .unwrap();
    let instance = prepared.load(ReplicaId(0)).await.unwrap();
    assert_eq!(
        get(socket(&instance.servable), "/scored").await,
        serde_json::json!([])
    );
    instance.stop.stop().await;
}

#[tokio::test]
async fn a_worker_sees_a_clean_environment_with_its_own_words() {
    let machine = Machine::new();
    let runner = machine.runner();
    let words = "{\"OMP_NUM_THREADS\": \"1\", \"PYTHONDONTWRITEBYTECODE\": \"1\", \"UVICORN_UDS\": \"/tmp/x\"}";
    let prepared = runner
        .prepare(job(1, &[("environment", words)]))
        .await
        .unwrap();
    let instance = prepared.load(ReplicaId(0)).await.unwrap();
    let seen = get(socket(&instance.servable), "/environment").await;
    let variables = &seen["variables"];
    assert_eq!(variables["OMP_NUM_THREADS"], "1");
    assert_eq!(variables["MLFLOW_DISABLE_TELEMETRY"], "true");
    assert_eq!(
        variables["UVICORN_UDS"],
        socket(&instance.servable).display().to_string()
    );
    let path = variables["PATH"].as_str().unwrap();
    assert!(
        path.starts_with(&format!("{}:", machine.path("env/bin").display())),
        "{path}"
    );
    // The test's own environment has this one, its configuration does not pass it on.
    for name in [
        "MLFLOW_TRACKING_TOKEN",
        "PYTHONDONTWRITEBYTECODE",
        "CARGO_MANIFEST_DIR",
    ] {
        assert_eq!(variables.get(name), None, "{name}");
    }
    assert_eq!(
        seen["cwd"],
        socket(&instance.servable)
            .parent()
            .unwrap()
            .display()
            .to_string()
    );
    instance.stop.stop().await;
}

#[tokio::test]
async fn a_stopped_worker_goes_whole_with_its_socket() {
    let mut machine = Machine::new();
    machine.config.stop_grace = Duration::from_millis(300);
    let words = with_pids(&machine);
    let runner = machine.runner();
    let prepared = runner
        .prepare(job(1, &[("environment", &words)]))
        .await
        .unwrap();
    let instance = prepared.load(ReplicaId(0)).await.unwrap();
    let members = [
        machine.pid("pids/worker").await,
        machine.pid("pids/grandchild").await,
    ];
    assert!(members.iter().all(|pid| is_alive(*pid)));
    let socket = socket(&instance.servable).to_owned();
    instance.stop.stop().await;
    dead(&members).await;
    assert!(!socket.parent().unwrap().exists());
}

#[tokio::test]
async fn a_worker_is_asked_before_it_is_killed_and_its_last_words_are_kept() {
    let machine = Machine::new();
    let runner = machine.runner();
    let instance = start(&runner, "lets requests end").await.unwrap();
    instance.stop.stop().await;
    assert!(log(&runner, 1, LogKind::Worker).ends_with("last words\n"));
}

#[tokio::test]
async fn dropping_an_instance_kills_all_of_it() {
    let machine = Machine::new();
    let words = with_pids(&machine);
    let runner = machine.runner();
    let prepared = runner
        .prepare(job(1, &[("environment", &words)]))
        .await
        .unwrap();
    let instance = prepared.load(ReplicaId(0)).await.unwrap();
    let members = [
        machine.pid("pids/worker").await,
        machine.pid("pids/grandchild").await,
    ];
    drop(instance);
    runner.idle().await;
    dead(&members).await;
}

#[tokio::test]
async fn an_abandoned_start_is_killed() {
    let machine = Machine::new();
    let runner = Arc::new(machine.runner());
    let words = with_pids(&machine).replace('}', ", \"MODE\": \"silent\"}");
    let mut tasks = JoinSet::new();
    let starting = Arc::clone(&runner);
    tasks.spawn(async move {
        let prepared = starting.prepare(job(1, &[("environment", &words)])).await?;
        prepared.load(ReplicaId(0)).await.map(drop)
    });
    let worker = machine.pid("pids/worker").await;
    tasks.shutdown().await;
    runner.idle().await;
    dead(&[worker]).await;
}

#[tokio::test]
async fn a_death_is_told_with_its_reason_and_its_last_lines_and_takes_the_group_along() {
    let machine = Machine::new();
    let words = with_pids(&machine);
    let runner = machine.runner();
    let prepared = runner
        .prepare(job(1, &[("environment", &words)]))
        .await
        .unwrap();
    let instance = prepared.load(ReplicaId(0)).await.unwrap();
    let (worker, grandchild) = (
        machine.pid("pids/worker").await,
        machine.pid("pids/grandchild").await,
    );
    let pid = rustix::process::Pid::from_raw(i32::try_from(worker).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let exit = instance.exit.await;
    assert_eq!(&*exit.reason, "killed by signal 9 (SIGKILL)");
    assert_eq!(exit.last_lines, ["worker of mode ''"]);
    dead(&[grandchild]).await;
}

#[tokio::test]
async fn a_model_that_raises_on_load_is_a_permanent_error_that_says_why() {
    let error = refused(&Machine::new(), "raises").await;
    assert_eq!(error.retry, Retry::Never);
    assert!(
        error.message.ends_with("ValueError: a broken model"),
        "{error}"
    );
    assert_eq!(
        error.last_lines.last().unwrap(),
        "ValueError: a broken model"
    );
}

#[tokio::test]
async fn somebody_else_who_answers_is_a_permanent_error() {
    let error = refused(&Machine::new(), "stranger").await;
    assert_eq!(error.retry, Retry::Never);
    assert!(error.message.contains("9.9.9"), "{error}");
}

#[tokio::test]
async fn a_worker_that_never_answers_is_given_up_and_killed() {
    let mut machine = Machine::new();
    // Long enough for Python to begin, on a machine with more to do.
    machine.config.start_timeout = Duration::from_secs(2);
    let error = refused(&machine, "silent").await;
    assert_eq!(error.retry, Retry::Later);
    assert!(error.message.contains("did not answer"), "{error}");
    assert_eq!(error.last_lines, ["worker of mode 'silent'"]);
}

#[tokio::test]
async fn an_example_that_takes_too_long_is_noted_and_no_failure() {
    let mut machine = Machine::new();
    machine.config.warm_up_timeout = Duration::from_millis(300);
    let runner = machine.runner();
    let instance = start(&runner, "never scores").await.unwrap();
    instance.stop.stop().await;
    let told = log(&runner, 1, LogKind::Worker);
    assert!(told.contains("it was not answered within"), "{told}");
}

#[tokio::test]
async fn a_worker_starts_although_the_folder_of_sockets_was_removed() {
    let machine = Machine::new();
    let runner = machine.runner();
    let prepared = runner.prepare(job(1, &[])).await.unwrap();
    std::fs::remove_dir_all(machine.path("data/sockets")).unwrap();
    let instance = prepared.load(ReplicaId(0)).await.unwrap();
    instance.stop.stop().await;
}

#[tokio::test]
async fn an_example_that_is_refused_is_noted_and_no_failure() {
    let machine = Machine::new();
    let runner = machine.runner();
    let instance = start(&runner, "wrong example").await.unwrap();
    instance.stop.stop().await;
    let told = log(&runner, 1, LogKind::Worker);
    assert!(
        told.contains("could not be scored") && told.contains("no such column"),
        "{told}"
    );
}

#[tokio::test]
async fn a_worker_that_dies_of_its_example_is_a_failure() {
    let error = refused(&Machine::new(), "dies of the example").await;
    assert!(error.message.contains("exit code 7"), "{error}");
    assert_eq!(
        error.last_lines.last().unwrap(),
        "Fatal Python error: Segmentation fault"
    );
}

#[tokio::test]
async fn the_worker_log_has_a_header_for_each_attempt_and_takes_notes() {
    let machine = Machine::new();
    let runner = machine.runner();
    let instance = start(&runner, "").await.unwrap();
    runner.files().note(
        &ServableId::new("iris", Version(1)),
        "a trace from elsewhere\n",
    );
    instance.stop.stop().await;
    let told = log(&runner, 1, LogKind::Worker);
    let lines: Vec<&str> = told.lines().collect();
    assert!(
        lines[0].starts_with("--- attempt at 2") && lines[0].contains(", replica 0, "),
        "{told}"
    );
    assert!(lines[0].contains("-m mlflow models serve -m "), "{told}");
    assert!(
        lines.contains(&"worker of mode ''") && lines.contains(&"a trace from elsewhere"),
        "{told}"
    );
}

#[tokio::test]
async fn a_direct_worker_is_the_server_that_mlflow_would_start_and_sees_the_same() {
    let machine = Machine::new();
    let runner = machine.runner();
    let mut seen = Vec::new();
    for launcher in ["mlflow-serve", "direct"] {
        let prepared = runner
            .prepare(job(1, &[("launcher", launcher)]))
            .await
            .unwrap();
        let instance = prepared.load(ReplicaId(0)).await.unwrap();
        assert_eq!(instance.servable.keep_alive, Duration::from_secs(75));
        let mut variables =
            get(socket(&instance.servable), "/environment").await["variables"].take();
        let variables = variables.as_object_mut().unwrap();
        // Each worker has a folder of its own.
        let own = socket(&instance.servable).parent().unwrap().display();
        let own = own.to_string();
        variables.retain(|_, value| !value.as_str().unwrap().contains(&own));
        seen.push(variables.clone());
        instance.stop.stop().await;
    }
    let model = seen[1].remove("__pyfunc_model_path__").unwrap();
    let model = model.as_str().unwrap().strip_prefix("file://").unwrap();
    assert!(
        std::path::Path::new(model).join("MLmodel").exists(),
        "{model}"
    );
    let timeout = seen[1].remove("MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT");
    assert_eq!(timeout.unwrap(), "86400");
    assert_eq!(seen[0], seen[1]);
    let told = log(&runner, 1, LogKind::Worker);
    let direct = "-m uvicorn --host 127.0.0.1 --workers 1 mlflow.pyfunc.scoring_server.app:app ---";
    assert!(told.contains(direct), "{told}");
}

#[tokio::test]
async fn an_interpreter_that_is_not_there_or_not_configured_says_what_to_do() {
    let mut machine = Machine::new();
    write(&machine.path("no-python"), "");
    for python in [
        None,
        Some("relative/python".into()),
        Some(machine.path("nowhere")),
        Some(machine.path("no-python")),
    ] {
        machine.config.python = python.clone();
        let error = refused(&machine, "").await;
        assert_eq!(error.retry, Retry::Never, "{python:?}");
    }
}
