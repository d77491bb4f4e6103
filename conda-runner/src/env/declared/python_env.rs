//! What a model declares about its environment: `python_env.yaml`, or what an older `conda.yaml` says to the same end.

use std::path::Path;

use serde::Deserialize;
use serving_core::LoadError;

use super::CondaFile;
use super::conditions::Conditions;
use super::text::{self, not_yaml};
use crate::env::key::Spec;

const NAME: &str = "python_env.yaml";

/// A declaration in the terms of `python_env.yaml`. Entries are lines of a requirements file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PythonEnv {
    /// `3.11.7`; `None` takes any.
    pub(crate) python: Option<String>,
    /// What `conda.yaml` asks of Python where it names no single version.
    pub(crate) python_range: Conditions,
    /// Installed first.
    pub(crate) build_dependencies: Vec<String>,
    /// Usually `-r requirements.txt`.
    pub(crate) dependencies: Vec<String>,
    /// Packages of `conda.yaml` that only conda can install.
    pub(crate) left_out: Vec<String>,
}

#[derive(Deserialize)]
struct PythonEnvFile {
    python: Option<String>,
    #[serde(default)]
    build_dependencies: Lines,
    #[serde(default)]
    dependencies: Lines,
}

/// A list, one line alone, or nothing.
#[derive(Default, Deserialize)]
#[serde(untagged)]
enum Lines {
    Many(Vec<Option<String>>),
    One(String),
    #[default]
    None,
}

impl PythonEnv {
    /// Reads `python_env.yaml` from a model folder; `None` if there is no such file. MLflow writes it since 1.26.
    pub(crate) async fn read(folder: &Path) -> Result<Option<Self>, LoadError> {
        let Some(text) = text::read(folder, NAME).await? else {
            return Ok(None);
        };
        let file: Option<PythonEnvFile> = serde_yaml_ng::from_str(&text).map_err(not_yaml(NAME))?;
        let Some(file) = file else {
            return Ok(Some(Self::default()));
        };
        Ok(Some(Self {
            python: file.python.map(|python| python.trim().to_owned()),
            build_dependencies: file.build_dependencies.into_vec(),
            dependencies: file.dependencies.into_vec(),
            ..Self::default()
        }))
    }

    /// What `conda.yaml` says, as far as it can be said without conda.
    pub(crate) fn from_conda(file: CondaFile) -> Self {
        let mut declaration = Self {
            dependencies: file.pip,
            ..Self::default()
        };
        for package in file.packages {
            declaration.take(package);
        }
        declaration
    }

    fn take(&mut self, package: String) {
        let (_, name, rest) = Spec::split(&package);
        let conditions = Conditions::of_conda(rest);
        match name.to_ascii_lowercase().as_str() {
            "python" => match conditions.exact() {
                Some(version) => self.python = Some(version),
                None => self.python_range = conditions,
            },
            name @ ("pip" | "setuptools" | "wheel") => {
                self.build_dependencies.push(format!("{name}{conditions}"));
            }
            _ => self.left_out.push(package),
        }
    }
}

impl Lines {
    fn into_vec(self) -> Vec<String> {
        match self {
            Self::None => Vec::new(),
            Self::One(line) => vec![line],
            Self::Many(lines) => lines.into_iter().flatten().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(text: &str) -> Result<PythonEnv, LoadError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(NAME), text).unwrap();
        Ok(PythonEnv::read(folder.path()).await?.unwrap())
    }

    #[tokio::test]
    async fn what_mlflow_writes_is_read() {
        let declared = read(
            "python: 3.11.7\nbuild_dependencies:\n- pip==23.2.1\n- wheel\ndependencies:\n- -r requirements.txt\n",
        )
        .await
        .unwrap();
        assert_eq!(declared.python.as_deref(), Some("3.11.7"));
        assert_eq!(declared.build_dependencies, ["pip==23.2.1", "wheel"]);
        assert_eq!(declared.dependencies, ["-r requirements.txt"]);
    }

    #[tokio::test]
    async fn an_unquoted_3_10_stays_3_10() {
        let declared = read("python: 3.10\n").await.unwrap();
        assert_eq!(declared.python.as_deref(), Some("3.10"));
    }

    #[tokio::test]
    async fn one_line_alone_and_nothing_are_lists_too() {
        let declared = read("dependencies: -r requirements.txt\nbuild_dependencies:\n")
            .await
            .unwrap();
        assert_eq!(declared.dependencies, ["-r requirements.txt"]);
        assert_eq!(declared.build_dependencies, [""; 0]);
        assert_eq!(read("").await.unwrap(), PythonEnv::default());
    }

    #[test]
    fn conda_yaml_alone_gives_python_and_its_pip_part() {
        let conda = "channels: [conda-forge]\ndependencies:\n- conda-forge::python=3.9.18\n- pip<=23.0\n- setuptools=65\n- libgomp\n- pip:\n  - mlflow\n  - scikit-learn==1.0\nname: mlflow-env\n";
        let declared = PythonEnv::from_conda(CondaFile::parse(conda).unwrap());
        assert_eq!(declared.python.as_deref(), Some("3.9.18"));
        assert_eq!(
            declared.build_dependencies,
            ["pip<=23.0", "setuptools==65.*"]
        );
        assert_eq!(declared.dependencies, ["mlflow", "scikit-learn==1.0"]);
        assert_eq!(declared.left_out, ["libgomp"]);
    }

    #[test]
    fn versions_are_understood_as_conda_writes_them() {
        for (python, exact, range) in [
            ("python=3.8.18", Some("3.8.18"), ""),
            ("python==3.8.18", Some("3.8.18"), ""),
            ("python 3.8.18", Some("3.8.18"), ""),
            ("python=3.8=h12debd9_0_cpython", Some("3.8"), ""),
            ("python 3.8.* *_cpython", Some("3.8"), ""),
            ("python[version='3.8.*']", Some("3.8"), ""),
            ("python>=3.10,<3.12", None, ">=3.10,<3.12"),
            ("python >= 3.10, <3.12", None, ">=3.10,<3.12"),
            ("python[version=\">=3.10,<3.12\"]", None, ">=3.10,<3.12"),
            ("python", None, ""),
            ("python *", None, ""),
        ] {
            let file =
                CondaFile::parse(&format!("dependencies: ['{}']", python.replace('\'', "''")));
            let declared = PythonEnv::from_conda(file.unwrap());
            assert_eq!(declared.python.as_deref(), exact, "{python}");
            assert_eq!(declared.python_range.to_string(), range, "{python}");
        }
        let tools = "dependencies: [setuptools 65.5.0, 'pip>=20, <24', wheel=0.38=pyhd8ed1ab_0, setuptools >=60.*, pip 23|24]";
        let declared = PythonEnv::from_conda(CondaFile::parse(tools).unwrap());
        assert_eq!(
            declared.build_dependencies,
            [
                "setuptools==65.5.0",
                "pip>=20,<24",
                "wheel==0.38",
                "setuptools>=60",
                "pip"
            ]
        );
    }

    #[tokio::test]
    async fn what_cannot_be_understood_is_a_permanent_error() {
        for text in ["- : [", "dependencies: {a: b}", "[]"] {
            let error = read(text).await.unwrap_err();
            assert_eq!(error.code.as_deref(), Some("INVALID_DECLARATION"), "{text}");
            assert_eq!(error.retry, serving_core::Retry::Never, "{text}");
        }
    }
}
