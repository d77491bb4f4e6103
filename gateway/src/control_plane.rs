//! The control plane: operate and observe, over `/api/v1`, `/healthz`, `/readyz`, `/metrics` and the two legacy APIs.
//!
//! The web framework is known here and in `databricks` only. A refusal is an [`ApiError`](crate::error::ApiError)
//! until the outermost layer gives it a body.

mod access;
mod authentication;
mod build_turns;
mod build_words;
mod caller_watch;
mod engine;
mod environments;
mod event_words;
mod events;
mod example;
mod extract;
mod grants;
mod health;
mod intent_book;
mod label_history;
mod log_files;
mod log_line;
mod log_reader;
mod log_stream;
mod logs;
mod metrics;
mod models;
mod respond;
mod restart;
mod serving;
mod state;
mod status;
mod tag_follower;
mod token_book;
mod tokens;
mod uris;
mod view;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{delete, get, post, put};

pub(crate) use access::Access;
pub use build_turns::BuildTurns;
pub use engine::Engine;
pub use events::EventStreams;
pub(crate) use extract::{Body, Parameters};
pub use intent_book::{IntentBook, IntentError};
pub(crate) use respond::Refused;
pub use state::{About, ControlState};
pub use tag_follower::TagFollower;
pub(crate) use token_book::{Known, Wish};
pub(crate) use view::{model_state, version_state};
pub use webhooks::Webhooks;

/// Everything but scoring, as one service.
///
/// The server puts `ConnectInfo<SocketAddr>` into the extensions of each request; without it, callers share one address
/// where failures are counted.
pub fn router(state: impl Into<Arc<ControlState>>) -> Router {
    let state = state.into();
    let api = Router::new()
        .route("/models", get(models::list))
        .route("/models/{name}", get(models::show))
        .route(
            "/models/{name}/serving",
            put(serving::enable).delete(serving::disable),
        )
        .route("/events", get(events::of_all))
        .route("/models/{name}/events", get(events::of_model))
        .route(
            "/models/{name}/versions/{version}/events",
            get(events::of_version),
        )
        .route(
            "/models/{name}/labels/{label}/history",
            get(label_history::show),
        )
        .route("/models/{name}/versions/{version}/logs", get(logs::read))
        .route(
            "/models/{name}/versions/{version}/logs/attempts",
            get(logs::attempts),
        )
        .route(
            "/models/{name}/versions/{version}/restart",
            post(restart::restart),
        )
        .route(
            "/models/{name}/versions/{version}/example",
            get(example::show),
        )
        .route(
            "/environments",
            get(environments::list).post(environments::build),
        )
        .route("/environments/prune", post(environments::prune))
        .route("/environments/{key}", get(environments::show))
        .route("/environments/{key}/log", get(environments::log))
        .route("/tokens", get(tokens::list).post(tokens::create))
        .route("/tokens/{id}", delete(tokens::revoke))
        .route("/grants", get(grants::list).delete(grants::revoke))
        .route("/webhooks", get(webhooks::list).delete(webhooks::remove))
        .route("/webhooks/install", post(webhooks::install))
        .route("/webhooks/test", post(webhooks::test))
        .route("/status", get(status::show));
    let known_callers = Router::new()
        .nest("/api/v1", api)
        .route("/metrics", get(metrics::show))
        .merge(crate::databricks::routes())
        .layer(from_fn_with_state(
            Arc::clone(&state),
            authentication::authenticate,
        ));
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        // The signature is the credential.
        .route("/api/v1/webhooks/mlflow", post(webhooks::deliver))
        .merge(known_callers)
        .fallback(respond::nothing_here)
        .with_state(state)
        .layer(from_fn(respond::finish))
}

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
