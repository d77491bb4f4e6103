//! What `MLmodel` says about the environment that its model has to be served in.

use std::path::Path;

use serde::Deserialize;
use serving_core::LoadError;

use super::text;
use crate::model::MODEL_FILE;

/// All absent for a folder that is no model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Served {
    /// Whether there is an `MLmodel` at all.
    pub(crate) is_model: bool,
    /// The version of Python that the model was logged with: `3.11.7`.
    pub(crate) python: Option<String>,
    /// The module that loads the model: `mlflow.sklearn`.
    pub(crate) loader_module: Option<String>,
}

#[derive(Default, Deserialize)]
struct ModelFile {
    #[serde(default)]
    flavors: Flavors,
}

#[derive(Default, Deserialize)]
struct Flavors {
    python_function: Option<PythonFunction>,
}

#[derive(Deserialize)]
struct PythonFunction {
    python_version: Option<String>,
    loader_module: Option<String>,
}

impl Served {
    /// Reads it from a model folder. What cannot be understood is left out: whoever reads the whole file complains.
    pub(crate) async fn read(folder: &Path) -> Result<Self, LoadError> {
        let Some(text) = text::read(folder, MODEL_FILE).await? else {
            return Ok(Self::default());
        };
        let file: ModelFile = serde_yaml_ng::from_str(&text).unwrap_or_default();
        let function = file.flavors.python_function;
        let (python, loader_module) = function
            .map(|function| (function.python_version, function.loader_module))
            .unwrap_or_default();
        Ok(Self {
            is_model: true,
            python,
            loader_module,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(text: Option<&str>) -> Served {
        let folder = tempfile::tempdir().unwrap();
        if let Some(text) = text {
            std::fs::write(folder.path().join(MODEL_FILE), text).unwrap();
        }
        Served::read(folder.path()).await.unwrap()
    }

    #[tokio::test]
    async fn python_and_the_loader_are_read_as_they_are_written() {
        let served = read(Some(
            "flavors:\n  python_function:\n    env: conda.yaml\n    loader_module: mlflow.sklearn\n    python_version: 3.10\n  sklearn: {}\n",
        ))
        .await;
        assert_eq!(served.python.as_deref(), Some("3.10"));
        assert_eq!(served.loader_module.as_deref(), Some("mlflow.sklearn"));
    }

    #[tokio::test]
    async fn a_folder_without_a_model_and_a_broken_one_say_nothing() {
        assert_eq!(read(None).await, Served::default());
        for broken in ["a: [", "flavors: 3", "[]"] {
            let nothing = Served {
                is_model: true,
                ..Served::default()
            };
            assert_eq!(read(Some(broken)).await, nothing, "{broken}");
        }
    }
}
