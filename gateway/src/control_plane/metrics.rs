//! What Prometheus scrapes.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use prometheus_client::encoding::text::encode;

use super::access::Access;
use super::{ControlState, Refused};
use crate::error::ErrorCode;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `GET /metrics`. Figures name models, so only callers see them who may see every model.
pub(super) async fn show(access: Access) -> Result<Response, Refused> {
    if access.right_on_all().await?.is_none() {
        return Err(Refused::new(
            ErrorCode::PermissionDenied,
            "the metrics name every model: they are for admins, and for those who may read \"*\"",
        ));
    }
    page(&access.state)
}

/// `GET /metrics` where only those can ask who look after the gateway.
pub(super) async fn show_to_anybody(
    State(state): State<Arc<ControlState>>,
) -> Result<Response, Refused> {
    page(&state)
}

fn page(state: &ControlState) -> Result<Response, Refused> {
    let mut text = String::new();
    encode(&mut text, &state.metrics)
        .map_err(|_| Refused::new(ErrorCode::InternalError, "the metrics cannot be written"))?;
    Ok(([(CONTENT_TYPE, OPENMETRICS)], text).into_response())
}
