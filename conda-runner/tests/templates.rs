//! Workers that are forked from a template: they are as others are, and where that fails others take their place.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

#[expect(dead_code, reason = "another test file uses the rest")]
mod support;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use conda_runner::{CondaRunner, LogKind, Worker};
use rustix::process::{Pid, Signal, kill_process};
use serving_core::{Instance, LoadError, LoadJob, Loader, Note, Progress, ReplicaId, Retry};
use support::{
    EXAMPLE, MLMODEL, Machine, Models, dead, eventually, get, is_alive, job, log, socket,
};

/// One on which a fork gets ready in its part of the time for a start, whatever else the machine does: where none does
/// there is another worker, and these tests are about forks.
fn machine() -> Machine {
    let mut machine = Machine::new();
    machine.config.start_timeout = Duration::from_secs(180);
    machine
}

/// A version's worker by a template; its variables decide which.
fn forked(version: u64, mode: &str) -> LoadJob {
    let environment = format!("{{\"MODE\": {mode:?}}}");
    job(
        version,
        &[("launcher", "template"), ("environment", &environment)],
    )
}

async fn load(runner: &CondaRunner<Worker>, job: LoadJob) -> Result<Instance<Worker>, LoadError> {
    runner.prepare(job).await?.load(ReplicaId(0)).await
}

/// The same job; what is told of it is kept.
fn noting(job: LoadJob) -> (LoadJob, Arc<Mutex<Vec<Note>>>) {
    let notes = Arc::<Mutex<Vec<Note>>>::default();
    let kept = Arc::clone(&notes);
    let keep = move |note| kept.lock().unwrap().push(note);
    let progress = Progress::channel().0.with_notes(keep);
    (LoadJob { progress, ..job }, notes)
}

fn codes(notes: &Mutex<Vec<Note>>) -> Vec<String> {
    let notes = notes.lock().unwrap();
    let failed = notes.iter().filter(|note| &*note.kind == "fork_failed");
    failed
        .map(|note| serde_json::to_value(&note.about["code"]).unwrap())
        .map(|code| code.as_str().unwrap().to_owned())
        .collect()
}

/// What `/proc/…/stat` says of a process: its parent and its group.
fn family(process: u32) -> (u32, u32) {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<u32> = stat.rsplit_once(") ").unwrap().1[2..]
        .split_ascii_whitespace()
        .take(2)
        .map(|field| field.parse().unwrap())
        .collect();
    (fields[0], fields[1])
}

fn only_worker(runner: &CondaRunner<Worker>) -> u32 {
    let workers = runner.workers().list();
    assert_eq!(workers.len(), 1, "{workers:?}");
    workers[0].process
}

fn kill(process: u32) {
    signal(process, Signal::KILL);
}

fn signal(process: u32, signal: Signal) {
    let process = Pid::from_raw(process.cast_signed()).unwrap();
    kill_process(process, signal).unwrap();
}

/// How many sockets there are in a template's folder, those included that it has not accepted yet.
fn connections(template: u32) -> usize {
    let folder = std::fs::read_link(format!("/proc/{template}/cwd")).unwrap();
    let sockets = std::fs::read_to_string("/proc/net/unix").unwrap();
    sockets.matches(&format!("{}/", folder.display())).count()
}

/// Has templates run a program when they import the libraries of their workers.
fn on_import(machine: &Machine, program: &str) {
    support::write(&machine.path("packages/pandas.py"), program);
}

fn is_forked(runner: &CondaRunner<Worker>) -> bool {
    let told = log(runner, 1, LogKind::Worker);
    let last = told.lines().rfind(|line| line.contains("attempt at"));
    last.unwrap().contains("a fork of template")
}

#[tokio::test]
async fn a_fork_is_offered_when_it_answers_and_sees_what_a_direct_worker_sees() {
    let machine = machine();
    let runner = machine.runner();
    let words = r#"{"OWN": "words", "PYTHONHASHSEED": "0"}"#;
    let mut seen = Vec::new();
    for launcher in ["direct", "template"] {
        let job = job(1, &[("launcher", launcher), ("environment", words)]);
        let instance = load(&runner, job).await.unwrap();
        let scored = get(socket(&instance.servable), "/scored").await;
        assert_eq!(scored, serde_json::json!([["application/json", EXAMPLE]]));
        let own = socket(&instance.servable).parent().unwrap();
        let mut told = get(socket(&instance.servable), "/environment").await;
        assert_eq!(told["cwd"], own.display().to_string());
        let event_loop = told["event_loop"].take();
        let variables = told["variables"].as_object_mut().unwrap();
        let own = own.display().to_string();
        // What starts python3 here may be a wrapper with variables of its own, which a fork does not pass.
        variables.retain(|name, value| {
            !value.as_str().unwrap().contains(&own)
                && !name.contains("PYENV")
                && !["SEEN_PATH", "SHLVL", "LC_CTYPE", "_"].contains(&name.as_str())
        });
        seen.push((variables.clone(), event_loop));
        instance.stop.stop().await;
    }
    assert_eq!(seen[0], seen[1]);
    assert!(is_forked(&runner));
}

#[tokio::test]
async fn what_libraries_set_while_they_are_imported_is_set_in_a_fork_unless_somebody_chose() {
    let machine = machine();
    on_import(
        &machine,
        "import os
os.environ.setdefault('OF_A_LIBRARY', 'set')
os.environ.setdefault('UVICORN_UDS', 'nowhere')",
    );
    let runner = machine.runner();
    for (chosen, seen) in [(None, "set"), (Some("otherwise"), "otherwise")] {
        let words: serde_json::Map<_, _> = chosen
            .map(|word| ("OF_A_LIBRARY".to_owned(), word.into()))
            .into_iter()
            .collect();
        let words = serde_json::to_string(&words).unwrap();
        let job = job(1, &[("launcher", "template"), ("environment", &words)]);
        let instance = load(&runner, job).await.unwrap();
        let told = get(socket(&instance.servable), "/environment").await;
        assert_eq!(told["variables"]["OF_A_LIBRARY"], seen);
        assert!(is_forked(&runner));
        instance.stop.stop().await;
    }
    runner.idle().await;
}

#[tokio::test]
async fn workers_of_one_environment_are_forked_from_one_process_and_lead_groups_of_their_own() {
    let machine = machine();
    let runner = machine.runner();
    let (first, second) = tokio::join!(load(&runner, forked(1, "")), load(&runner, forked(2, "")));
    let other = load(&runner, forked(3, "other variables")).await.unwrap();
    let (first, second) = (first.unwrap(), second.unwrap());
    let workers: Vec<u32> = runner
        .workers()
        .list()
        .iter()
        .map(|one| one.process)
        .collect();
    let parents: Vec<u32> = workers.iter().map(|worker| family(*worker).0).collect();
    assert_eq!(parents[0], parents[1]);
    assert_ne!(parents[0], parents[2]);
    assert!(workers.iter().all(|worker| family(*worker).1 == *worker));
    for instance in [first, second, other] {
        instance.stop.stop().await;
    }
    runner.idle().await;
    dead(&parents).await;
}

#[tokio::test]
async fn a_stopped_fork_goes_whole_and_one_that_dies_says_how() {
    let mut machine = machine();
    machine.config.stop_grace = Duration::from_millis(300);
    let runner = machine.runner();
    let pids = machine.path("pids");
    std::fs::create_dir_all(&pids).unwrap();
    let words = format!("{{\"PIDS\": {:?}}}", pids.display().to_string());
    let words = [("launcher", "template"), ("environment", words.as_str())];
    let instance = load(&runner, job(1, &words)).await.unwrap();
    let members = [
        machine.pid("pids/worker").await,
        machine.pid("pids/grandchild").await,
    ];
    let place = socket(&instance.servable).parent().unwrap().to_owned();
    instance.stop.stop().await;
    dead(&members).await;
    assert!(!place.exists());

    std::fs::remove_file(pids.join("worker")).unwrap();
    std::fs::remove_file(pids.join("grandchild")).unwrap();
    let instance = load(&runner, job(1, &words)).await.unwrap();
    let (worker, grandchild) = (
        machine.pid("pids/worker").await,
        machine.pid("pids/grandchild").await,
    );
    kill(worker);
    let exit = instance.exit.await;
    assert_eq!(&*exit.reason, "killed by signal 9 (SIGKILL)");
    assert_eq!(exit.last_lines, ["worker of mode ''"]);
    dead(&[grandchild]).await;
    runner.idle().await;
}

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
async fn a_template_that_nobody_uses_ends_and_another_starts_when_it_is_needed() {
    let mut machine = machine();
    machine.config.template_idle = Duration::from_millis(200);
    let runner = machine.runner();
    let instance = load(&runner, forked(1, "")).await.unwrap();
    let template = family(only_worker(&runner)).0;
    instance.stop.stop().await;
    dead(&[template]).await;
    let instance = load(&runner, forked(1, "")).await.unwrap();
    let another = family(only_worker(&runner)).0;
    assert_ne!(another, template);
    // As long as it has a worker it is in use.
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(is_alive(another));
    instance.stop.stop().await;
    runner.idle().await;
    dead(&[another]).await;
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

#[tokio::test]
async fn what_is_installed_since_a_template_started_is_seen_by_the_next_worker() {
    let machine = machine();
    let packages = machine.path("packages");
    let package = |version: &str| packages.join(format!("one-{version}.dist-info"));
    std::fs::create_dir_all(package("1.0")).unwrap();
    let runner = machine.runner();
    let first = load(&runner, forked(1, "")).await.unwrap();
    let template = family(only_worker(&runner)).0;
    std::fs::rename(package("1.0"), package("1.1")).unwrap();
    let (job, notes) = noting(forked(2, ""));
    let second = load(&runner, job).await.unwrap();
    assert_eq!(codes(&notes), [""; 0]);
    let workers = runner.workers().list();
    let parents: Vec<u32> = workers
        .iter()
        .map(|worker| family(worker.process).0)
        .collect();
    assert_eq!(parents[0], template);
    assert_ne!(parents[1], template);
    // The older one ends with its last worker.
    first.stop.stop().await;
    dead(&[template]).await;
    second.stop.stop().await;
    runner.idle().await;
}

#[tokio::test]
async fn a_model_with_a_library_of_its_own_is_not_forked_where_another_of_that_name_is_imported() {
    let code: [(&'static [&'static str], &[&str]); 2] =
        [(&["sklearn.py"], &["FORK_UNSUITED"]), (&["helper.py"], &[])];
    for (code, expected) in code {
        let machine = machine();
        let package = machine.path("packages/sklearn");
        std::fs::create_dir_all(&package).unwrap();
        std::fs::write(package.join("__init__.py"), "").unwrap();
        let flavors = "{python_function: {code: code}, sklearn: {}}";
        let runner = machine.runner_of(Models {
            mlmodel: Box::new(|_| MLMODEL.replace("{python_function: {}}", flavors)),
            code,
            ..Models::default()
        });
        // More often than a template would be forgiven.
        for version in 1..=4 {
            let (job, notes) = noting(forked(version, ""));
            let instance = load(&runner, job).await.unwrap();
            assert_eq!(codes(&notes), expected, "{version}");
            instance.stop.stop().await;
        }
        runner.idle().await;
    }
}

#[tokio::test]
async fn templates_are_seen_with_their_workers_and_what_they_print_has_a_log_of_its_own() {
    let machine = machine();
    std::fs::create_dir_all(machine.path("packages")).unwrap();
    // It looks in further places from then on, as some do; that installs nothing.
    let further = machine.path("further");
    std::fs::create_dir_all(further.join("vendored-1.0.dist-info")).unwrap();
    let warmed = machine.path("packages/pandas.py");
    let program =
        format!("import sys; sys.path.append({further:?}); print('imported', flush=True)");
    std::fs::write(warmed, program).unwrap();
    let runner = machine.runner();
    let first = load(&runner, forked(1, "")).await.unwrap();
    let second = load(&runner, forked(2, "")).await.unwrap();
    let templates = runner.workers().templates();
    assert_eq!(templates.len(), 1, "{templates:?}");
    assert_eq!(templates[0].workers, 2);
    let worker = runner.workers().list()[0].process;
    assert_eq!(templates[0].process, family(worker).0);
    first.stop.stop().await;
    second.stop.stop().await;
    runner.idle().await;
    assert_eq!(runner.workers().templates(), []);
    let path = format!("data/logs/templates/{}/template.log", templates[0].key);
    let told = std::fs::read_to_string(machine.path(&path)).unwrap();
    assert!(told.contains("--- template started at"), "{told}");
    assert!(told.contains("imported"), "{told}");
    assert!(!log(&runner, 1, LogKind::Worker).contains("imported"));
}

#[tokio::test]
async fn an_abandoned_start_leaves_no_fork() {
    let machine = machine();
    let runner = Arc::new(machine.runner());
    let pids = machine.path("pids");
    std::fs::create_dir_all(&pids).unwrap();
    let words = format!(
        "{{\"PIDS\": {:?}, \"MODE\": \"silent\"}}",
        pids.display().to_string()
    );
    let mut tasks = tokio::task::JoinSet::new();
    let starting = Arc::clone(&runner);
    tasks.spawn(async move {
        let words = [("launcher", "template"), ("environment", words.as_str())];
        load(&starting, job(1, &words)).await.map(drop)
    });
    let worker = machine.pid("pids/worker").await;
    tasks.shutdown().await;
    dead(&[worker]).await;
    runner.idle().await;
}

#[tokio::test]
async fn the_templates_program_is_for_its_user_alone() {
    use std::os::unix::fs::PermissionsExt;
    let machine = machine();
    let runner = machine.runner();
    let instance = load(&runner, forked(1, "")).await.unwrap();
    let template = family(only_worker(&runner)).0;
    let folder = std::fs::read_link(format!("/proc/{template}/cwd")).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&folder.join("template.py")), 0o600);
    instance.stop.stop().await;
    runner.idle().await;
    assert!(!folder.exists());
}
