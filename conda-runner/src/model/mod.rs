//! Reads a model folder: what MLflow wrote down about the model, as far as serving needs it.

mod declaration;
mod example;

use std::path::Path;

use bytes::Bytes;
use serde_json::Value;
use serving_core::LoadError;

use declaration::Declaration;

/// What makes a folder a model.
pub(crate) const MODEL_FILE: &str = "MLmodel";

/// What a model says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelFacts {
    /// The version of MLflow that logged it, as `MLmodel` declares it. Says nothing about the worker.
    pub mlflow_version: Option<String>,
    /// What it takes and gives, if it was logged with a signature.
    pub signature: Option<Signature>,
    /// The logged input example as a request for this version's worker.
    pub example: Option<Example>,
}

/// A model's schema, in MLflow's JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signature {
    /// Columns or tensors that it takes.
    pub inputs: Option<Value>,
    /// What it answers.
    pub outputs: Option<Value>,
    /// Parameters that a request may set (MLflow 2.6 and later).
    pub params: Option<Value>,
}

/// A request for `/invocations`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// Its `Content-Type`.
    pub content_type: String,
    /// Its body.
    pub body: Bytes,
}

/// What a model needs of the process that loads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ModelNeeds {
    /// Its flavors, as MLflow names them: `sklearn`, `python_function`.
    pub(crate) flavors: Vec<String>,
    /// The modules that it was logged with (`code_paths`), which Python is to find before any others.
    pub(crate) modules: Vec<String>,
}

impl ModelFacts {
    /// Reads the folder for a worker whose MLflow has this major version. A folder that is no servable model is a
    /// permanent error; a signature or an example that cannot be read is left out.
    pub(crate) async fn read(folder: &Path, worker_major: u32) -> Result<Self, LoadError> {
        let declaration = Declaration::read(folder).await?;
        let example = match &declaration.example {
            Some(declared) => example::read(folder, declared, worker_major).await,
            None => None,
        };
        Ok(Self {
            mlflow_version: declaration.mlflow_version,
            signature: declaration.signature.map(|signature| Signature {
                inputs: signature.inputs.and_then(parsed),
                outputs: signature.outputs.and_then(parsed),
                params: signature.params.and_then(parsed),
            }),
            example,
        })
    }
}

impl ModelNeeds {
    /// Reads them in the model's folder.
    pub(crate) async fn read(folder: &Path) -> Result<Self, LoadError> {
        let declaration = Declaration::read(folder).await?;
        let modules = match declaration.code() {
            Some(code) => modules(&folder.join(code)).await,
            None => Vec::new(),
        };
        Ok(Self {
            flavors: declaration.flavors.into_keys().collect(),
            modules,
        })
    }
}

/// What Python would find there by name; nothing where nobody can look.
async fn modules(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let Ok(mut entries) = tokio::fs::read_dir(folder).await else {
        return found;
    };
    while let Ok(Some(entry)) = entries.next_entry().await {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let module = name.split('.').next().unwrap_or_default();
        if !module.is_empty() && module != "__pycache__" {
            found.push(module.to_owned());
        }
    }
    found.sort();
    found.dedup();
    found
}

fn parsed(json: String) -> Option<Value> {
    serde_json::from_str(&json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MLMODEL: &str = r#"
flavors:
  python_function:
    loader_module: mlflow.sklearn
    model_path: model.skops
mlflow_version: 3.17.2
saved_input_example_info:
  artifact_path: input_example.json
  pandas_orient: split
  serving_input_path: serving_input_example.json
  type: dataframe
signature:
  inputs: '[{"type": "double", "name": "sepal_length",
    "required": true}]'
  outputs: 'not JSON'
  params: null
"#;

    async fn read(files: &[(&str, &str)]) -> Result<ModelFacts, LoadError> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        ModelFacts::read(folder.path(), 3).await
    }

    #[tokio::test]
    async fn a_model_folder_tells_its_version_schema_and_example() {
        let facts = read(&[
            ("MLmodel", MLMODEL),
            ("serving_input_example.json", "{\"inputs\": 1}"),
        ])
        .await
        .unwrap();
        assert_eq!(facts.mlflow_version.as_deref(), Some("3.17.2"));
        let signature = facts.signature.unwrap();
        assert_eq!(signature.inputs.unwrap()[0]["name"], "sepal_length");
        assert_eq!((signature.outputs, signature.params), (None, None));
        assert_eq!(facts.example.unwrap().body, "{\"inputs\": 1}");
    }

    #[tokio::test]
    async fn the_modules_that_a_model_brings_along_are_known_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let code = folder.path().join("code");
        std::fs::create_dir_all(code.join("sklearn")).unwrap();
        std::fs::create_dir_all(code.join("__pycache__")).unwrap();
        for file in ["helper.py", "fast.cpython-311-x86_64-linux-gnu.so"] {
            std::fs::write(code.join(file), "").unwrap();
        }
        let needs = async |declared: &str| {
            std::fs::write(folder.path().join("MLmodel"), declared).unwrap();
            ModelNeeds::read(folder.path()).await.unwrap()
        };
        let with = needs("flavors: {python_function: {code: code}, sklearn: {}}").await;
        assert_eq!(with.flavors, ["python_function", "sklearn"]);
        assert_eq!(with.modules, ["fast", "helper", "sklearn"]);
        for without in ["{}", "{code: null}", "{code: elsewhere}"] {
            let declared = format!("flavors: {{python_function: {without}}}");
            assert!(needs(&declared).await.modules.is_empty(), "{without}");
        }
    }

    #[tokio::test]
    async fn what_is_no_servable_model_is_a_permanent_error() {
        for files in [
            &[][..],
            &[("MLmodel", "flavors: {sklearn: {}}")],
            &[("MLmodel", "a: [")],
        ] {
            let error = read(files).await.unwrap_err();
            assert_eq!(error.retry, serving_core::Retry::Never, "{files:?}");
        }
    }

    #[tokio::test]
    async fn a_model_that_says_nothing_more_is_served_without_schema_and_example() {
        let facts = read(&[("MLmodel", "flavors: {python_function: {}}")])
            .await
            .unwrap();
        assert_eq!(facts, ModelFacts::default());
    }
}
