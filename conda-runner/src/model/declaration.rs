//! The file `MLmodel`, as every MLflow since 1.0 writes it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serving_core::LoadError;

/// What serving needs of it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Declaration {
    #[serde(default)]
    pub(super) flavors: BTreeMap<String, serde_yaml_ng::Value>,
    pub(super) mlflow_version: Option<String>,
    pub(super) signature: Option<DeclaredSignature>,
    #[serde(rename = "saved_input_example_info")]
    pub(super) example: Option<DeclaredExample>,
}

/// Each schema is JSON in a text.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct DeclaredSignature {
    pub(super) inputs: Option<String>,
    pub(super) outputs: Option<String>,
    pub(super) params: Option<String>,
}

/// Where the input example is, and what it is.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct DeclaredExample {
    /// The example as it was given.
    pub(super) artifact_path: Option<String>,
    /// The example as a request body (MLflow 2.15 and later).
    pub(super) serving_input_path: Option<String>,
    /// How a data frame is written: `split`, rarely `records`.
    pub(super) pandas_orient: Option<String>,
    /// `dataframe`, `ndarray`, `json_object`, a sparse matrix, and more.
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
}

impl Declaration {
    /// Reads it from a model folder.
    pub(super) async fn read(folder: &Path) -> Result<Self, LoadError> {
        let text = tokio::fs::read_to_string(folder.join(super::MODEL_FILE))
            .await
            .map_err(|error| {
                LoadError::permanent(format!(
                    "the version's files are no MLflow model: cannot read MLmodel: {error}"
                ))
            })?;
        let declaration: Self = serde_yaml_ng::from_str(&text).map_err(|error| {
            LoadError::permanent(format!("the model's MLmodel cannot be understood: {error}"))
        })?;
        if !declaration.flavors.contains_key("python_function") {
            return Err(LoadError::permanent(
                "the model has no python_function flavor, which is what can be served: log it with one",
            ));
        }
        Ok(declaration)
    }

    /// Where in the model's folder the Python files are that it was logged with (`code_paths`), if it was with any.
    pub(super) fn code(&self) -> Option<&str> {
        self.flavors.get("python_function")?.get("code")?.as_str()
    }
}
