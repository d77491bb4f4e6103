//! What a model declares about its environment: `python_env.yaml`, or what an older `conda.yaml` says to the same end.

use std::io;
use std::path::Path;

use serde::Deserialize;
use serving_core::LoadError;

use crate::error::disk;

/// A declaration in the terms of `python_env.yaml`. Entries are lines of a requirements file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct PythonEnv {
    /// `3.11.7`; `None` takes any.
    pub(crate) python: Option<String>,
    /// Installed first.
    #[serde(default)]
    pub(crate) build_dependencies: Vec<String>,
    /// Usually `-r requirements.txt`.
    #[serde(default)]
    pub(crate) dependencies: Vec<String>,
    /// Packages of `conda.yaml` that only conda can install.
    #[serde(skip)]
    pub(crate) left_out: Vec<String>,
}

#[derive(Deserialize)]
struct CondaFile {
    #[serde(default)]
    dependencies: Vec<CondaEntry>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum CondaEntry {
    Package(String),
    Pip { pip: Vec<String> },
}

impl PythonEnv {
    /// Reads it from a model folder. MLflow writes `python_env.yaml` since 1.26; before, `conda.yaml` was all.
    pub(crate) async fn read(folder: &Path) -> Result<Self, LoadError> {
        if let Some(text) = text(folder, "python_env.yaml").await? {
            return serde_yaml_ng::from_str(&text).map_err(unreadable("python_env.yaml"));
        }
        if let Some(text) = text(folder, "conda.yaml").await? {
            let file = serde_yaml_ng::from_str(&text).map_err(unreadable("conda.yaml"))?;
            return Ok(Self::from_conda(file));
        }
        Err(LoadError::permanent(
            "the model declares no environment (neither python_env.yaml nor conda.yaml): \
             log it again, or serve it with env_manager local",
        ))
    }

    fn from_conda(file: CondaFile) -> Self {
        let mut declaration = Self::default();
        for entry in file.dependencies {
            match entry {
                CondaEntry::Pip { pip } => declaration.dependencies.extend(pip),
                CondaEntry::Package(package) => declaration.take(package),
            }
        }
        declaration
    }

    fn take(&mut self, package: String) {
        let at = package
            .find(['=', '<', '>', '!', ' '])
            .unwrap_or(package.len());
        let (name, version) = package.split_at(at);
        // conda writes `pip=21`, `pip==21` and `pip<=21`; the first means `pip==21.*`.
        let version = match version.strip_prefix('=') {
            Some(exact) if !exact.starts_with('=') => format!("=={exact}.*"),
            _ => version.trim().to_owned(),
        };
        match name.rsplit("::").next() {
            Some("python") => {
                let number = version.trim_start_matches('=').trim_end_matches(".*");
                self.python = (!number.is_empty()).then(|| number.to_owned());
            }
            Some(name @ ("pip" | "setuptools" | "wheel")) => {
                self.build_dependencies.push(format!("{name}{version}"));
            }
            _ => self.left_out.push(package),
        }
    }
}

async fn text(folder: &Path, name: &str) -> Result<Option<String>, LoadError> {
    let path = folder.join(name);
    match tokio::fs::read_to_string(&path).await {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(disk("read", &path)(error)),
    }
}

fn unreadable(name: &str) -> impl FnOnce(serde_yaml_ng::Error) -> LoadError {
    move |error| LoadError::permanent(format!("the model's {name} cannot be understood: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(files: &[(&str, &str)]) -> Result<PythonEnv, LoadError> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        PythonEnv::read(folder.path()).await
    }

    #[tokio::test]
    async fn python_env_yaml_goes_before_conda_yaml() {
        let python_env = "python: 3.11.7\nbuild_dependencies:\n- pip==23.2.1\n- wheel\ndependencies:\n- -r requirements.txt\n";
        let declared = read(&[
            ("python_env.yaml", python_env),
            ("conda.yaml", "dependencies: []"),
        ])
        .await
        .unwrap();
        assert_eq!(declared.python.as_deref(), Some("3.11.7"));
        assert_eq!(declared.build_dependencies, ["pip==23.2.1", "wheel"]);
        assert_eq!(declared.dependencies, ["-r requirements.txt"]);
    }

    #[tokio::test]
    async fn an_unquoted_3_10_stays_3_10() {
        let declared = read(&[("python_env.yaml", "python: 3.10\n")])
            .await
            .unwrap();
        assert_eq!(declared.python.as_deref(), Some("3.10"));
    }

    #[tokio::test]
    async fn conda_yaml_alone_gives_python_and_its_pip_part() {
        let conda = "channels: [conda-forge]\ndependencies:\n- python=3.9.18\n- pip<=23.0\n- setuptools=65\n- libgomp\n- pip:\n  - mlflow\n  - scikit-learn==1.0\nname: mlflow-env\n";
        let declared = read(&[("conda.yaml", conda)]).await.unwrap();
        assert_eq!(declared.python.as_deref(), Some("3.9.18"));
        assert_eq!(
            declared.build_dependencies,
            ["pip<=23.0", "setuptools==65.*"]
        );
        assert_eq!(declared.dependencies, ["mlflow", "scikit-learn==1.0"]);
        assert_eq!(declared.left_out, ["libgomp"]);
    }

    #[tokio::test]
    async fn no_declaration_and_a_broken_one_are_permanent_errors() {
        for files in [&[][..], &[("python_env.yaml", "- : [")]] {
            let error = read(files).await.unwrap_err();
            assert_eq!(error.retry, serving_core::Retry::Never);
        }
    }
}
