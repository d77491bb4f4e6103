//! Models and their versions as the API shows them.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Origin, Settings, TagProblem, Timestamp};

/// How serving of a model stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ModelState {
    /// Enabled, not one version decided yet.
    Pending,
    /// The machine side is up; versions may still be building.
    Ready,
    /// The machine side cannot be brought up.
    Failed,
}

/// Where a version is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum VersionState {
    /// Wanted; waits for its turn.
    Pending,
    /// Fetched, and its environment built.
    Building,
    /// Workers start and warm up.
    Starting,
    /// Callers can reach it.
    Ready,
    /// Callers can no longer reach it; requests in flight end.
    Draining,
    /// It could not be loaded: see `last_error`.
    Failed,
}

/// What the caller may do with a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Permission {
    /// Score, see status, events, logs and URIs.
    Read,
    /// Also enable, disable, change settings, restart.
    Manage,
}

/// A page of registered models, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelPage {
    /// Those that the caller may see.
    pub models: Vec<ModelSummary>,
    /// Hand it back as `page_token` for more; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

/// One model in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelSummary {
    /// Its name.
    pub name: String,
    /// As written in the registry; may be empty.
    #[serde(default)]
    pub description: String,
    /// Last change that the registry knows of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<Timestamp>,
    /// How serving stands; null when it is not enabled.
    #[schema(required)]
    pub state: Option<ModelState>,
    /// Versions that are wanted, being served, or on their way out.
    pub versions: u32,
    /// How many of them callers can reach.
    pub ready: u32,
    /// How many of them failed.
    pub failed: u32,
    /// What the caller may do with it: at least that, where the registry would have to be asked about each model of the
    /// list for more. Absent in what older gateways tell.
    #[serde(default = "Permission::least")]
    pub permission: Permission,
    /// Stages and aliases, and where they point.
    #[serde(default)]
    pub labels: Vec<LabelSummary>,
}

/// A stage or an alias in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LabelSummary {
    /// As it is written in a URI: `Production`, `@champion`.
    pub label: String,
    /// The version that callers reach by it; absent while none is Ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<u64>,
    /// The version that the registry wants there; differs from `current` until that one is Ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aspired: Option<u64>,
}

/// Everything about one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ModelDetail {
    /// Its name.
    pub name: String,
    /// As written in the registry; may be empty.
    #[serde(default)]
    pub description: String,
    /// Last change that the registry knows of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<Timestamp>,
    /// How serving stands; null when it is not enabled.
    #[schema(required)]
    pub state: Option<ModelState>,
    /// Why the state is not READY, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_reason: Option<String>,
    /// What the caller may do with it.
    pub permission: Permission,
    /// How it is served, defaults filled in; null when serving is not enabled.
    #[schema(required)]
    pub settings: Option<Settings>,
    /// Where each setting comes from; empty when serving is not enabled.
    #[serde(default)]
    pub settings_from: BTreeMap<String, Origin>,
    /// Tags of the registered model, `sluicegate.…`, that change nothing, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tag_problems: Vec<TagProblem>,
    /// Newest first.
    pub versions: Vec<VersionDetail>,
    /// Stages and aliases, and where they point.
    pub labels: Vec<LabelDetail>,
}

/// One version of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VersionDetail {
    /// Its number.
    pub version: u64,
    /// Where it is in its life.
    pub state: VersionState,
    /// What is being done right now: "installing 12 packages".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// When that began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_since: Option<Timestamp>,
    /// When it came into this state.
    pub since: Timestamp,
    /// The stage that the registry gives it, if callers are meant to reach it by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// The aliases that the registry gives it, without `@`.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Scoring URIs that this version answers now (Ready), or will answer at least (its number's).
    pub uris: Vec<String>,
    /// Live workers.
    pub replicas: u32,
    /// Workers that there are to be now, within the range that the settings give.
    #[serde(default)]
    pub replicas_wanted: u32,
    /// Whether it is without a worker because nobody calls it, READY or, if it could not be woken last, FAILED: the next
    /// request starts one and waits for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asleep: bool,
    /// Memory of its workers in bytes, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Whether its workers are not as they are wanted yet, though it is READY (the old ones answer) or FAILED: settings that
    /// need new ones were changed, a restart was asked for, more are wanted than there are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub renewing: bool,
    /// Why the last attempt at that failed, while the old workers answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_renewal_failure: Option<FailureDetail>,
    /// Whether requests to it share calls of its workers; absent while callers cannot reach it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batching: Option<BatchingDetail>,
    /// How often a worker died by itself in this life.
    pub crashes: u32,
    /// Why it is FAILED.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<FailureDetail>,
    /// Each worker of it that runs, also one that is being started or stopped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replicas_detail: Vec<ReplicaDetail>,
}

/// Whether requests of several callers share calls of a version's workers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BatchingDetail {
    /// Whether they do.
    pub on: bool,
    /// Why, or why not, for people: "the model was logged without an input example".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Rows that a call has had on average since the version became ready; absent before the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_rows: Option<f64>,
}

/// One worker of a version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReplicaDetail {
    /// Its number, which is never used again in the life of its version.
    pub replica: u64,
    /// The process that leads it, on the gateway's host.
    pub process_id: u32,
    /// When it was started.
    pub since: Timestamp,
    /// Memory of all its processes in bytes, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Time of processors that all its processes took, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_seconds: Option<f64>,
}

/// A stage or an alias.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LabelDetail {
    /// As it is written in a URI: `Production`, `@champion`.
    pub label: String,
    /// The version that callers reach by it; absent while none is Ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<u64>,
    /// The version that the registry wants there; differs from `current` until that one is Ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aspired: Option<u64>,
    /// Why `aspired` will not answer by it: the setting `versions` leaves that version out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The scoring URI.
    pub uri: String,
}

/// Why a version is not served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FailureDetail {
    /// `permanent` (waits for a change), `transient` (tried again) or `crash_loop` (died too often).
    pub kind: String,
    /// What kind of trouble it was, for programs: `PACKAGE_NOT_FOUND`; absent where there is no word for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// For people.
    pub message: String,
    /// The last lines that the failed step printed, oldest first.
    #[serde(default)]
    pub last_lines: Vec<String>,
    /// When it is tried again; absent if it waits for a change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try: Option<Timestamp>,
    /// How often it was tried.
    #[serde(default)]
    pub attempts: u32,
}

impl Permission {
    fn least() -> Self {
        Self::Read
    }
}

impl ModelState {
    /// As people read it: `Pending`, `Ready`, `Failed`.
    pub fn shown(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Ready => "Ready",
            Self::Failed => "Failed",
        }
    }
}

impl VersionState {
    /// As people read it: `Pending`, `Building`, …
    pub fn shown(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Building => "Building",
            Self::Starting => "Starting",
            Self::Ready => "Ready",
            Self::Draining => "Draining",
            Self::Failed => "Failed",
        }
    }

    /// Whether the version is on its way to READY, so that waiting makes sense.
    pub fn is_coming(self) -> bool {
        matches!(self, Self::Pending | Self::Building | Self::Starting)
    }
}

impl fmt::Display for ModelState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.shown())
    }
}

impl fmt::Display for VersionState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.shown())
    }
}
