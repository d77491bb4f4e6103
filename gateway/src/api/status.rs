//! How the gateway as a whole is doing, for `doctor` and for people.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{HumaneDuration, Timestamp, WebhooksState};

/// The answer of `GET /api/v1/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The gateway's version.
    pub version: String,
    /// When it started.
    pub started: Timestamp,
    /// How long it has been up, in whole seconds.
    #[schema(value_type = String, example = "90s")]
    pub uptime: HumaneDuration,
    /// Who is asking.
    pub principal: String,
    /// Whether the caller is an admin.
    pub admin: bool,
    /// Whether the aspired versions are known, so that routes are published.
    pub routes_published: bool,
    /// Models that are enabled.
    pub models_enabled: u32,
    /// Versions that callers can reach.
    pub versions_ready: u32,
    /// Versions that failed.
    pub versions_failed: u32,
    /// How polling the registry goes.
    pub registry: RegistryState,
    /// How asking the registry for callers' rights goes; absent where rights do not come from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rights: Option<RightsState>,
    /// How deliveries of the registry's webhooks go.
    #[serde(default)]
    pub webhooks: WebhooksState,
}

/// How asking the registry for callers' rights goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RightsState {
    /// Whether the registry answered the last question, if there was one. Why not, is in the gateway's log.
    pub answered: bool,
}

/// How polling the registry goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RegistryState {
    /// Its address, without credentials.
    pub url: String,
    /// Whether the last poll succeeded.
    pub reachable: bool,
    /// When it last answered this process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_success: Option<Timestamp>,
    /// Why the last poll failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
