//! An environment that workers can run in.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::INTERPRETER;
use super::facts::{Facts, ScoringServer};
use crate::shelf::Hold;

/// An environment that workers can run in, and stays as long as this value lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Environment {
    /// Its interpreter, an absolute path.
    pub(crate) python: PathBuf,
    /// Where its programs are.
    pub(crate) bin: PathBuf,
    /// The version of MLflow in it.
    pub(crate) mlflow_version: String,
    /// The server of that MLflow.
    pub(crate) server: ScoringServer,
    /// The key that it was built by; `None` if it was not built here.
    pub(crate) key: Option<String>,
    /// Keep it, and what it is made from, from being pruned.
    pub(crate) hold: Vec<Hold>,
    module: String,
    /// Who it is: `VIRTUAL_ENV`, `CONDA_PREFIX`.
    identity: Vec<(&'static str, String)>,
    activation: BTreeMap<String, String>,
}

impl Environment {
    /// An environment that somebody else keeps, by its interpreter.
    pub(crate) fn local(python: PathBuf, facts: Facts) -> Self {
        let bin = python.parent().map(Path::to_owned).unwrap_or_default();
        let root = bin.parent().map(Path::to_owned).unwrap_or_default();
        Self {
            identity: identity(&root),
            python,
            bin,
            mlflow_version: facts.mlflow_version,
            server: facts.server,
            module: facts.module,
            key: None,
            hold: Vec::new(),
            activation: BTreeMap::new(),
        }
    }

    /// The environment of this key at `place`.
    pub(crate) fn built(
        key: String,
        place: &Path,
        facts: Facts,
        activation: BTreeMap<String, String>,
        hold: Vec<Hold>,
    ) -> Self {
        let mut environment = Self::local(place.join(INTERPRETER), facts);
        // What people have below `HOME` is none of what the model declares. In an environment of their own it may be.
        environment
            .identity
            .push(("PYTHONNOUSERSITE", "1".to_owned()));
        Self {
            key: Some(key),
            hold,
            activation,
            ..environment
        }
    }

    /// The interpreter's arguments that run its `mlflow` program.
    pub(crate) fn mlflow(&self) -> Vec<OsString> {
        vec!["-m".into(), self.module.as_str().into()]
    }

    /// What its activation would set, `PATH` aside, and the model's own settings may overrule.
    pub(crate) fn activation(&self) -> impl Iterator<Item = (&str, &str)> {
        let activation = self.activation.iter();
        activation.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// What tells programs which environment they are in.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.identity
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
    }

    /// The major version of its MLflow: what decides how its worker wants to be asked.
    pub(crate) fn mlflow_major(&self) -> u32 {
        let major = self.mlflow_version.split('.').next();
        // A version that no release has ("unknown") is most likely built from recent source.
        major
            .and_then(|major| major.parse().ok())
            .unwrap_or(u32::MAX)
    }
}

/// None if it is a whole installation. conda names an environment that has no name by its folder.
fn identity(root: &Path) -> Vec<(&'static str, String)> {
    let shown = || root.display().to_string();
    if root.join("pyvenv.cfg").is_file() {
        vec![("VIRTUAL_ENV", shown())]
    } else if root.join("conda-meta").is_dir() {
        vec![
            ("CONDA_PREFIX", shown()),
            ("CONDA_DEFAULT_ENV", shown()),
            ("CONDA_SHLVL", "1".to_owned()),
        ]
    } else {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(version: &str, root: &Path) -> Environment {
        let facts = Facts {
            mlflow_version: version.to_owned(),
            server: ScoringServer::Uvicorn,
            module: "mlflow".to_owned(),
        };
        Environment::local(root.join(INTERPRETER), facts)
    }

    #[test]
    fn programs_are_told_which_environment_they_are_in() {
        let folder = tempfile::tempdir().unwrap();
        let names = |made: &str| {
            std::fs::create_dir_all(folder.path().join(made)).unwrap();
            let environment = environment("3.17.2", &folder.path().join(made));
            let names = environment.variables().map(|(name, _)| name.to_owned());
            names.collect::<Vec<_>>()
        };
        assert_eq!(names("whole"), [""; 0]);
        std::fs::create_dir_all(folder.path().join("conda/conda-meta")).unwrap();
        assert_eq!(
            names("conda"),
            ["CONDA_PREFIX", "CONDA_DEFAULT_ENV", "CONDA_SHLVL"]
        );
        std::fs::create_dir(folder.path().join("virtual")).unwrap();
        std::fs::write(folder.path().join("virtual/pyvenv.cfg"), "").unwrap();
        assert_eq!(names("virtual"), ["VIRTUAL_ENV"]);
    }

    #[test]
    fn packages_below_home_stay_out_of_what_was_built_and_only_of_that() {
        let folder = tempfile::tempdir().unwrap();
        let local = environment("3.17.2", folder.path());
        let facts = Facts {
            mlflow_version: "3.17.2".to_owned(),
            server: ScoringServer::Uvicorn,
            module: "mlflow".to_owned(),
        };
        let built = Environment::built(
            "key".to_owned(),
            folder.path(),
            facts,
            BTreeMap::new(),
            Vec::new(),
        );
        let alone = ("PYTHONNOUSERSITE", "1");
        assert!(built.variables().any(|variable| variable == alone));
        assert!(!local.variables().any(|variable| variable == alone));
    }

    #[test]
    fn a_version_that_no_release_has_is_taken_for_a_recent_one() {
        let major = |version| environment(version, Path::new("/")).mlflow_major();
        assert_eq!(
            (major("1.30.1"), major("3.0"), major("unknown")),
            (1, 3, u32::MAX)
        );
    }
}
