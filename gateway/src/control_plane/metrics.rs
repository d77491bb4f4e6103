//! What Prometheus scrapes.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE, VARY};

use super::access::Access;
use super::openapi::{InternalError, PermissionDenied, TemporarilyUnavailable};
use super::{ControlState, Refused};
use crate::error::ErrorCode;
use crate::metrics::{Exposition, PageError};

/// What Prometheus scrapes.
///
/// Figures name models, so only callers see them who may see every model.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "gateway",
    responses(
        (status = OK, description = "Prometheus' text format, or OpenMetrics for who accepts that.", content((String = "text/plain; version=0.0.4; charset=utf-8"), (String = "application/openmetrics-text; version=1.0.0; charset=utf-8"))),
        PermissionDenied,
        TemporarilyUnavailable,
        InternalError,
    ),
)]
pub(super) async fn show(access: Access, headers: HeaderMap) -> Result<Response, Refused> {
    if access.right_on_all().await?.is_none() {
        return Err(Refused::new(
            ErrorCode::PermissionDenied,
            "the metrics name every model: they are for admins, and for those who may read \"*\"",
        ));
    }
    page(&access.state, &headers).await
}

/// `GET /metrics` where only those can ask who look after the gateway.
pub(super) async fn show_to_anybody(
    State(state): State<Arc<ControlState>>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    page(&state, &headers).await
}

async fn page(state: &ControlState, headers: &HeaderMap) -> Result<Response, Refused> {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let format = Exposition::accepted(accept);
    let text = state.metrics.write(format).await.map_err(|error| {
        let code = match error {
            PageError::Busy => ErrorCode::TemporarilyUnavailable,
            PageError::Broken => ErrorCode::InternalError,
        };
        Refused::new(code, error.to_string())
    })?;
    let headers = [(CONTENT_TYPE, format.content_type()), (VARY, "Accept")];
    Ok((headers, text).into_response())
}
