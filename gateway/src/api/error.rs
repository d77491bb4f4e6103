//! The body of every refusal.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a client is told when something was refused or failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// One of the contract's codes, for programs.
    pub error_code: String,
    /// For people: what was wrong, where, what to do.
    pub message: String,
    /// Names this request in the gateway's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}
