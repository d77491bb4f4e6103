//! Processes of the quickstart live and die together.

use super::*;

const DEADLINE: Duration = Duration::from_secs(20);

fn processes(folder: &tempfile::TempDir) -> Processes {
    let with = vec![("GREETING", "hello".to_owned())];
    let grace = Duration::from_millis(300);
    Processes::new(folder.path().to_owned(), grace, vec!["HOME".into()], with)
}

fn shell(name: &'static str, script: &str) -> Program {
    Program::new(name, "/bin/sh").arguments(["-c", script])
}

#[cfg(target_os = "linux")]
fn is_alive(pid: &str) -> bool {
    // A zombie that nobody reaps here is as good as gone.
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(") ").next().unwrap_or("Z").starts_with('Z'))
}

/// A process that got SIGKILL needs a moment to go.
#[cfg(target_os = "linux")]
async fn goes(pid: &str) -> bool {
    let gone = async {
        while is_alive(pid) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(DEADLINE, gone).await.is_ok()
}

#[cfg(target_os = "linux")]
fn last_word(log: &str) -> Option<String> {
    let (line, _) = log.rsplit_once('\n')?;
    Some(line.lines().last()?.to_owned())
}

#[tokio::test]
async fn a_program_sees_the_variables_that_it_is_meant_to_see() {
    let folder = tempfile::tempdir().unwrap();
    let program = shell("env", "echo $GREETING ${HOME-no home} $OWN").variable("OWN", "own");
    let printed = processes(&folder)
        .run(program, DEADLINE, |_| {})
        .await
        .unwrap();
    assert_eq!(printed, "hello no home own\n");
}

#[tokio::test]
async fn a_failure_is_told_with_the_exit_code_the_last_lines_and_the_place_of_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let error = processes(&folder)
        .run(
            shell("pip", "echo no such package; exit 3"),
            DEADLINE,
            |_| {},
        )
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("pip failed with exit code 3"), "{error}");
    assert!(error.contains("no such package"), "{error}");
    assert!(error.contains("pip.log"), "{error}");
}

#[tokio::test]
async fn a_program_that_ends_while_it_is_waited_for_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let mut running = processes(&folder)
        .start(shell("server", "echo port in use; exit 1"))
        .unwrap();
    let error = running
        .logged(DEADLINE, |log| log.find("ready"))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("server ended by itself with exit code 1"),
        "{error}"
    );
    assert!(error.contains("port in use"), "{error}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn dropping_a_program_ends_its_whole_group_also_children_that_ignore_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let processes = processes(&folder);
    let script =
        "trap '' TERM; sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.1; done' & wait";
    let mut running = processes.start(shell("stubborn", script)).unwrap();
    let pid = running.logged(DEADLINE, last_word).await.unwrap();
    assert!(is_alive(&pid));
    drop(running);
    processes.all_ended().await;
    assert!(goes(&pid).await);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn children_that_a_program_left_behind_end_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let processes = processes(&folder);
    let printed = processes
        .run(shell("leaver", "sleep 600 & echo $!"), DEADLINE, |_| {})
        .await
        .unwrap();
    processes.all_ended().await;
    assert!(goes(printed.trim()).await);
}
