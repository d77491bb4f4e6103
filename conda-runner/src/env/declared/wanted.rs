//! What is to be built: a declaration in the terms of the one who builds, with what it leaves open filled in.

use std::collections::BTreeMap;
use std::path::Path;

use serving_core::LoadError;

use super::conditions::Conditions;
use super::{CondaFile, PythonEnv, Served};
use crate::config::EnvManager;
use crate::env::build::CondaWanted;
use crate::env::key::Spec;
use crate::env::secrets::redacted;
use crate::env::trouble::Trouble;

/// Where packages of conda come from that no `conda.yaml` asks for.
const CHANNEL: &str = "conda-forge";

/// Who builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Builder {
    /// conda's packages, then Python's.
    Conda,
    /// An interpreter, a virtual environment of it, Python's packages.
    Uv,
    /// The same without uv.
    Virtualenv,
}

/// What is to be in an environment. Entries are as they are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) builder: Builder,
    /// For [`Builder::Conda`]; names Python, and pip if there are requirements.
    pub(crate) conda: CondaWanted,
    /// The version of the interpreter for the other builders: `3.11.7`; `None` takes any.
    pub(crate) python: Option<String>,
    /// Lines of a requirements file that are installed before the others.
    pub(crate) first: Vec<String>,
    /// Lines of a requirements file.
    pub(crate) then: Vec<String>,
    /// Variables that its activation sets.
    pub(crate) variables: BTreeMap<String, String>,
    /// What people should know about how the declaration was understood.
    pub(crate) notes: Vec<String>,
}

impl Builder {
    /// `None` for the manager that builds nothing.
    pub(crate) fn of(manager: EnvManager) -> Option<Self> {
        match manager {
            EnvManager::Conda => Some(Self::Conda),
            EnvManager::Uv => Some(Self::Uv),
            EnvManager::Virtualenv => Some(Self::Virtualenv),
            EnvManager::Local => None,
        }
    }

    /// The manager's word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Conda => EnvManager::Conda.as_str(),
            Self::Uv => EnvManager::Uv.as_str(),
            Self::Virtualenv => EnvManager::Virtualenv.as_str(),
        }
    }
}

impl Wanted {
    /// What the files in `folder` declare, for `builder`: conda reads `conda.yaml` first, the others
    /// `python_env.yaml`, and each what the other file says if it is the only one.
    pub(crate) async fn read(
        builder: Builder,
        folder: &Path,
        served: &Served,
    ) -> Result<Self, LoadError> {
        if builder == Builder::Conda
            && let Some(file) = CondaFile::read(folder).await?
        {
            return Ok(Self::of_conda_file(file, served));
        }
        if let Some(declared) = PythonEnv::read(folder).await? {
            return Ok(match builder {
                Builder::Conda => Self::made_up(declared, served),
                Builder::Uv | Builder::Virtualenv => Self::of_python_env(builder, declared, served),
            });
        }
        if let Some(mut file) = CondaFile::read(folder).await? {
            let notes = std::mem::take(&mut file.notes);
            let variables = std::mem::take(&mut file.variables);
            let mut wanted = Self::of_python_env(builder, PythonEnv::from_conda(file), served);
            wanted.notes.splice(0..0, notes);
            wanted.variables = variables;
            return Ok(wanted);
        }
        Err(Trouble::InvalidDeclaration.error(
            "the model declares no environment (neither conda.yaml nor python_env.yaml): \
             log it again, or serve it with env_manager local",
        ))
    }

    /// An interpreter alone, from conda.
    pub(crate) fn interpreter(python: Option<&str>) -> Self {
        Self {
            conda: CondaWanted {
                channels: vec![CHANNEL.to_owned()],
                packages: vec![python_package(python)],
            },
            ..Self::nothing(Builder::Conda)
        }
    }

    fn nothing(builder: Builder) -> Self {
        Self {
            builder,
            conda: CondaWanted::default(),
            python: None,
            first: Vec::new(),
            then: Vec::new(),
            variables: BTreeMap::new(),
            notes: Vec::new(),
        }
    }

    pub(crate) fn of_conda_file(file: CondaFile, served: &Served) -> Self {
        let mut wanted = Self {
            conda: CondaWanted {
                channels: file.channels,
                packages: file.packages,
            },
            then: file.pip,
            variables: file.variables,
            notes: file.notes,
            ..Self::nothing(Builder::Conda)
        };
        if !wanted.names("python") {
            // What was pickled and compiled depends on the minor version; the very one may be nowhere to be had.
            let minor = served.python.as_deref().map(minor_version);
            let package = python_package(minor);
            wanted.add(package, "a model needs Python");
        }
        if !wanted.then.is_empty() && !wanted.names("pip") {
            wanted.add("pip".to_owned(), "`pip:` needs it");
        }
        wanted
    }

    /// For conda, from `python_env.yaml` alone.
    fn made_up(declared: PythonEnv, served: &Served) -> Self {
        let python = declared.python.or_else(|| served.python.clone());
        Self {
            conda: CondaWanted {
                channels: vec![CHANNEL.to_owned()],
                packages: vec![python_package(python.as_deref()), "pip".to_owned()],
            },
            first: declared.build_dependencies,
            then: declared.dependencies,
            notes: vec![format!(
                "the model has no conda.yaml: taking Python from {CHANNEL}, and the rest from python_env.yaml"
            )],
            ..Self::nothing(Builder::Conda)
        }
    }

    pub(crate) fn of_python_env(builder: Builder, declared: PythonEnv, served: &Served) -> Self {
        let left_out = declared
            .left_out
            .iter()
            .map(|package| format!("left out {}: only conda can install it", redacted(package)));
        let mut notes: Vec<String> = left_out.collect();
        let python = match declared.python {
            Some(python) => Some(python),
            None => in_range(&declared.python_range, served, &mut notes),
        };
        Self {
            notes,
            python,
            first: declared.build_dependencies,
            then: declared.dependencies,
            ..Self::nothing(builder)
        }
    }

    fn names(&self, package: &str) -> bool {
        let packages = self.conda.packages.iter();
        packages
            .map(|spec| Spec::split(spec).1)
            .any(|name| name.eq_ignore_ascii_case(package))
    }

    fn add(&mut self, package: String, why: &str) {
        self.notes.push(format!(
            "added {package}, which conda.yaml does not name: {why}"
        ));
        self.conda.packages.push(package);
    }
}

/// The version that the model was logged with, or else the newest in the range.
fn in_range(range: &Conditions, served: &Served, notes: &mut Vec<String>) -> Option<String> {
    let logged = served.python.clone();
    if logged
        .as_deref()
        .is_some_and(|logged| range.hold_for(logged))
        || range.is_empty()
    {
        return logged;
    }
    let newest = range.newest_python();
    notes.push(match &newest {
        Some(version) => format!("taking Python {version}, as conda.yaml wants python{range}"),
        None => format!("there is no Python such as conda.yaml wants it: python{range}"),
    });
    newest.or(logged)
}

fn python_package(version: Option<&str>) -> String {
    match version {
        Some(version) => format!("python={version}"),
        None => "python".to_owned(),
    }
}

/// `3.11` of `3.11.7`.
fn minor_version(python: &str) -> &str {
    let mut dots = python.match_indices('.');
    match dots.nth(1) {
        Some((second, _)) => &python[..second],
        None => python,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONDA: &str =
        "channels: [conda-forge]\ndependencies: [python=3.11.7, libgomp, pip, pip: [mlflow]]\n";
    const PYTHON_ENV: &str =
        "python: 3.11.7\nbuild_dependencies: [wheel]\ndependencies: [-r requirements.txt]\n";

    async fn read(builder: Builder, files: &[(&str, &str)]) -> Result<Wanted, LoadError> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let served = Served::read(folder.path()).await.unwrap();
        Wanted::read(builder, folder.path(), &served).await
    }

    #[tokio::test]
    async fn each_builder_reads_its_own_file_first() {
        let files = [("conda.yaml", CONDA), ("python_env.yaml", PYTHON_ENV)];
        let conda = read(Builder::Conda, &files).await.unwrap();
        assert_eq!(conda.conda.packages, ["python=3.11.7", "libgomp", "pip"]);
        assert_eq!(conda.then, ["mlflow"]);
        for builder in [Builder::Uv, Builder::Virtualenv] {
            let other = read(builder, &files).await.unwrap();
            assert_eq!(other.python.as_deref(), Some("3.11.7"));
            assert_eq!(other.first, ["wheel"]);
            assert_eq!(other.then, ["-r requirements.txt"]);
            assert_eq!(other.conda, CondaWanted::default());
        }
    }

    #[tokio::test]
    async fn each_builder_makes_do_with_the_other_file() {
        let conda = read(Builder::Conda, &[("python_env.yaml", PYTHON_ENV)])
            .await
            .unwrap();
        assert_eq!(conda.conda.channels, ["conda-forge"]);
        assert_eq!(conda.conda.packages, ["python=3.11.7", "pip"]);
        assert_eq!(
            (conda.first, conda.then),
            (
                vec!["wheel".to_owned()],
                vec!["-r requirements.txt".to_owned()]
            )
        );
        let uv = read(Builder::Uv, &[("conda.yaml", CONDA)]).await.unwrap();
        assert_eq!(uv.python.as_deref(), Some("3.11.7"));
        assert_eq!(uv.notes, ["left out libgomp: only conda can install it"]);
    }

    #[tokio::test]
    async fn of_a_range_the_version_that_the_model_was_logged_with_is_taken_or_the_newest() {
        let conda = (
            "conda.yaml",
            "dependencies: ['python>=3.10,<3.12', pip: [mlflow]]",
        );
        let mut chosen = Vec::new();
        for logged in ["3.10.13", "3.12.1"] {
            let model = format!("flavors: {{python_function: {{python_version: {logged}}}}}");
            let wanted = read(Builder::Uv, &[conda, ("MLmodel", &model)])
                .await
                .unwrap();
            chosen.push((wanted.python.unwrap(), wanted.notes.len()));
        }
        let wanted = read(Builder::Virtualenv, &[conda]).await.unwrap();
        chosen.push((wanted.python.unwrap(), wanted.notes.len()));
        let expected = [("3.10.13", 0), ("3.11", 1), ("3.11", 1)];
        assert_eq!(
            chosen,
            expected.map(|(version, notes)| (version.to_owned(), notes))
        );
    }

    #[tokio::test]
    async fn a_password_in_a_declaration_is_in_no_note() {
        let package = "https://me:sEcret@host/t/tokEn/own::libgomp=1";
        let text = format!("dependencies: ['{package}', python=3.11]\n");
        let uv = read(Builder::Uv, &[("conda.yaml", &text)]).await.unwrap();
        assert_eq!(
            uv.notes,
            ["left out https://host/own::libgomp=1: only conda can install it"]
        );
    }

    #[tokio::test]
    async fn what_conda_yaml_leaves_open_is_filled_in_and_noted() {
        let model = "flavors: {python_function: {python_version: 3.10.13}}";
        let only_pip = ("conda.yaml", "dependencies: [{pip: [mlflow]}]");
        let wanted = read(Builder::Conda, &[only_pip, ("MLmodel", model)])
            .await
            .unwrap();
        assert_eq!(wanted.conda.packages, ["python=3.10", "pip"]);
        assert_eq!(wanted.notes.len(), 2);
        let wanted = read(Builder::Conda, &[only_pip]).await.unwrap();
        assert_eq!(wanted.conda.packages, ["python", "pip"]);
        let named = (
            "conda.yaml",
            "dependencies: ['conda-forge::Python >=3.8', {pip: [mlflow]}, pip=23]",
        );
        let wanted = read(Builder::Conda, &[named]).await.unwrap();
        assert_eq!(
            wanted.conda.packages,
            ["conda-forge::Python >=3.8", "pip=23"]
        );
    }

    #[tokio::test]
    async fn a_model_that_declares_nothing_is_a_permanent_error() {
        for builder in [Builder::Conda, Builder::Uv, Builder::Virtualenv] {
            let error = read(builder, &[]).await.unwrap_err();
            assert_eq!(error.code.as_deref(), Some("INVALID_DECLARATION"));
        }
    }

    #[test]
    fn a_version_is_shortened_to_its_minor_version() {
        for (long, short) in [("3.11.7", "3.11"), ("3.10", "3.10"), ("3", "3")] {
            assert_eq!(minor_version(long), short);
        }
    }
}
