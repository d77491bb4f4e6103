//! Webhooks of the registry: what is installed, and how deliveries go.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Timestamp;

/// The answer of `GET /api/v1/webhooks`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookPage {
    /// The webhooks of the registry that deliver to a gateway, this one or another.
    pub webhooks: Vec<WebhookInfo>,
    /// How deliveries to this gateway go.
    pub deliveries: WebhooksState,
}

/// One webhook at the registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookInfo {
    /// The registry's own name of it.
    pub id: String,
    /// The name that it was given.
    pub name: String,
    /// Where it delivers to.
    pub url: String,
    /// What it tells of, such as `model_version.created`.
    pub events: Vec<String>,
    /// Whether it delivers.
    pub active: bool,
}

/// How deliveries of the registry's webhooks go, in this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhooksState {
    /// Whether the gateway has a secret, without which every delivery is refused.
    pub has_secret: bool,
    /// Whether a webhook is installed at the registry; left out while nobody has looked and nothing was delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installed: Option<bool>,
    /// When a delivery was last taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_delivery: Option<Timestamp>,
    /// Deliveries that were taken, those with nothing to do for them included.
    pub accepted: u64,
    /// Deliveries that had come before.
    pub repeated: u64,
    /// Deliveries that were refused: forged, too old, or malformed.
    pub refused: u64,
}

/// The body of `POST /api/v1/webhooks/install`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InstallWebhook {
    /// How the registry reaches this gateway; by default `public_url` of its configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The webhook's name at the registry, by default `sluicegate`. Several gateways of one registry need several names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// The answer of `POST /api/v1/webhooks/install`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InstalledWebhook {
    /// What is installed now.
    pub webhook: WebhookInfo,
    /// Whether there was none of this name before.
    pub created: bool,
    /// Where the one that there was delivered to, if that was somewhere else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
}

/// Which webhook is meant: the query of `DELETE /api/v1/webhooks`, and the body of `POST /api/v1/webhooks/test`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WebhookName {
    /// Its name at the registry, by default `sluicegate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// The answer of `POST /api/v1/webhooks/test`: how a delivery on trial went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookTrial {
    /// Whether it arrived and was taken.
    pub success: bool,
    /// The status that the registry was answered with; left out if it was not answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What went wrong and what to do, for people; left out where nothing did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The answer of `DELETE /api/v1/webhooks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RemovedWebhooks {
    /// How many of the name there were.
    pub removed: u32,
}

/// The answer to a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Received {
    /// What became of it.
    pub outcome: DeliveryOutcome,
}

/// What became of a delivery that was signed as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryOutcome {
    /// The registry is asked what it tells of.
    Accepted,
    /// It concerns nothing that is followed here.
    Ignored,
    /// It has come before.
    Repeated,
}
