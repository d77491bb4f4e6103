//! Tokens: how they are asked for, and what may be told about them later.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{GrantInfo, HumaneDuration, Timestamp};

/// The body of `POST /api/v1/tokens`. Everything may be left out: a token for the caller, without an end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CreateToken {
    /// Whom the token speaks for; only an admin may name somebody else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// A note for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// How long it is good for; without it, until it is revoked. Never longer than the token that it is asked for with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<HumaneDuration>,
    /// All models and everybody's tokens; only an admin may ask for it.
    pub admin: bool,
    /// Model patterns (`iris`, `fraud-*`) that the principal may score and see from now on; only an admin may give them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub read: Vec<String>,
    /// Model patterns that the principal may manage from now on; only an admin may give them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub manage: Vec<String>,
}

/// The answer to `POST /api/v1/tokens`: the only time that the token is shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatedToken {
    /// The token, to be kept secret.
    pub token: String,
    /// What may be told about it later.
    pub info: TokenInfo,
    /// What its principal holds now, with what was given before: rights belong to principals, not to tokens. Left out for
    /// callers who may not know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<GrantInfo>,
}

/// What may be told about a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenInfo {
    /// Names the token in calls; no secret.
    pub id: String,
    /// Whom it speaks for.
    pub principal: String,
    /// A note for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends; absent if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Whether it speaks for an admin.
    #[serde(default)]
    pub admin: bool,
}

/// The answer of `GET /api/v1/tokens`, oldest first: an admin sees everybody's, others their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenPage {
    /// Oldest first.
    pub tokens: Vec<TokenInfo>,
}

impl std::fmt::Debug for CreatedToken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("CreatedToken")
            .field("info", &self.info)
            .field("grants", &self.grants)
            .finish_non_exhaustive()
    }
}
