//! What is written down about a built environment, in the file that makes it count as built.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serving_core::LoadError;

use super::build::{Package, StepTime};
use super::facts::Facts;

/// The content of an environment's marker. Fields that an older builder did not write have defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Marker {
    /// `None` in an environment that has no MLflow, such as one that is only there for its interpreter.
    #[serde(flatten)]
    pub(crate) facts: Option<Facts>,
    /// Who built it: `conda`, `uv`, `virtualenv`.
    #[serde(default)]
    pub(crate) manager: String,
    /// The version of its interpreter.
    #[serde(default)]
    pub(crate) python: Option<String>,
    /// When it was finished.
    #[serde(default = "epoch")]
    pub(crate) built: SystemTime,
    /// How long each step took.
    #[serde(default)]
    pub(crate) steps: Vec<StepTime>,
    /// The key of the environment whose interpreter it uses: it is good for nothing without that one.
    #[serde(default)]
    pub(crate) base: Option<String>,
    /// What its activation sets, besides `PATH`.
    #[serde(default)]
    pub(crate) variables: BTreeMap<String, String>,
    /// What is in it.
    #[serde(default)]
    pub(crate) packages: Vec<Package>,
}

impl Marker {
    /// Understands what [`Marker::written`] gave, or an older builder's.
    pub(crate) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// As a text.
    pub(crate) fn written(&self) -> Result<String, LoadError> {
        serde_json::to_string(self).map_err(|error| {
            LoadError::permanent(format!("cannot write down what was built: {error}"))
        })
    }
}

fn epoch() -> SystemTime {
    SystemTime::UNIX_EPOCH
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::facts::ScoringServer;

    fn facts() -> Facts {
        Facts {
            mlflow_version: "3.17.2".to_owned(),
            server: ScoringServer::Uvicorn,
            module: "mlflow".to_owned(),
        }
    }

    #[test]
    fn a_marker_is_read_as_it_was_written_with_mlflow_or_without() {
        for facts in [Some(facts()), None] {
            let marker = Marker {
                facts,
                manager: "uv".to_owned(),
                python: Some("3.11.7".to_owned()),
                built: SystemTime::now(),
                steps: vec![StepTime {
                    step: "solving".to_owned(),
                    seconds: 1.5,
                }],
                base: Some("key".to_owned()),
                variables: BTreeMap::from([("A".to_owned(), "1".to_owned())]),
                packages: vec![Package {
                    name: "numpy".to_owned(),
                    version: "2.0".to_owned(),
                    source: "pypi".to_owned(),
                }],
            };
            let written = marker.written().unwrap();
            assert_eq!(Marker::read(&written), Some(marker));
        }
    }

    #[test]
    fn a_marker_of_an_older_builder_tells_what_it_can() {
        let old = r#"{"mlflow": "3.17.2", "server": "uvicorn", "module": "mlflow"}"#;
        let marker = Marker::read(old).unwrap();
        assert_eq!(marker.facts, Some(facts()));
        assert_eq!(marker.built, SystemTime::UNIX_EPOCH);
        assert_eq!(Marker::read("not JSON"), None);
    }
}
