//! Rights of principals over `/api/v1`: given together with a token, seen and taken back here.

use std::sync::Arc;

use auth::Grant;
use axum::Json;
use http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Refused;
use super::access::Access;
use super::extract::Parameters;
use super::openapi::{
    InvalidParameterValue, PermissionDenied, ResourceDoesNotExist, TemporarilyUnavailable,
};
use crate::api::{GrantInfo, GrantPage};
use crate::error::ErrorCode;
use crate::local_tokens::shown;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only of this one.
    principal: Option<String>,
}

/// Rights: everybody's for an admin, their own for others.
#[utoipa::path(
    get,
    path = "/grants",
    operation_id = "list_grants",
    tag = "tokens",
    params(
        ListQuery,
    ),
    responses(
        (status = OK, description = "By principal.", body = GrantPage),
        InvalidParameterValue,
        TemporarilyUnavailable,
    ),
)]
pub(super) async fn list(
    access: Access,
    Parameters(query): Parameters<ListQuery>,
) -> Result<Json<GrantPage>, Refused> {
    access.to_give_rights()?;
    let grants = access.grants(query.principal.as_deref()).await?;
    Ok(Json(GrantPage { grants }))
}

/// Takes exactly the named right back, and nothing when that was not given. For admins.
#[utoipa::path(
    delete,
    path = "/grants",
    operation_id = "revoke_grant",
    tag = "tokens",
    params(
        GrantInfo,
    ),
    responses(
        (status = NO_CONTENT, description = "It holds no longer."),
        InvalidParameterValue,
        PermissionDenied,
        ResourceDoesNotExist,
        TemporarilyUnavailable,
    ),
)]
pub(super) async fn revoke(
    access: Access,
    Parameters(named): Parameters<GrantInfo>,
) -> Result<StatusCode, Refused> {
    access.to_give_rights()?;
    let grant = named
        .grant()
        .map_err(|error| Refused::invalid(error.to_string()))?;
    access.revoke_grant(&named, &grant).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl Access {
    /// Refuses to give, take or tell rights where those that are given here count for nothing.
    pub(super) fn to_give_rights(&self) -> Result<(), Refused> {
        let state = &self.state;
        if state.authenticator.inherited().is_none() {
            return Ok(());
        }
        Err(Refused::invalid(format!(
            "rights are not given here: they come from the registry (auth.rights = \"registry\"); give them there, at {}",
            state.about.registry_url
        )))
    }

    /// The rights that the caller may know of, of `principal` or of everybody.
    pub(super) async fn grants(&self, principal: Option<&str>) -> Result<Vec<GrantInfo>, Refused> {
        let kept = self.state.tokens.load().await?;
        let caller = &self.principal;
        // A token with scopes stands for a part of its principal, and learns nothing of the rest.
        let may_know = |name: &Arc<str>| {
            caller.admin || (*name == caller.name && caller.scopes.is_everything())
        };
        let grants = kept
            .grants
            .into_iter()
            .filter(|(name, _)| may_know(name) && principal.is_none_or(|only| *only == **name));
        Ok(shown(grants))
    }

    /// Takes a right back; it holds no longer when this returns.
    async fn revoke_grant(&self, named: &GrantInfo, grant: &Grant) -> Result<(), Refused> {
        if !self.principal.admin {
            return Err(Refused::new(
                ErrorCode::PermissionDenied,
                "only an admin may take rights back",
            ));
        }
        let tokens = &self.state.tokens;
        let revoked = tokens.revoke_grant(&named.principal, grant).await?;
        // Also after a "no": somebody else may have taken it back a moment ago.
        self.state.authenticator.reload().await?;
        if revoked {
            return Ok(());
        }
        Err(Refused::missing(format!(
            "{} was not given the right \"{named}\"",
            named.principal
        )))
    }
}
