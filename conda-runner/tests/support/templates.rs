//! Workers by templates: how tests start them, and what is seen of both.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use conda_runner::{CondaRunner, LogKind, Worker};
use rustix::process::{Pid, Signal, kill_process};
use serving_core::{Instance, LoadError, LoadJob, Loader, Note, Progress, ReplicaId};

use super::{Machine, job, log, write};

/// One on which a fork gets ready in its part of the time for a start, whatever else the machine does: where none does
/// there is another worker, and these tests are about forks.
pub(crate) fn machine() -> Machine {
    let mut machine = Machine::new();
    machine.config.start_timeout = Duration::from_secs(180);
    machine
}

/// A version's worker by a template; its variables decide which.
pub(crate) fn forked(version: u64, mode: &str) -> LoadJob {
    let environment = format!("{{\"MODE\": {mode:?}}}");
    job(
        version,
        &[("launcher", "template"), ("environment", &environment)],
    )
}

pub(crate) async fn load(
    runner: &CondaRunner<Worker>,
    job: LoadJob,
) -> Result<Instance<Worker>, LoadError> {
    runner.prepare(job).await?.load(ReplicaId(0)).await
}

/// The same job; what is told of it is kept.
pub(crate) fn noting(job: LoadJob) -> (LoadJob, Arc<Mutex<Vec<Note>>>) {
    let notes = Arc::<Mutex<Vec<Note>>>::default();
    let kept = Arc::clone(&notes);
    let keep = move |note| kept.lock().unwrap().push(note);
    let progress = Progress::channel().0.with_notes(keep);
    (LoadJob { progress, ..job }, notes)
}

pub(crate) fn codes(notes: &Mutex<Vec<Note>>) -> Vec<String> {
    let notes = notes.lock().unwrap();
    let failed = notes.iter().filter(|note| &*note.kind == "fork_failed");
    failed
        .map(|note| serde_json::to_value(&note.about["code"]).unwrap())
        .map(|code| code.as_str().unwrap().to_owned())
        .collect()
}

/// What `/proc/…/stat` says of a process: its parent and its group.
pub(crate) fn family(process: u32) -> (u32, u32) {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<u32> = stat.rsplit_once(") ").unwrap().1[2..]
        .split_ascii_whitespace()
        .take(2)
        .map(|field| field.parse().unwrap())
        .collect();
    (fields[0], fields[1])
}

pub(crate) fn only_worker(runner: &CondaRunner<Worker>) -> u32 {
    let workers = runner.workers().list();
    assert_eq!(workers.len(), 1, "{workers:?}");
    workers[0].process
}

pub(crate) fn kill(process: u32) {
    signal(process, Signal::KILL);
}

pub(crate) fn signal(process: u32, signal: Signal) {
    let process = Pid::from_raw(process.cast_signed()).unwrap();
    kill_process(process, signal).unwrap();
}

/// How many sockets there are in a template's folder, those included that it has not accepted yet.
pub(crate) fn connections(template: u32) -> usize {
    let folder = std::fs::read_link(format!("/proc/{template}/cwd")).unwrap();
    let sockets = std::fs::read_to_string("/proc/net/unix").unwrap();
    sockets.matches(&format!("{}/", folder.display())).count()
}

/// Has templates run a program when they import the libraries of their workers.
pub(crate) fn on_import(machine: &Machine, program: &str) {
    write(&machine.path("packages/pandas.py"), program);
}

pub(crate) fn is_forked(runner: &CondaRunner<Worker>) -> bool {
    let told = log(runner, 1, LogKind::Worker);
    let last = told.lines().rfind(|line| line.contains("attempt at"));
    last.unwrap().contains("a fork of template")
}
