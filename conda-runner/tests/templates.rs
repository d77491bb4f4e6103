//! Workers that are forked from a template: they are as others are.
#![cfg(target_os = "linux")]

#[expect(dead_code, reason = "another test file uses the rest")]
mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use conda_runner::LogKind;
use support::templates::{
    codes, family, forked, is_forked, kill, load, machine, noting, on_import, only_worker,
};
use support::{EXAMPLE, MLMODEL, Models, dead, get, is_alive, job, log, socket};

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
