//! What a model declares about its environment: `python_env.yaml`, or what an older `conda.yaml` says to the same end.

use std::path::Path;

use serde::Deserialize;
use serving_core::LoadError;

use super::CondaFile;
use super::text::{self, not_yaml};
use crate::env::key::Spec;

const NAME: &str = "python_env.yaml";

/// A declaration in the terms of `python_env.yaml`. Entries are lines of a requirements file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PythonEnv {
    /// `3.11.7`; `None` takes any.
    pub(crate) python: Option<String>,
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
            left_out: Vec::new(),
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
        let version = in_terms_of_pip(rest);
        match name.to_ascii_lowercase().as_str() {
            "python" => self.python = version.as_deref().and_then(python),
            name @ ("pip" | "setuptools" | "wheel") => {
                let version = version.unwrap_or_default();
                self.build_dependencies.push(format!("{name}{version}"));
            }
            _ => self.left_out.push(package),
        }
    }
}

/// What a spec of conda asks of a version, as pip writes it: `=1.2`, `1.2=build` and `1.2 build` become `==1.2.*`,
/// `==1.2` and `==1.2`. `None` if it asks for nothing, or for what pip has no words for.
fn in_terms_of_pip(rest: &str) -> Option<String> {
    let (rest, inside) = rest.split_once('[').unwrap_or((rest, ""));
    let version = Spec::version(rest);
    let version = match inside.split_once("version") {
        Some((_, inside)) if version.is_empty() => {
            let inside = inside.trim_start_matches([' ', '=']);
            let quote = inside.chars().next().filter(|first| "'\"".contains(*first))?;
            inside[1..].split_once(quote)?.0.to_owned()
        }
        _ => version,
    };
    if version.contains(['|', '(', '^']) {
        return None;
    }
    let terms = version.split(',').map(str::trim);
    let terms: Vec<String> = terms.filter_map(term).collect();
    (!terms.is_empty()).then(|| terms.join(","))
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

    #[tokio::test]
    async fn what_cannot_be_understood_is_a_permanent_error() {
        for text in ["- : [", "dependencies: {a: b}", "[]"] {
            let error = read(text).await.unwrap_err();
            assert_eq!(error.code.as_deref(), Some("INVALID_DECLARATION"), "{text}");
            assert_eq!(error.retry, serving_core::Retry::Never, "{text}");
        }
    }
}
