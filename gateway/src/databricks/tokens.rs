//! The token API: a caller manages its own tokens, an admin everybody's.

use std::time::{Duration, SystemTime};

use axum::Json;
use serde::Deserialize;
use utoipa::ToSchema;

use super::shapes::{Nothing, PersonalToken, PersonalTokenInfo, PersonalTokenList};
use crate::control_plane::openapi::{
    InvalidParameterValue, PermissionDenied, RequestTooLarge, ResourceDoesNotExist,
    TemporarilyUnavailable,
};
use crate::control_plane::{Access, Body, Known, Refused, Wish};

#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = CreatePersonalToken)]
struct Create {
    /// A note for people.
    #[serde(default)]
    comment: Option<String>,
    /// Without it, or with -1, the token has no end.
    #[schema(minimum = -1)]
    #[serde(default)]
    lifetime_seconds: Option<i64>,
    #[serde(default)]
    scopes: Option<Vec<String>>,
    #[serde(default)]
    autoscope_enabled: Option<bool>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = DeletePersonalToken)]
struct Delete {
    token_id: String,
}

/// Makes a token for the caller.
#[utoipa::path(
    post,
    path = "/create",
    operation_id = "create_personal_token",
    tag = "legacy",
    request_body(content = Option<Create>, content_type = "application/json"),
    responses(
        (status = OK, description = "The only time that the token is shown.", body = PersonalToken),
        InvalidParameterValue,
        PermissionDenied,
        RequestTooLarge,
        TemporarilyUnavailable,
    ),
)]
pub(super) async fn create(access: Access, body: Body) -> Result<Json<PersonalToken>, Refused> {
    let asked: Create = body.read()?;
    // Whoever asks for less must not be given everything.
    if asked.scopes.is_some_and(|scopes| !scopes.is_empty())
        || asked.autoscope_enabled == Some(true)
    {
        return Err(Refused::invalid(
            "\"scopes\" and \"autoscope_enabled\" are not known here; `sluicegate tokens create` gives rights by model",
        ));
    }
    let lifetime = match asked.lifetime_seconds {
        // -1 is how an answer says "never", so it may come back as a question.
        None | Some(-1) => None,
        Some(seconds) => {
            let seconds = u64::try_from(seconds)
                .map_err(|_| Refused::invalid("\"lifetime_seconds\" must not be negative"))?;
            Some(Duration::from_secs(seconds))
        }
    };
    let wish = Wish {
        comment: asked.comment.unwrap_or_default(),
        lifetime,
        ..Wish::default()
    };
    let (known, token) = access.create_token(wish).await?;
    Ok(Json(PersonalToken {
        token_value: token.expose().to_owned(),
        token_info: info(&known),
    }))
}

/// Tokens: everybody's for an admin, their own for others.
#[utoipa::path(
    get,
    path = "/list",
    operation_id = "list_personal_tokens",
    tag = "legacy",
    responses(
        (status = OK, description = "Oldest first.", body = PersonalTokenList),
        InvalidParameterValue,
        RequestTooLarge,
        TemporarilyUnavailable,
    ),
)]
pub(super) async fn list(access: Access, _: Body) -> Result<Json<PersonalTokenList>, Refused> {
    let known = access.tokens().await?;
    Ok(Json(PersonalTokenList {
        token_infos: known.iter().map(info).collect(),
    }))
}

/// Revokes a token.
#[utoipa::path(
    post,
    path = "/delete",
    operation_id = "delete_personal_token",
    tag = "legacy",
    request_body(content = Delete, content_type = "application/json"),
    responses(
        (status = OK, description = "It holds no longer.", body = Nothing),
        InvalidParameterValue,
        ResourceDoesNotExist,
        RequestTooLarge,
        TemporarilyUnavailable,
    ),
)]
pub(super) async fn delete(access: Access, body: Body) -> Result<Json<Nothing>, Refused> {
    let asked: Delete = body.read()?;
    access.revoke_token(&asked.token_id).await?;
    Ok(Json(Nothing {}))
}

fn info(known: &Known) -> PersonalTokenInfo {
    let record = &known.record;
    PersonalTokenInfo {
        token_id: record.id.to_string(),
        creation_time: millis(record.created),
        expiry_time: record.expires.map_or(-1, millis),
        comment: record.comment.clone(),
    }
}

fn millis(time: SystemTime) -> i64 {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
