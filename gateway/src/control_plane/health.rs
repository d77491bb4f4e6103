//! Alive, and ready: for whoever starts and stops the gateway. No credential needed, nothing told.

use std::sync::Arc;

use axum::extract::State;

use super::openapi::TemporarilyUnavailable;
use super::{ControlState, Refused};

/// Whether this process answers.
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "healthz",
    tag = "gateway",
    security(()),
    responses(
        (status = OK, description = "`ok`", body = String, content_type = "text/plain; charset=utf-8"),
    ),
)]
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// Whether routes are published, and the store can be reached; not while the gateway stops.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "readyz",
    tag = "gateway",
    security(()),
    responses(
        (status = OK, description = "`ready`", body = String, content_type = "text/plain; charset=utf-8"),
        TemporarilyUnavailable,
    ),
)]
pub(super) async fn ready(State(state): State<Arc<ControlState>>) -> Result<&'static str, Refused> {
    if state.shutdown.is_cancelled() {
        return Err(Refused::unavailable("the gateway is stopping"));
    }
    if !routes_published(&state) {
        return Err(Refused::unavailable("routes are not published yet"));
    }
    state.store.check().await?;
    Ok("ready\n")
}

/// Whether what the registry wants is known, and the manager has taken note of every model of it that is enabled.
pub(super) fn routes_published(state: &ControlState) -> bool {
    let aspired = state.aspired.borrow();
    let Some(aspired) = aspired.as_ref() else {
        return false;
    };
    let snapshot = state.engine.snapshot();
    let snapshot = snapshot.borrow();
    let mut wanted = aspired
        .models
        .keys()
        .filter(|name| state.intents.settings(name.as_str()).is_some());
    wanted.all(|name| snapshot.models.contains_key(name))
}
