//! Where something was measured: without it, a figure means nothing.

use std::collections::BTreeMap;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::program::{command, output};
use crate::rounds::megabytes;

/// How the programs of this workspace were built.
const BUILD: &str = if cfg!(debug_assertions) {
    "debug: no figures"
} else {
    "release"
};

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
    /// The same at the end, what was measured and the generator included.
    #[serde(default)]
    pub load_after: Option<f64>,
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
        let began = SystemTime::now().duration_since(UNIX_EPOCH);
        let here = Self {
            processor: processor.to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory: megabytes(memory.unwrap_or_default()),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load_before: load().unwrap_or_default(),
            load_after: None,
            began: began.unwrap_or_default().as_secs(),
            versions: BTreeMap::new(),
        };
        match commit() {
            Some(commit) => here.with("commit", &commit),
            None => here,
        }
        .with("build", BUILD)
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
        let load_after = self.load_after.map_or_else(String::new, |load| {
            format!("; at the end, with all of this: {load:.1}")
        });
        let versions: Vec<String> = self
            .versions
            .iter()
            .map(|(program, version)| format!("{program} {version}"))
            .collect();
        format!(
            "- {cores} cores of {processor}, {memory:.0} GB, Linux {kernel}\n\
             - {}\n\
             - load of the machine in the minute before: {load_before:.1}{load_after}\n",
            versions.join(", ")
        )
    }
}

/// Tasks that were running or waiting for a core, in the last minute.
pub(super) fn load() -> Option<f64> {
    let load = fs::read_to_string("/proc/loadavg").ok()?;
    load.split(' ').next()?.parse().ok()
}

/// The commit that this was built of, if it was a clone's, with a word if anything but documents differs from it.
fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let mut git = command("git");
        git.args(["-C", env!("CARGO_MANIFEST_DIR")]).args(arguments);
        output(git).ok()
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    // Reports are written there.
    let changed = [
        "status",
        "--porcelain",
        "--untracked-files=no",
        "--",
        ":/",
        ":(top,exclude)docs",
    ];
    let clean = git(&changed).is_some_and(|changes| changes.trim().is_empty());
    let changed = if clean { "" } else { " with changes" };
    Some(format!("{}{changed}", commit.trim()))
}
