//! Tokens over `/api/v1`.

use axum::Json;
use http::StatusCode;

use super::Refused;
use super::access::Access;
use super::extract::{Body, Segments};
use super::token_book::Wish;
use crate::api::{CreateToken, CreatedToken, TokenPage};
use crate::local_tokens::describe;

/// `POST /tokens`.
pub(super) async fn create(
    access: Access,
    body: Body,
) -> Result<(StatusCode, Json<CreatedToken>), Refused> {
    let asked: CreateToken = body.read()?;
    let grants = asked
        .grants()
        .map_err(|error| Refused::invalid(error.to_string()))?;
    let wish = Wish {
        principal: asked.principal,
        comment: asked.comment.unwrap_or_default(),
        lifetime: asked.lifetime.map(|lifetime| lifetime.0),
        grants,
    };
    let (known, token) = access.create_token(wish).await?;
    let created = CreatedToken {
        token: token.expose().to_owned(),
        grants: match access.to_give_rights() {
            Ok(()) => access.grants(Some(&*known.record.principal)).await?,
            Err(_) => Vec::new(),
        },
        info: describe(known.record, known.admin),
    };
    Ok((StatusCode::CREATED, Json(created)))
}

/// `GET /tokens`.
pub(super) async fn list(access: Access) -> Result<Json<TokenPage>, Refused> {
    let known = access.tokens().await?;
    Ok(Json(TokenPage {
        tokens: known
            .into_iter()
            .map(|known| describe(known.record, known.admin))
            .collect(),
    }))
}

/// `DELETE /tokens/{id}`.
pub(super) async fn revoke(
    access: Access,
    Segments(id): Segments<String>,
) -> Result<StatusCode, Refused> {
    access.revoke_token(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}
