//! A machine that builds with uv, and what its builds did and left.

use std::collections::BTreeSet;
use std::path::PathBuf;

use conda_runner::EnvManager;

use super::Machine;

pub(crate) fn machine() -> Machine {
    let mut machine = Machine::new();
    machine.config.env_manager = EnvManager::Uv;
    machine
}

/// Calls of uv, venv and pip that begin so.
pub(crate) fn calls(machine: &Machine, command: &str) -> usize {
    let calls = all_calls(machine);
    calls
        .lines()
        .filter(|line| line.starts_with(command))
        .count()
}

pub(crate) fn all_calls(machine: &Machine) -> String {
    std::fs::read_to_string(machine.path("calls")).unwrap_or_default()
}

/// Folders of what counts as an environment.
pub(crate) fn environments(machine: &Machine) -> BTreeSet<PathBuf> {
    folders(machine)
        .into_iter()
        .filter(|path| path.join(".sluicegate.json").exists())
        .collect()
}

/// Folders of what is being made.
pub(crate) fn staging(machine: &Machine) -> BTreeSet<PathBuf> {
    folders(machine)
        .into_iter()
        .filter(|path| path.to_string_lossy().contains(".staging-"))
        .collect()
}

pub(crate) fn folders(machine: &Machine) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(machine.path("data/environments")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

pub(crate) fn only_environment(machine: &Machine) -> PathBuf {
    let all = environments(machine);
    assert_eq!(all.len(), 1, "{all:?}");
    all.into_iter().next().unwrap()
}

/// Ends the process that an installing script waits for.
pub(crate) fn end(installer: u32) {
    let installer = rustix::process::Pid::from_raw(i32::try_from(installer).unwrap()).unwrap();
    rustix::process::kill_process(installer, rustix::process::Signal::TERM).unwrap();
}
