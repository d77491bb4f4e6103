//! The control plane: operate and observe, over `/api/v1`, `/healthz`, `/readyz`, `/metrics` and the two legacy APIs.
//!
//! The web framework is known here and in `databricks` only. A refusal is an [`ApiError`](crate::error::ApiError)
//! until the outermost layer gives it a body.

mod access;
mod admin;
mod authentication;
mod build_turns;
mod build_words;
mod caller_watch;
mod engine;
mod environments;
mod event_stream;
mod event_words;
mod events;
mod example;
mod extract;
mod figures;
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
pub(crate) mod openapi;
mod respond;
mod restart;
mod serving;
mod session;
mod state;
mod status;
mod stream_places;
mod tag_follower;
mod token_book;
mod tokens;
mod uris;
mod view;
mod webhooks;

use std::sync::Arc;

use axum::middleware::{from_fn, from_fn_with_state};
use axum::{Extension, Router};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use access::Access;
pub use admin::admin_router;
pub use build_turns::BuildTurns;
pub use engine::Engine;
pub use events::Summaries;
pub(crate) use extract::{Body, Parameters};
pub use intent_book::{IntentBook, IntentError};
pub use log_line::inert;
pub use openapi::document as openapi_document;
pub(crate) use respond::Refused;
pub use state::{About, ControlState};
pub use stream_places::StreamPlaces;
pub use tag_follower::TagFollower;
pub(crate) use token_book::{Known, Wish};
pub(crate) use view::{model_state, version_state};
pub use webhooks::Webhooks;

/// Routes that describe themselves.
pub(crate) type Routes = OpenApiRouter<Arc<ControlState>>;

/// Everything but scoring, as one service.
///
/// The server puts `ConnectInfo<SocketAddr>` into the extensions of each request; without it, callers share one address
/// where failures are counted.
pub fn router(state: impl Into<Arc<ControlState>>) -> Router {
    let state = state.into();
    let (known_callers, scrapers, everybody) = routes();
    let admit = from_fn_with_state(Arc::clone(&state), authentication::admit);
    let authenticate = from_fn_with_state(Arc::clone(&state), authentication::authenticate);
    // The last layer is the first that a request comes to.
    let known_callers = Router::from(known_callers)
        .layer(authenticate.clone())
        .layer(admit);
    Router::from(everybody)
        .layer(Extension(openapi::Document::new()))
        .merge(crate::ui::routes())
        .merge(known_callers)
        .merge(Router::from(scrapers).layer(authenticate))
        .fallback(respond::nothing_here)
        .with_state(state)
        .layer(from_fn(respond::finish))
        .layer(respond::compression())
}

/// All calls, each with its part of the OpenAPI document: for callers with a credential, for programs of that kind that know
/// the gateway by any name, and for everybody.
fn routes() -> (Routes, Routes, Routes) {
    let api = Routes::new()
        .routes(routes!(models::list))
        .routes(routes!(models::show))
        .routes(routes!(serving::enable, serving::disable))
        .routes(routes!(events::of_all))
        .routes(routes!(events::of_model))
        .routes(routes!(events::of_version))
        .routes(routes!(label_history::show))
        .routes(routes!(figures::of_all))
        .routes(routes!(figures::of_model))
        .routes(routes!(logs::read))
        .routes(routes!(logs::attempts))
        .routes(routes!(restart::restart))
        .routes(routes!(example::show))
        .routes(routes!(environments::list, environments::build))
        .routes(routes!(environments::prune))
        .routes(routes!(environments::show))
        .routes(routes!(environments::log))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::revoke))
        .routes(routes!(grants::list, grants::revoke))
        .routes(routes!(webhooks::manage::list, webhooks::manage::remove))
        .routes(routes!(webhooks::manage::install))
        .routes(routes!(webhooks::manage::test))
        .routes(routes!(session::show))
        .routes(routes!(status::show));
    let known_callers = Routes::new()
        .nest("/api/v1", api)
        .merge(crate::databricks::routes());
    let scrapers = Routes::new().routes(routes!(metrics::show));
    // The signature of a delivery is its credential; who signs in has none yet, and who signs out may have none any more.
    let for_everybody = Routes::new()
        .routes(routes!(webhooks::deliver::deliver))
        .routes(routes!(session::sign_in, session::sign_out));
    let everybody = Routes::new()
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
        .routes(routes!(openapi::show))
        .nest("/api/v1", for_everybody);
    (known_callers, scrapers, everybody)
}
