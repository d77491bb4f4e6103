//! Environments of model versions as the API shows them, and what is asked about them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ByteSize, EnvManager, HumaneDuration, Timestamp};

/// All environments, most recently used first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EnvironmentPage {
    /// Each of them.
    pub environments: Vec<EnvironmentSummary>,
}

/// One environment in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnvironmentSummary {
    /// Names it: 32 hexadecimal digits, of which a beginning is enough that no other has.
    pub key: String,
    /// Who built it.
    pub env_manager: EnvManager,
    /// The version of its Python, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python: Option<String>,
    /// The version of its MLflow; absent if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mlflow: Option<String>,
    /// Whether it works no more, since somebody changed its files: it is built again when it is needed.
    #[serde(default)]
    pub broken: bool,
    /// The key of the environment whose Python it uses, if that is one of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// The keys of the environments that use its Python: it stays as long as they do. Empty for callers who are no
    /// admins.
    #[serde(default)]
    pub base_of: Vec<String>,
    /// Bytes of all files in it, as if none was shared.
    pub size_bytes: u64,
    /// Bytes among them that the package cache or other environments hold as well.
    pub shared_bytes: u64,
    /// The versions that use it now.
    #[serde(default)]
    pub used_by: Vec<ServedVersion>,
    /// When it was built.
    pub built: Timestamp,
    /// When a worker was last started in it, or it was built.
    pub last_used: Timestamp,
}

/// A version of a registered model.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct ServedVersion {
    /// The model.
    pub model: String,
    /// The number of the version.
    pub version: u64,
}

/// Everything about one environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EnvironmentDetail {
    /// What a list shows of it.
    #[serde(flatten)]
    pub summary: EnvironmentSummary,
    /// Its folder on the gateway's host. Left out for callers who are no admins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What its build did, and how long each step took.
    #[serde(default)]
    pub steps: Vec<BuildStep>,
    /// What is in it, by name.
    #[serde(default)]
    pub packages: Vec<PythonPackage>,
}

/// One step of a build.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BuildStep {
    /// In the present participle: "solving".
    pub step: String,
    /// How long it took.
    pub seconds: f64,
}

/// An installed package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PythonPackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The channel that it came from, or `pypi`.
    pub source: String,
}

/// The body of `POST /api/v1/environments`: build what a version declares, before somebody waits for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BuildEnvironment {
    /// The registered model; it need not be enabled.
    pub model: String,
    /// The version, in any stage.
    pub version: u64,
    /// Who builds it; the model's settings say so otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_manager: Option<EnvManager>,
    /// Forgets which packages were chosen before, and chooses anew. For admins: others may share the environment.
    #[serde(default)]
    pub fresh: bool,
}

/// One line of the answer to `POST /api/v1/environments`: steps, then exactly one of the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BuildLine {
    /// What is being done now. Said again from time to time, so that nothing on the way takes the silence for an end.
    Step(String),
    /// It is there.
    Environment(Box<EnvironmentDetail>),
    /// It cannot be built.
    Error(BuildFailure),
}

/// Why an environment cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BuildFailure {
    /// For programs: the trouble's own word (`PACKAGE_NOT_FOUND`), else `BUILD_FAILED`.
    pub error_code: String,
    /// For people.
    pub message: String,
    /// The last lines that the failed step printed, oldest first.
    #[serde(default)]
    pub last_lines: Vec<String>,
}

/// The body of `POST /api/v1/environments/prune`. Without anything, all go that nobody uses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PruneEnvironments {
    /// Only these: keys, or beginnings of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// Only those that nobody has used for so long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unused_for: Option<HumaneDuration>,
    /// Least recently used first, until what is left is no larger.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_size: Option<ByteSize>,
    /// Only tell what would go.
    pub dry_run: bool,
}

/// What went, or would go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PrunedEnvironments {
    /// The keys of the environments.
    pub environments: Vec<String>,
    /// Bytes that are free by it; an estimate where files are shared.
    pub freed_bytes: u64,
    /// Those that were named and had to stay.
    pub in_use: Vec<KeptEnvironment>,
}

/// An environment that was to be removed, and stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeptEnvironment {
    /// Its key.
    pub key: String,
    /// Why, for people: "used by iris@3". At least one.
    pub reasons: Vec<String>,
}

impl std::fmt::Display for ServedVersion {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}@{}", self.model, self.version)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_of_a_build_names_what_it_tells() {
        let lines = [
            BuildLine::Step("solving".to_owned()),
            BuildLine::Error(BuildFailure {
                error_code: "NETWORK".to_owned(),
                message: "no answer".to_owned(),
                last_lines: Vec::new(),
            }),
        ];
        assert_eq!(
            json!(lines),
            json!([
                {"step": "solving"},
                {"error": {"error_code": "NETWORK", "message": "no answer", "last_lines": []}},
            ])
        );
    }
}
