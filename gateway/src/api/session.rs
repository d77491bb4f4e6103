//! Signing in with a browser.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The body of `POST /api/v1/session`: a token, or, where rights come from the registry, its user and password.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SignIn {
    /// A token of this gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// A user of the registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The password that goes with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

/// Who is calling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionInfo {
    /// The caller's name.
    pub principal: String,
    /// Whether it may do everything.
    pub admin: bool,
    /// Whether callers have to say who they are; without that there is nothing to sign out of.
    pub authentication: bool,
}

/// Says nothing of its secrets.
impl fmt::Debug for SignIn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SignIn")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}
