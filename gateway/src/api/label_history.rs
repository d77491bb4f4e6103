//! Which version a label pointed at, and when.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Timestamp;

/// A page of the history of one label of a model, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LabelHistory {
    /// As it is written in a URI: `Production`, `@champion`.
    pub label: String,
    /// Newest first. Between two of them the label pointed nowhere. Stops and starts of the gateway are no part of it.
    pub intervals: Vec<LabelInterval>,
    /// Hand it back as `page_token` for older ones; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

/// A time in which a label pointed at one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LabelInterval {
    /// The version.
    pub version: u64,
    /// From when on callers reached it by the label; absent if that was before the oldest event that is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Until when; absent while it lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// How it ended; absent while it lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<LabelEnd>,
}

/// How a label came to point at a version no longer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum LabelEnd {
    /// It points at another version.
    Moved {
        /// The other one.
        to: u64,
    },
    /// The registry has it no longer, or its version is gone.
    Removed,
    /// Serving of the model was disabled.
    Disabled {
        /// By whom.
        by: String,
    },
}
