//! The two APIs that outside callers bring along: legacy endpoints, and tokens. Their shapes, our doing.
//!
//! Times are milliseconds since the epoch. Bodies are JSON whatever their `Content-Type` says, unknown fields are ignored,
//! and keys of an answer are always there.

mod endpoints;
mod tokens;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use crate::control_plane::ControlState;

/// Both prefixes under which notebooks and libraries look for the endpoints' API.
const PREFIXES: [&str; 2] = [
    "/api/2.0/mlflow/endpoints",
    "/api/2.0/preview/mlflow/endpoints",
];

/// To be put behind authentication.
pub(crate) fn routes() -> Router<Arc<ControlState>> {
    let endpoints = Router::new()
        .route("/enable", post(endpoints::enable))
        .route("/disable", post(endpoints::disable))
        .route("/get-status", get(endpoints::status))
        .route("/list", get(endpoints::list))
        .route("/list-versions", get(endpoints::list_versions));
    let tokens = Router::new()
        .route("/create", post(tokens::create))
        .route("/list", get(tokens::list))
        .route("/delete", post(tokens::delete));
    let routes = Router::new().nest("/api/2.0/token", tokens);
    PREFIXES.into_iter().fold(routes, |routes, prefix| {
        routes.nest(prefix, endpoints.clone())
    })
}
