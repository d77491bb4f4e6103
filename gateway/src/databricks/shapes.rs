//! The JSON of both APIs. Keys of an answer are always there.

use serde::Serialize;
use utoipa::ToSchema;

/// The body of calls about one model; the name may stand in the query instead.
#[derive(ToSchema)]
#[expect(dead_code, reason = "read key by key, since other keys are ignored")]
pub(super) struct NamedModel {
    /// The registered model.
    registered_model_name: String,
}

/// The answer of calls that tell nothing.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Nothing {}

/// A model that is enabled.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Endpoint {
    pub(super) registered_model_name: String,
    pub(super) state: EndpointState,
}

/// How serving of a model stands.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(super) enum EndpointState {
    #[serde(rename = "ENDPOINT_STATE_PENDING")]
    Pending,
    #[serde(rename = "ENDPOINT_STATE_READY")]
    Ready,
    #[serde(rename = "ENDPOINT_STATE_FAILED")]
    Failed,
}

/// The answer of `get-status`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EndpointStatus {
    pub(super) endpoint_status: Endpoint,
}

/// The answer of `list`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EndpointList {
    pub(super) endpoints: Vec<Endpoint>,
}

/// A version of an enabled model.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EndpointVersion {
    /// Its number.
    pub(super) endpoint_version_name: String,
    pub(super) state: EndpointVersionState,
}

/// Where a version is in its life.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(super) enum EndpointVersionState {
    #[serde(rename = "VERSION_STATE_PENDING")]
    Pending,
    #[serde(rename = "VERSION_STATE_LAUNCHING")]
    Launching,
    #[serde(rename = "VERSION_STATE_READY")]
    Ready,
    #[serde(rename = "VERSION_STATE_FAILED")]
    Failed,
}

/// The answer of `list-versions`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EndpointVersionList {
    pub(super) endpoint_versions: Vec<EndpointVersion>,
}

/// The answer of `token/create`.
#[derive(Serialize, ToSchema)]
pub(super) struct PersonalToken {
    /// The token, to be kept secret: it is not shown again.
    pub(super) token_value: String,
    pub(super) token_info: PersonalTokenInfo,
}

/// What may be told about a token.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PersonalTokenInfo {
    pub(super) token_id: String,
    /// Milliseconds since the epoch.
    pub(super) creation_time: i64,
    /// Milliseconds since the epoch; -1 is never.
    pub(super) expiry_time: i64,
    pub(super) comment: String,
}

/// The answer of `token/list`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PersonalTokenList {
    pub(super) token_infos: Vec<PersonalTokenInfo>,
}
