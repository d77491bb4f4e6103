//! Space: what is listed, what goes and what never does, and environments that are packed here and used there.

#![cfg(feature = "conda")]
#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

#[expect(dead_code, reason = "another test file uses the rest")]
mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use conda_runner::{
    CondaRunner, EnvManager, EnvironmentInfo, Kept, KeptBecause, LogKind, PruneWish, Pruned,
    RunnerEnvironments, SpaceError, Worker,
};
use serving_core::{Loader, Progress, ReplicaId, ServableId, Version};
use support::channel::{Channel, PLACEHOLDER, Package};
use support::{Machine, Models, eventually, job, log, write};

/// Two declarations, by the source of a version.
fn declared(source: &str) -> String {
    let tool = match source {
        "1" => "tool=1.0",
        _ => "tool=2.0",
    };
    format!("channels: [conda-forge]\ndependencies: [python=3.11, {tool}]\n")
}

/// A machine, and a channel with a Python and two versions of a `tool`.
fn machine() -> (Machine, Channel) {
    let mut machine = Machine::new();
    let mut channel = machine.with_channel();
    for version in ["1.0", "2.0"] {
        channel.add(&Package {
            name: "tool",
            version,
            depends: &["python"],
            files: vec![
                (
                    "bin/tool".to_owned(),
                    format!("#!{PLACEHOLDER}/bin/own-shell\necho \"{PLACEHOLDER} $0\"\n"),
                ),
                ("share/tool".to_owned(), version.repeat(1000)),
            ],
        });
    }
    (machine, channel)
}

fn runner(machine: &Machine) -> CondaRunner<Worker> {
    machine.runner_of(Models {
        conda: Box::new(declared),
        ..Models::default()
    })
}

/// As another process sees it.
fn beside(machine: &Machine) -> RunnerEnvironments {
    RunnerEnvironments::open(machine.config.clone()).unwrap()
}

fn id(version: u64) -> ServableId {
    ServableId::new("iris", Version(version))
}

async fn built(space: &RunnerEnvironments, machine: &Machine, source: &str) -> EnvironmentInfo {
    let folder = machine.path(&format!("declared-{source}"));
    write(&folder.join("conda.yaml"), &declared(source));
    let (progress, _steps) = Progress::channel();
    space
        .build(&folder, EnvManager::Conda, false, &progress)
        .await
        .unwrap()
}

async fn prune(space: &RunnerEnvironments, wish: PruneWish) -> Pruned {
    space.prune(&wish).await.unwrap()
}

/// The same where something goes. What tests beside this one start has our locks for the moment before it becomes another
/// program: what nobody uses any more may seem to be used.
async fn prune_something(space: &RunnerEnvironments, wish: PruneWish) -> Pruned {
    let asking = async {
        loop {
            let pruned = prune(space, wish.clone()).await;
            if !pruned.environments.is_empty() {
                return pruned;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let patience = Duration::from_secs(30);
    tokio::time::timeout(patience, asking).await.unwrap()
}

async fn keys(space: &RunnerEnvironments) -> Vec<String> {
    let all = space.list().await.unwrap();
    all.into_iter().map(|info| info.key).collect()
}

/// Names of everything that is unpacked in the cache.
fn packages(machine: &Machine) -> usize {
    let mut folders = vec![machine.path("data/packages")];
    let mut found = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path().join("info/index.json").exists() {
                found += 1;
            } else if entry.path().is_dir() {
                folders.push(entry.path());
            }
        }
    }
    found
}

#[tokio::test]
async fn who_only_looks_makes_no_data_folder_and_a_made_one_is_for_its_user_alone() {
    let (machine, _channel) = machine();
    let data = machine.path("data");
    let refused = RunnerEnvironments::open_existing(machine.config.clone()).unwrap_err();
    assert!(refused.to_string().contains("there is no data folder at"));
    assert!(!data.exists());
    beside(&machine);
    let mode = std::fs::metadata(&data).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let there = RunnerEnvironments::open_existing(machine.config.clone()).unwrap();
    assert_eq!(there.list().await.unwrap(), []);
}

#[tokio::test]
async fn every_process_sees_what_there_is_and_who_uses_it() {
    let (machine, _channel) = machine();
    let (runner, there) = (runner(&machine), beside(&machine));
    assert_eq!(there.list().await.unwrap(), []);
    let started = SystemTime::now();
    let first = runner.prepare(job(1, &[])).await.unwrap();
    let second = runner.prepare(job(2, &[])).await.unwrap();
    let third = runner.prepare(job(3, &[])).await.unwrap();
    for space in [&there, &runner.environments()] {
        // Both are in use now, so either may be first.
        let mut all = space.list().await.unwrap();
        all.sort_by(|one, other| other.used_by.cmp(&one.used_by));
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].used_by, [id(2), id(3)]);
        assert_eq!(all[1].used_by, [id(1)]);
        let info = &all[1];
        assert_eq!(info.manager, EnvManager::Conda);
        assert_eq!(info.mlflow.as_deref(), Some("3.17.2"));
        assert_eq!(info.python.as_deref(), Some("3.11.7"));
        assert!(!info.broken && info.base.is_none() && info.packages.is_empty());
        assert!(info.last_used >= info.built && info.built >= started);
        assert!(info.steps.iter().any(|step| step.step == "solving"));
        // Linked from the package cache.
        assert!(info.shared >= 3000 && info.size > info.shared, "{info:?}");
        let found = space.find(&info.key[..8]).await.unwrap();
        let packages = found.packages.iter();
        let names: Vec<_> = packages.map(|package| package.name.as_str()).collect();
        assert_eq!(names, ["python", "tool"]);
        assert!(
            space
                .build_log(&info.key[..8])
                .await
                .unwrap()
                .contains("[solving]")
        );
    }
    drop((second, third));
    let users = |all: Vec<EnvironmentInfo>| all.into_iter().flat_map(|info| info.used_by);
    let left: Vec<_> = users(there.list().await.unwrap()).collect();
    assert_eq!(left, [id(1)]);
    drop(first);
    assert!(
        there
            .list()
            .await
            .unwrap()
            .iter()
            .all(|info| info.used_by.is_empty())
    );
}

#[tokio::test]
async fn keys_that_are_unknown_or_ambiguous_are_refused() {
    let (machine, _channel) = machine();
    let space = beside(&machine);
    let key = built(&space, &machine, "1").await.key;
    let place = |key: &str| machine.path("data/environments").join(key);
    let twin = format!(
        "{}{}",
        &key[..31],
        if key.ends_with('0') { '1' } else { '0' }
    );
    std::fs::create_dir(place(&twin)).unwrap();
    std::fs::write(place(&twin).join(".sluicegate.json"), "{}").unwrap();
    for unknown in ["xyz", ""] {
        let error = space.find(unknown).await.unwrap_err();
        assert!(matches!(error, SpaceError::Unknown(_)), "{error}");
    }
    let error = space.find(&key[..8]).await.unwrap_err();
    let SpaceError::Ambiguous { candidates, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(candidates.len(), 2);
    assert_eq!(space.find(&key).await.unwrap().key, key);
    let wish = PruneWish {
        keys: vec![key.clone(), "xyz".to_owned()],
        ..PruneWish::default()
    };
    assert!(space.prune(&wish).await.is_err());
    assert_eq!(keys(&space).await.len(), 2);
}

#[tokio::test]
async fn pruning_takes_all_that_nobody_uses_with_its_packages_and_nothing_else() {
    let (machine, _channel) = machine();
    let (runner, there) = (runner(&machine), beside(&machine));
    drop(runner.prepare(job(1, &[])).await.unwrap());
    let used = runner.prepare(job(2, &[])).await.unwrap();
    runner.idle().await;
    let [second, first] = <[String; 2]>::try_from(keys(&there).await).unwrap();
    assert_eq!(packages(&machine), 3);
    let dry = PruneWish {
        dry_run: true,
        ..PruneWish::default()
    };
    let would = prune(&there, dry).await;
    assert_eq!(would.environments, std::slice::from_ref(&first));
    assert_eq!(keys(&there).await.len(), 2);
    let recent = PruneWish {
        unused_for: Some(Duration::from_secs(3600)),
        ..PruneWish::default()
    };
    assert_eq!(prune(&there, recent).await, Pruned::default());
    let named = PruneWish {
        keys: vec![second[..8].to_owned()],
        ..PruneWish::default()
    };
    let kept = prune(&there, named.clone()).await;
    let stays = Kept {
        key: second.clone(),
        reasons: vec![KeptBecause::UsedBy(vec![id(2)])],
    };
    assert_eq!(kept.in_use, [stays]);

    let pruned = prune_something(&there, PruneWish::default()).await;
    assert_eq!(pruned, would);
    assert!(pruned.freed > 3000, "{pruned:?}");
    assert_eq!(keys(&there).await, std::slice::from_ref(&second));
    // Python, and the tool that is used.
    assert_eq!(packages(&machine), 2);
    drop(used);
    assert_eq!(prune_something(&there, named).await.environments, [second]);
    assert_eq!(packages(&machine), 0);
    assert_eq!(keys(&there).await.len(), 0);
    // What was chosen is still known.
    let locks = std::fs::read_dir(machine.path("data/locks")).unwrap();
    assert_eq!(locks.count(), 2);
    drop(runner.prepare(job(1, &[])).await.unwrap());
    assert_eq!(keys(&there).await, [first]);
}

#[tokio::test]
async fn a_worker_keeps_its_environment_also_when_its_version_was_prepared_anew() {
    let (machine, _channel) = machine();
    let (runner, there) = (runner(&machine), beside(&machine));
    let prepared = runner.prepare(job(1, &[])).await.unwrap();
    let instance = prepared.load(ReplicaId(0)).await.unwrap();
    drop(prepared);
    assert_eq!(there.list().await.unwrap()[0].used_by, [id(1)]);
    assert_eq!(prune(&there, PruneWish::default()).await, Pruned::default());
    instance.stop.stop().await;
    runner.idle().await;
    let pruned = prune_something(&there, PruneWish::default()).await;
    assert_eq!(pruned.environments.len(), 1);
}

#[tokio::test]
async fn a_quota_is_kept_after_each_build_and_what_is_in_use_stays() {
    let (mut machine, _channel) = machine();
    machine.config.space.environments = Some(1);
    machine.config.space.models = Some(1);
    let runner = runner(&machine);
    let first = runner.prepare(job(1, &[])).await.unwrap();
    let models = || std::fs::read_dir(machine.path("data/models")).unwrap();
    let models = || {
        let names = models().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names
            .filter(|name| !name.starts_with('.'))
            .collect::<Vec<_>>()
    };
    let second = runner.prepare(job(2, &[])).await.unwrap();
    assert_eq!(keys(&runner.environments()).await.len(), 2);
    assert_eq!(models().len(), 2);
    // What is still being compiled is in use.
    runner.idle().await;
    drop(first);
    // Compiling uses an environment as well; only the tick would look again after it.
    runner.environments().idle().await;
    let again = runner.prepare(job(2, &[])).await.unwrap();
    eventually(|| (models().len() == 1).then_some(())).await;
    assert!(models()[0].starts_with("iris-2-"));
    // That may have been an earlier pass, which still saw the first version's environment in use.
    let environments = || {
        let entries = std::fs::read_dir(machine.path("data/environments")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name());
        names
            .filter(|name| !name.as_encoded_bytes().starts_with(b"."))
            .count()
    };
    eventually(|| (environments() == 1).then_some(())).await;
    runner.idle().await;
    let left = runner.environments().list().await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].used_by, [id(2)]);
    drop((second, again));
}

#[tokio::test]
async fn to_a_size_the_least_recently_used_go_first() {
    let (machine, _channel) = machine();
    let space = beside(&machine);
    let first = built(&space, &machine, "1").await;
    let second = built(&space, &machine, "2").await;
    // Wanted again, so it is not the first to go.
    assert_eq!(built(&space, &machine, "1").await.key, first.key);
    space.idle().await;
    let all = PruneWish {
        to_size: Some(u64::MAX),
        ..PruneWish::default()
    };
    assert_eq!(prune(&space, all).await, Pruned::default());
    let total = first.size + second.size;
    let wish = PruneWish {
        to_size: Some(total - 1000),
        ..PruneWish::default()
    };
    let pruned = prune(&space, wish).await;
    assert_eq!(pruned.environments, [second.key]);
    assert_eq!(keys(&space).await, [first.key]);
}

#[tokio::test]
async fn what_older_versions_left_and_what_is_broken_is_listed_and_can_go() {
    let (machine, _channel) = machine();
    let space = beside(&machine);
    let add = |digit: &str, marker: &str, has_python: bool| {
        let place = machine.path("data/environments").join(digit.repeat(32));
        write(&place.join(".sluicegate.json"), marker);
        if has_python {
            write(&place.join("bin/python"), "");
        }
    };
    let old = r#"{"mlflow": "3.17.2", "server": "uvicorn", "module": "mlflow"}"#;
    add("a", old, true);
    add("b", old, false);
    add("c", "no JSON", true);
    let mut all = space.list().await.unwrap();
    all.sort_by(|one, other| one.key.cmp(&other.key));
    let seen: Vec<_> = all
        .iter()
        .map(|info| (info.broken, info.manager, info.mlflow.as_deref()))
        .collect();
    let uv = EnvManager::Uv;
    let mlflow = Some("3.17.2");
    assert_eq!(
        seen,
        [(false, uv, mlflow), (true, uv, mlflow), (true, uv, None)]
    );
    assert!(all[0].built > SystemTime::UNIX_EPOCH);
    assert_eq!(
        prune(&space, PruneWish::default()).await.environments.len(),
        3
    );
    assert_eq!(keys(&space).await.len(), 0);
}

/// Runs a program and returns what it prints.
#[expect(clippy::disallowed_methods, reason = "a test looks whether it runs")]
fn printed(program: &Path) -> String {
    let output = std::process::Command::new(program).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A place for a second machine's data whose path has another length.
fn elsewhere(machine: &Machine) -> Machine {
    let mut other = Machine::found(machine.path("somewhere/else/with/a/much/longer/path"));
    other.config = conda_runner::RunnerConfig {
        data_dir: other.path("data"),
        ..machine.config.clone()
    };
    other
}

#[tokio::test]
async fn a_packed_environment_runs_in_another_data_folder_after_the_first_is_gone() {
    let (machine, mut channel) = machine();
    // Its interpreter is in it.
    channel.add(&Package {
        name: "tool",
        version: "3.0",
        depends: &["python", "shell"],
        files: vec![(
            "bin/tool".to_owned(),
            format!("#!{PLACEHOLDER}/bin/own-shell\necho \"{PLACEHOLDER}\"\n"),
        )],
    });
    channel.add(&Package {
        name: "shell",
        version: "1.0",
        depends: &[],
        files: vec![("bin/shell".to_owned(), "#!/bin/sh\n".to_owned())],
    });
    let space = beside(&machine);
    let folder = machine.path("model");
    write(
        &folder.join("conda.yaml"),
        "channels: [conda-forge]\ndependencies: [python=3.11, tool=3.0]\n",
    );
    let (progress, _steps) = Progress::channel();
    let info = space
        .build(&folder, EnvManager::Conda, false, &progress)
        .await
        .unwrap();
    std::os::unix::fs::symlink("/bin/sh", info.path.join("bin/own-shell")).unwrap();
    let file = machine.path("packed.tar.zst");
    let refused = space.export(&info.key[..8], &file).await.unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("the link bin/own-shell to /bin/sh leads out of the environment"),
        "{refused}"
    );
    assert!(!file.exists());
    // A shell of its own.
    std::fs::remove_file(info.path.join("bin/own-shell")).unwrap();
    std::fs::copy("/bin/sh", info.path.join("bin/own-shell")).unwrap();
    assert_eq!(
        printed(&info.path.join("bin/tool")),
        info.path.display().to_string()
    );
    space.export(&info.key[..8], &file).await.unwrap();
    let refused = space.export(&info.key, &file).await.unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("there is a file of this name already")
    );
    let lock = |machine: &Machine| {
        let lock = machine.path(&format!("data/locks/{}.json", info.key));
        std::fs::read_to_string(lock).unwrap()
    };
    let chosen = lock(&machine);
    space.idle().await;
    std::fs::remove_dir_all(machine.path("data")).unwrap();

    let other = elsewhere(&machine);
    let there = beside(&other);
    let taken = there.import(&file).await.unwrap();
    assert_eq!(taken.key, info.key);
    assert_ne!(taken.path, info.path);
    assert_eq!(
        printed(&taken.path.join("bin/tool")),
        taken.path.display().to_string()
    );
    assert_eq!(
        (taken.manager, taken.mlflow, taken.packages, taken.broken),
        (info.manager, info.mlflow, info.packages, false)
    );
    assert_eq!(lock(&other), chosen);
    // Again is no harm, and what is declared there now is found built.
    assert_eq!(there.import(&file).await.unwrap().key, info.key);
    let runner = other.runner_of(Models {
        conda: Box::new(|_| {
            "channels: [conda-forge]\ndependencies: [python=3.11, tool=3.0]\n".to_owned()
        }),
        ..Models::default()
    });
    runner.prepare(job(1, &[])).await.unwrap();
    // Lines are written by a thread of their own.
    let is_told = || log(&runner, 1, LogKind::Build).contains("reusing environment");
    eventually(|| is_told().then_some(())).await;
}

#[tokio::test]
async fn what_is_damaged_on_its_way_leaves_nothing() {
    let (machine, _channel) = machine();
    let space = beside(&machine);
    let info = built(&space, &machine, "1").await;
    let file = machine.path("packed.tar.zst");
    space.export(&info.key, &file).await.unwrap();
    let other = elsewhere(&machine);
    let there = beside(&other);
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() - 200]).unwrap();
    let error = there.import(&file).await.unwrap_err();
    assert!(matches!(error, SpaceError::Import { .. }), "{error}");
    assert_eq!(keys(&there).await.len(), 0);
    there.idle().await;
    let left = std::fs::read_dir(other.path("data/environments")).unwrap();
    let names = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let staging: Vec<String> = names.filter(|name| name.starts_with(".staging-")).collect();
    assert_eq!(staging, [""; 0]);
    std::fs::write(&file, whole).unwrap();
    assert_eq!(there.import(&file).await.unwrap().key, info.key);
}

/// A virtual environment that is made from a Python of conda's.
async fn derived(machine: &Machine, channel: &mut Channel) -> (RunnerEnvironments, String, String) {
    machine.add_python(channel, "3.66.1");
    let space = beside(machine);
    let folder: PathBuf = machine.path("derived");
    write(
        &folder.join("python_env.yaml"),
        "python: 3.66.1\ndependencies: [tool==1.0]\n",
    );
    let (progress, _steps) = Progress::channel();
    let info = space
        .build(&folder, EnvManager::Uv, false, &progress)
        .await
        .unwrap();
    let base = info.base.unwrap();
    assert_eq!(keys(&space).await.len(), 2);
    (space, info.key, base)
}

#[tokio::test]
async fn a_base_stays_as_long_as_something_is_made_from_it() {
    let (machine, mut channel) = machine();
    let (space, key, base) = derived(&machine, &mut channel).await;
    space.idle().await;
    let named = PruneWish {
        keys: vec![base.clone()],
        ..PruneWish::default()
    };
    assert_eq!(
        space.find(&base).await.unwrap().base_of,
        std::slice::from_ref(&key)
    );
    let recent = PruneWish {
        unused_for: Some(Duration::from_secs(3600)),
        ..named.clone()
    };
    let kept = prune(&space, recent).await;
    let reasons = &kept.in_use[0].reasons;
    assert_eq!(reasons[0], KeptBecause::BaseOf(vec![key.clone()]));
    assert!(
        matches!(reasons[1..], [KeptBecause::UsedRecently(_)]),
        "{reasons:?}"
    );
    let kept = prune(&space, named).await;
    assert_eq!(
        (kept.environments.len(), kept.in_use[0].key.as_str()),
        (0, base.as_str())
    );
    let all = prune(&space, PruneWish::default()).await;
    assert_eq!(all.environments, [key, base]);
}

#[tokio::test]
async fn a_base_is_packed_along() {
    let (machine, mut channel) = machine();
    let (space, key, base) = derived(&machine, &mut channel).await;
    let file = machine.path("packed.tar.zst");
    space.export(&key, &file).await.unwrap();
    space.idle().await;
    std::fs::remove_dir_all(machine.path("data")).unwrap();
    let other = elsewhere(&machine);
    let there = beside(&other);
    let taken = there.import(&file).await.unwrap();
    assert_eq!((&taken.key, taken.base.as_ref()), (&key, Some(&base)));
    assert!(!taken.broken);
    let interpreter = std::fs::read_link(taken.path.join("bin/python")).unwrap();
    let base = other.path("data/environments").join(base);
    assert!(interpreter.starts_with(&base), "{interpreter:?}");
    assert!(base.join("bin/python").is_file());
}
