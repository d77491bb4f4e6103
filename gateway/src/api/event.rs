//! The event log of a model or a version.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::Timestamp;

/// One fact about a model or one of its versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Grows with time; never used twice.
    pub id: i64,
    /// When it was seen.
    pub at: Timestamp,
    /// The model it is about.
    pub model: String,
    /// The version it is about; absent for facts about the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// What kind of fact, for programs: `ready`, `failed`, `enabled`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// One sentence for people.
    pub message: String,
    /// The particulars of this kind.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    pub details: Map<String, Value>,
}

/// A page of the event log, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EventPage {
    /// Newest first.
    pub events: Vec<Event>,
    /// Hand it back as `page_token` for older ones; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}
