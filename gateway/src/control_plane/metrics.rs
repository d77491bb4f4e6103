//! What Prometheus scrapes.

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use prometheus_client::encoding::text::encode;

use super::Refused;
use super::access::Access;
use super::openapi::{InternalError, PermissionDenied, TemporarilyUnavailable};
use crate::error::ErrorCode;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What Prometheus scrapes.
///
/// Figures name models, so only callers see them who may see every model.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "gateway",
    responses(
        (status = OK, description = "OpenMetrics.", body = String, content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        PermissionDenied,
        TemporarilyUnavailable,
        InternalError,
    ),
)]
pub(super) async fn show(access: Access) -> Result<Response, Refused> {
    if access.right_on_all().await?.is_none() {
        return Err(Refused::new(
            ErrorCode::PermissionDenied,
            "the metrics name every model: they are for admins, and for those who may read \"*\"",
        ));
    }
    let mut text = String::new();
    encode(&mut text, &access.state.metrics)
        .map_err(|_| Refused::new(ErrorCode::InternalError, "the metrics cannot be written"))?;
    Ok(([(CONTENT_TYPE, OPENMETRICS)], text).into_response())
}
