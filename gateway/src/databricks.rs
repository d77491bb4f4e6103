//! The two APIs that outside callers bring along: legacy endpoints, and tokens. Their shapes, our doing.
//!
//! Times are milliseconds since the epoch. Bodies are JSON whatever their `Content-Type` says, unknown fields are ignored,
//! and keys of an answer are always there.

mod endpoints;
mod shapes;
mod tokens;

use utoipa_axum::routes;

use crate::control_plane::Routes;

/// Both prefixes under which notebooks and libraries look for the endpoints' API.
const PREFIXES: [&str; 2] = [
    "/api/2.0/mlflow/endpoints",
    "/api/2.0/preview/mlflow/endpoints",
];

/// To be put behind authentication.
pub(crate) fn routes() -> Routes {
    let endpoints = Routes::new()
        .routes(routes!(endpoints::enable))
        .routes(routes!(endpoints::disable))
        .routes(routes!(endpoints::status))
        .routes(routes!(endpoints::list))
        .routes(routes!(endpoints::list_versions));
    let tokens = Routes::new()
        .routes(routes!(tokens::create))
        .routes(routes!(tokens::list))
        .routes(routes!(tokens::delete));
    let routes = Routes::new().nest("/api/2.0/token", tokens);
    PREFIXES.into_iter().fold(routes, |routes, prefix| {
        routes.nest(prefix, endpoints.clone())
    })
}
