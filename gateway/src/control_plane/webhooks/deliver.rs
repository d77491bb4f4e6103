//! `POST /webhooks/mlflow`: what the registry delivers. No credential is asked for: the signature is one.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use http::{HeaderMap, HeaderName};
use tokio::time::timeout;

use super::desk::NotTaken;
use super::signature::Signed;
use crate::api::Received;
use crate::control_plane::openapi::{
    InvalidParameterValue, RequestTooLarge, ResourceDoesNotExist, Unauthenticated,
};
use crate::control_plane::{ControlState, Refused};
use crate::error::ErrorCode;

/// Messages of MLflow are some hundred bytes; a description may make them longer.
const BODY_LIMIT: usize = 64 << 10;

/// For the body to arrive.
const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// An id of MLflow has 36 characters.
const LONGEST_ID: usize = 128;

const ID: HeaderName = HeaderName::from_static("x-mlflow-delivery-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("x-mlflow-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("x-mlflow-signature");

/// A delivery of the registry.
///
/// `X-MLflow-Signature` is the credential: base64 of HMAC-SHA256 over id, timestamp and body.
#[utoipa::path(
    post,
    path = "/webhooks/mlflow",
    operation_id = "deliver_webhook",
    tag = "webhooks",
    security(()),
    params(
        ("X-MLflow-Delivery-Id" = String, Header, description = "A delivery of the same id does nothing."),
        ("X-MLflow-Timestamp" = i64, Header, description = "Seconds since the epoch."),
        ("X-MLflow-Signature" = String, Header, description = "`v1,` and the signature."),
    ),
    request_body(content = String, content_type = "application/json"),
    responses(
        (status = OK, description = "Taken, or known already.", body = Received),
        InvalidParameterValue,
        Unauthenticated,
        ResourceDoesNotExist,
        RequestTooLarge,
    ),
)]
pub(in crate::control_plane) async fn deliver(
    State(state): State<Arc<ControlState>>,
    request: Request,
) -> Result<Json<Received>, Refused> {
    let webhooks = &state.webhooks;
    let now = state.clock.now();
    let (parts, body) = request.into_parts();
    let header = |name| text(&parts.headers, name);
    let (Some(id), Some(timestamp), Some(signature)) =
        (header(ID), header(TIMESTAMP), header(SIGNATURE))
    else {
        return Err(webhooks.refuse(NotTaken::Malformed, now).into());
    };
    if id.is_empty() || id.len() > LONGEST_ID {
        return Err(webhooks.refuse(NotTaken::Malformed, now).into());
    }
    let body = timeout(BODY_DEADLINE, to_bytes(body, BODY_LIMIT)).await;
    let Ok(Ok(body)) = body else {
        webhooks.refuse(NotTaken::NoMessage, now);
        return Err(Refused::new(
            ErrorCode::RequestTooLarge,
            "the body is larger than 64 KB, was cut off, or did not arrive in time",
        ));
    };
    let delivery = Signed {
        id,
        timestamp,
        body: &body,
    };
    let outcome = webhooks.take(delivery, signature, now)?;
    Ok(Json(Received { outcome }))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

impl From<NotTaken> for Refused {
    fn from(reason: NotTaken) -> Self {
        let code = match reason {
            NotTaken::NoSecret => ErrorCode::ResourceDoesNotExist,
            NotTaken::Forged => ErrorCode::Unauthenticated,
            NotTaken::Malformed | NotTaken::Old => ErrorCode::InvalidParameterValue,
            NotTaken::NoMessage => ErrorCode::BadRequest,
        };
        Self::new(code, reason.to_string())
    }
}
