//! Building environments with a scripted uv, venv and pip: once, whole or not at all, and with errors that say what to do.

#[expect(dead_code, reason = "another test file uses the rest")]
mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use conda_runner::{EnvManager, FetchedModel, LogKind};
use serving_core::{LoadError, LoadJob, Loader, Progress, ReplicaId, Retry};
use support::builds::{all_calls, calls, end, environments, machine, only_environment, staging};
use support::{Machine, Models, dead, eventually, get, is_alive, job, log, program, socket, write};
use tokio::task::JoinSet;

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
    only_environment(&machine);
    let built = |version| log(&runner, version, LogKind::Build).contains("building environment");
    assert_eq!((1..=20).filter(|version| built(*version)).count(), 1);
}

#[tokio::test]
async fn what_one_flavour_lacks_is_no_trouble_of_others_with_the_same_requirements() {
    let machine = machine();
    write(&machine.path("lacks-xgboost"), "");
    let runner = Arc::new(machine.runner_of(Models {
        mlmodel: Box::new(|source| {
            let flavour = if source == "1" { "xgboost" } else { "sklearn" };
            let loader = format!("{{loader_module: mlflow.{flavour}}}");
            support::MLMODEL.replace("python_function: {}", &format!("python_function: {loader}"))
        }),
        ..Models::default()
    }));
    write(&machine.path("hang"), "");
    let mut wishes = JoinSet::new();
    for version in [1, 2] {
        let building = Arc::clone(&runner);
        wishes.spawn(async move { (version, building.prepare(job(version, &[])).await.map(drop)) });
    }
    let installer = machine.pid("pid").await;
    std::fs::remove_file(machine.path("hang")).unwrap();
    end(installer);
    let mut outcomes = wishes.join_all().await;
    outcomes.sort_by_key(|(version, _)| *version);
    let [(_, first), (_, second)] = outcomes.try_into().unwrap();
    let error = first.unwrap_err();
    assert_eq!(error.code.as_deref(), Some("IMPORT_FAILED"), "{error}");
    assert!(error.message.contains("xgboost"), "{error}");
    second.unwrap();
    assert_eq!(calls(&machine, "venv"), 1);

    // What was found out is not asked again, what was not is.
    write(&machine.path("lacks-sklearn"), "");
    std::fs::remove_file(machine.path("lacks-xgboost")).unwrap();
    for version in [1, 2] {
        runner.prepare(job(version, &[])).await.unwrap();
    }
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
    let built = only_environment(&machine).display().to_string();
    let path = seen["variables"]["PATH"].as_str().unwrap();
    assert!(path.starts_with(&format!("{built}/bin:")), "{path}");
    assert_eq!(seen["variables"]["VIRTUAL_ENV"], built);
    instance.stop.stop().await;
}

#[tokio::test]
async fn each_manager_has_an_environment_of_its_own_for_the_same_model() {
    let machine = machine();
    let runner = machine.runner();
    for manager in ["uv", "virtualenv", "uv", "virtualenv"] {
        let words = [("env_manager", manager)];
        runner.prepare(job(1, &words)).await.unwrap();
    }
    assert_eq!(environments(&machine).len(), 2);
    assert_eq!(calls(&machine, "venv"), 2);
    // uv makes one of them, the interpreter's own venv the other.
    assert_eq!(calls(&machine, "venv --relocatable"), 1);
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
    assert_eq!(staging(&machine), BTreeSet::new());

    std::fs::remove_file(machine.path("hang")).unwrap();
    assert!(runner.prepare(job(1, &[])).await.is_ok());
    only_environment(&machine);
}

#[tokio::test]
async fn who_joins_a_build_sees_its_steps_and_keeps_it_going_when_its_first_version_is_given_up() {
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
    let sees = |step: &Option<Arc<str>>| step.as_deref() == Some("installing Python packages");
    steps.wait_for(sees).await.unwrap();
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
    let python = only_environment(&machine).join("bin/python");
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
async fn without_uv_the_interpreters_own_venv_and_pip_build_the_same() {
    let mut machine = machine();
    std::fs::remove_file(machine.path("tools/uv")).unwrap();
    machine.config.uv = None;
    let path = machine
        .config
        .inherited_environment
        .iter_mut()
        .find(|(name, _)| name == "PATH")
        .unwrap();
    let has_no_uv = |folder: &&str| !Path::new(folder).join("uv").exists();
    let folders: Vec<&str> = path.1.split(':').filter(has_no_uv).collect();
    path.1 = folders.join(":");
    machine.runner().prepare(job(1, &[])).await.unwrap();
    only_environment(&machine);
    assert_eq!(calls(&machine, "venv --relocatable"), 0);
}

#[tokio::test]
async fn builds_keep_their_caches_in_the_data_folder_and_see_no_packages_of_the_home_folder() {
    let mut machine = machine();
    machine.runner().prepare(job(1, &[])).await.unwrap();
    let seen = |machine: &Machine| std::fs::read_to_string(machine.path("seen")).unwrap();
    let cache = |name: &str| {
        machine
            .path("data/packages")
            .join(name)
            .display()
            .to_string()
    };
    let expected = format!("{} {} 1\n", cache("uv"), cache("pip"));
    assert_eq!(seen(&machine), expected);

    std::fs::remove_dir_all(machine.path("data/environments")).unwrap();
    let own = ("UV_CACHE_DIR".to_owned(), "/own".to_owned());
    machine.config.build_environment.push(own);
    machine.runner().prepare(job(1, &[])).await.unwrap();
    assert!(seen(&machine).starts_with("/own "));
}

#[tokio::test]
async fn requirements_without_a_solution_are_a_permanent_error_with_uvs_own_words() {
    let machine = machine();
    let words = "  × No solution found when resolving dependencies:\n  ╰─▶ Because there is no version of numpy==99.1 and you require numpy==99.1, we can conclude that your requirements are unsatisfiable.";
    write(&machine.path("fail"), words);
    let error = refused(&machine).await;
    assert_eq!(error.retry, Retry::Never, "{error}");
    assert!(error.code.is_some(), "{error}");
    assert!(error.message.contains("numpy"), "{error}");
    let has_words = |line: &String| line.contains("numpy==99.1");
    assert!(error.last_lines.iter().any(has_words));
}

#[tokio::test]
async fn an_index_that_cannot_be_reached_is_worth_another_try() {
    let machine = machine();
    write(
        &machine.path("fail"),
        "error: Request failed after 3 retries\n  Caused by: Failed to fetch: `http://index/mlflow/`\n  Caused by: error sending request for url (http://index/mlflow/)\n",
    );
    let error = refused(&machine).await;
    assert_eq!(error.retry, Retry::Later, "{error}");
    assert_eq!(error.code.as_deref(), Some("NETWORK"), "{error}");
}

#[tokio::test]
async fn a_missing_patch_version_of_python_is_replaced_by_its_neighbour_and_noted() {
    let machine = machine();
    program(&machine.path("tools/python3.77"), &machine.python("3.77.9"));
    let runner = machine.runner();
    runner.prepare(job(1, &[])).await.unwrap();
    let told = log(&runner, 1, LogKind::Build);
    assert!(
        told.contains("Python 3.77.1 is not installed: taking 3.77.9"),
        "{told}"
    );
}

#[tokio::test]
async fn a_python_that_is_nowhere_to_be_had_is_explained() {
    let mut machine = machine();
    std::fs::remove_file(machine.path("tools/python3.77")).unwrap();
    machine.config.conda.channel_alias = format!("file://{}", machine.path("nowhere").display());
    for manager in [EnvManager::Uv, EnvManager::Virtualenv] {
        machine.config.env_manager = manager;
        let error = refused(&machine).await;
        assert!(
            error
                .message
                .starts_with("Python 3.77.1 is not installed, and could not be had from conda: "),
            "{error}"
        );
        assert!(error.code.is_some(), "{error}");
    }
}

#[cfg(feature = "conda")]
#[tokio::test]
async fn a_python_that_is_not_installed_comes_from_conda_once_for_all_who_need_it() {
    let mut machine = machine();
    std::fs::remove_file(machine.path("tools/python3.77")).unwrap();
    let mut channel = machine.with_channel();
    machine.add_python(&mut channel, "3.77.1");
    machine.config.env_manager = EnvManager::Uv;
    let runner = Arc::new(machine.runner_of(Models {
        requirements: Box::new(|source| format!("mlflow==3.17.2\nown-{source}==1\n")),
        ..Models::default()
    }));
    let mut wishes = JoinSet::new();
    for version in 1..=3 {
        let runner = Arc::clone(&runner);
        wishes.spawn(async move { runner.prepare(job(version, &[])).await.map(drop) });
    }
    for wish in wishes.join_all().await {
        wish.unwrap();
    }
    runner.idle().await;
    // Three that are made of a fourth one.
    let all = environments(&machine);
    assert_eq!(all.len(), 4);
    let marker = |path: &PathBuf| -> serde_json::Value {
        let text = std::fs::read_to_string(path.join(".sluicegate.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let bases: BTreeSet<String> = all
        .iter()
        .filter_map(|path| marker(path)["base"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(bases.len(), 1);
    let base = machine
        .path("data/environments")
        .join(bases.first().unwrap());
    assert!(all.contains(&base));

    // Without it they are worth nothing, and are built anew with it.
    std::fs::remove_dir_all(base).unwrap();
    runner.prepare(job(1, &[])).await.unwrap();
    assert_eq!(calls(&machine, "venv"), 4);
}

#[cfg(feature = "conda")]
#[tokio::test]
async fn of_a_python_that_conda_does_not_have_another_patch_is_taken_and_that_is_said() {
    let mut machine = machine();
    std::fs::remove_file(machine.path("tools/python3.77")).unwrap();
    let mut channel = machine.with_channel();
    machine.add_python(&mut channel, "3.77.9");
    machine.config.env_manager = EnvManager::Uv;
    let runner = machine.runner();
    runner.prepare(job(1, &[])).await.unwrap();
    let told = log(&runner, 1, LogKind::Build);
    let says = "Python 3.77.1 is not to be had from conda: taking another 3.77";
    assert!(told.contains(says), "{told}");
}

#[tokio::test]
async fn without_an_interpreter_env_manager_local_says_what_to_do() {
    let mut machine = machine();
    machine.config.env_manager = EnvManager::Local;
    for python in [None, Some(Path::new("python3").to_owned())] {
        machine.config.python = python;
        let error = refused(&machine).await;
        assert_eq!(error.code.as_deref(), Some("TOOL_MISSING"));
        assert!(
            error.message.contains("--python /path/to/python"),
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
    let told = all_calls(&machine);
    let constraints = machine.path("constraints.txt").display().to_string();
    assert!(
        told.contains(&format!("--constraint {constraints}")),
        "{told}"
    );
}

#[tokio::test]
async fn what_only_mlflows_client_can_read_is_downloaded_by_the_environments_own() {
    let machine = machine();
    write(&machine.path("template/MLmodel"), support::MLMODEL);
    write(
        &machine.path("template/python_env.yaml"),
        "python: 3.77.1\ndependencies: [-r requirements.txt]\n",
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
    eventually(|| staging(&machine).is_empty().then_some(())).await;
    only_environment(&machine);
}
