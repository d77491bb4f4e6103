//! New workers for a version, without a failed request.

use axum::Json;
use http::StatusCode;
use serde_json::{Value, json};
use tracing::warn;

use super::Refused;
use super::access::Access;
use super::extract::{Segments, servable, unknown_version};
use crate::store::ControlFact;

/// `POST /models/{name}/versions/{version}/restart`: accepted, not done.
pub(super) async fn restart(
    access: Access,
    Segments((name, version)): Segments<(String, String)>,
) -> Result<(StatusCode, Json<Value>), Refused> {
    access.to_manage(&name).await?;
    let id = servable(&name, &version)?;
    let state = &access.state;
    state
        .engine
        .restart(&id)
        .await
        .map_err(|_| unknown_version(&name, id.version))?;
    // From now on whoever looks sees that it is under way.
    state.engine.caught_up().await;
    let by = access.principal.name.to_string();
    let fact = ControlFact::RestartRequested { by };
    let at = state.clock.now();
    // It was accepted and happens: a full disk must not make it look refused.
    if let Err(error) = state
        .store
        .append_fact(at, &id.model, Some(id.version), fact)
        .await
    {
        warn!(%error, %id, "a restart could not be logged");
    }
    Ok((StatusCode::ACCEPTED, Json(json!({}))))
}
