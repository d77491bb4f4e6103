//! What is answered on the address of those who look after the gateway.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn;
use axum::routing::get;

use super::{ControlState, health, metrics, respond};

/// Health and figures without a credential, and nothing else: for an address that only those reach who look after the
/// gateway.
pub fn admin_router(state: impl Into<Arc<ControlState>>) -> Router {
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::show_to_anybody))
        .fallback(respond::nothing_here)
        .with_state(state.into())
        .layer(from_fn(respond::finish))
}
