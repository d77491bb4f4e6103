//! Where something was measured: without it, a figure means nothing.

use std::collections::BTreeMap;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::rounds::megabytes;

/// The machine, and what ran on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The name of its processor.
    pub processor: String,
    /// Cores that may be used.
    pub cores: usize,
    /// Gigabytes of memory.
    pub memory: f64,
    /// The kernel's release.
    pub kernel: String,
    /// What else ran at the start: tasks that were running or waiting for a core, in the minute before.
    pub load_before: f64,
    /// Seconds since 1970, when it began.
    pub began: u64,
    /// Who was measured, in which version.
    pub versions: BTreeMap<String, String>,
}

impl Machine {
    /// This one, now.
    pub fn here() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let processors = read("/proc/cpuinfo");
        let processor = processors
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
            .map_or("unknown", |(_, name)| name);
        let memory = read("/proc/meminfo");
        let memory = memory
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:"))
            .and_then(|rest| rest.split_ascii_whitespace().next()?.parse::<u64>().ok());
        let load = read("/proc/loadavg");
        let load = load.split(' ').next().and_then(|load| load.parse().ok());
        let began = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            processor: processor.to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory: megabytes(memory.unwrap_or_default()),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load_before: load.unwrap_or_default(),
            began: began.unwrap_or_default().as_secs(),
            versions: BTreeMap::new(),
        }
    }

    /// The same, where this program was measured in this version as well.
    #[must_use]
    pub fn with(mut self, program: &str, version: &str) -> Self {
        self.versions.insert(program.to_owned(), version.to_owned());
        self
    }

    /// All of it as a list in Markdown.
    pub(super) fn list(&self) -> String {
        let Self {
            processor,
            cores,
            memory,
            kernel,
            load_before,
            ..
        } = self;
        let versions: Vec<String> = self
            .versions
            .iter()
            .map(|(program, version)| format!("{program} {version}"))
            .collect();
        format!(
            "- {cores} cores of {processor}, {memory:.0} GB, Linux {kernel}\n\
             - {}\n\
             - load of the machine in the minute before: {load_before:.1}\n",
            versions.join(", ")
        )
    }
}
