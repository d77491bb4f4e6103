//! What Prometheus scrapes.

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use prometheus_client::encoding::text::encode;

use super::Refused;
use super::access::Access;
use crate::error::ErrorCode;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `GET /metrics`, for every known caller: figures name models, so nobody else sees them.
pub(super) async fn show(access: Access) -> Result<Response, Refused> {
    let mut text = String::new();
    encode(&mut text, &access.state.metrics)
        .map_err(|_| Refused::new(ErrorCode::InternalError, "the metrics cannot be written"))?;
    Ok(([(CONTENT_TYPE, OPENMETRICS)], text).into_response())
}
