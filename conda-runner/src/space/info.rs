//! What is told about an environment.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::SystemTime;

use serving_core::ServableId;

use crate::config::EnvManager;
use crate::env::{Marker, Package, StepTime};
use crate::shelf::{Entry, Shelf};

/// One built environment.
#[derive(Clone, Debug, PartialEq)]
pub struct EnvironmentInfo {
    /// Its key: 32 hexadecimal digits. A beginning of it that no other has is enough to name it.
    pub key: String,
    /// Its folder.
    pub path: PathBuf,
    /// Who built it.
    pub manager: EnvManager,
    /// Whether it works no more, since somebody broke it: it is built again when it is needed, and can be pruned.
    pub broken: bool,
    /// The version of its Python.
    pub python: Option<String>,
    /// The version of its MLflow; `None` if there is none in it.
    pub mlflow: Option<String>,
    /// The key of the environment whose Python it uses, if that is one of these.
    pub base: Option<String>,
    /// The keys of the environments that use its Python: it stays as long as one of them does.
    pub base_of: Vec<String>,
    /// Bytes of all files in it, as if none was shared; as measured an hour ago at most.
    pub size: u64,
    /// Bytes among them of files that the package caches or other environments hold as well: pruning frees the rest.
    pub shared: u64,
    /// The versions that have it in use now, in whichever process.
    pub used_by: Vec<ServableId>,
    /// When it was built.
    pub built: SystemTime,
    /// When it was last in use (now, or minutes ago, for one that is in use), or built.
    pub last_used: SystemTime,
    /// The steps of its build.
    pub steps: Vec<StepTime>,
    /// What is in it, by name. Empty in a list: only [`RunnerEnvironments::find`](super::RunnerEnvironments::find)
    /// looks.
    pub packages: Vec<Package>,
}

impl EnvironmentInfo {
    /// About what was found on `shelf`, without its size and without those that use its Python. Blocks on the disk.
    pub(super) fn of(shelf: &Shelf, entry: Entry) -> Self {
        let marker = entry.marker.as_deref().and_then(Marker::read);
        let used_by = shelf.users(&entry.key);
        let Some(mut marker) = marker else {
            return Self {
                manager: manager("", &entry),
                broken: true,
                python: None,
                mlflow: None,
                base: None,
                base_of: Vec::new(),
                size: 0,
                shared: 0,
                used_by,
                built: entry.finished,
                last_used: entry.last_used,
                steps: Vec::new(),
                packages: Vec::new(),
                key: entry.key,
                path: entry.path,
            };
        };
        // Builders of earlier versions did not write down when they built.
        let is_dated = marker.built > SystemTime::UNIX_EPOCH;
        marker
            .packages
            .sort_by(|one, other| one.name.cmp(&other.name));
        Self {
            manager: manager(&marker.manager, &entry),
            broken: !entry.is_whole,
            python: marker.python,
            mlflow: marker.facts.map(|facts| facts.mlflow_version),
            base: marker.base,
            base_of: Vec::new(),
            size: 0,
            shared: 0,
            used_by,
            built: if is_dated {
                marker.built
            } else {
                entry.finished
            },
            last_used: entry.last_used,
            steps: marker.steps,
            packages: marker.packages,
            key: entry.key,
            path: entry.path,
        }
    }
}

/// Which environments use the Python of which.
#[derive(Clone, Debug, Default)]
pub(super) struct Derived(HashMap<String, Vec<String>>);

impl Derived {
    /// As their markers tell.
    pub(super) fn among(entries: &[Entry]) -> Self {
        let mut derived = Self::default();
        for entry in entries {
            let marker = entry.marker.as_deref().and_then(Marker::read);
            if let Some(base) = marker.and_then(|marker| marker.base) {
                derived.0.entry(base).or_default().push(entry.key.clone());
            }
        }
        derived
    }

    /// The keys of those that use the Python of this one.
    pub(super) fn from(&self, key: &str) -> Vec<String> {
        self.0.get(key).cloned().unwrap_or_default()
    }
}

/// Who built it. Before it was written down, everything was built with uv.
fn manager(written: &str, entry: &Entry) -> EnvManager {
    written.parse().unwrap_or_else(|_| {
        if entry.path.join("conda-meta").is_dir() {
            EnvManager::Conda
        } else {
            EnvManager::Uv
        }
    })
}
