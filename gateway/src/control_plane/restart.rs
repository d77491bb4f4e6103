//! New workers for a version, without a failed request.

use axum::Json;
use http::StatusCode;
use serde_json::{Value, json};
use tracing::warn;

use super::Refused;
use super::access::Access;
use super::extract::{Segments, servable, unknown_version};
use super::openapi::{
    InvalidParameterValue, PermissionDenied, ResourceDoesNotExist, TemporarilyUnavailable,
};
use crate::store::ControlFact;

/// New workers for a version, without a failed request. Accepted, not done.
#[utoipa::path(
    post,
    path = "/models/{name}/versions/{version}/restart",
    operation_id = "restart_version",
    tag = "models",
    params(
        ("name" = String, Path, description = "The registered model, percent-encoded.", example = "iris"),
        ("version" = u64, Path, description = "The number of a version.", example = 1),
    ),
    responses(
        (status = ACCEPTED, description = "Accepted; the event log tells the rest.", body = Object),
        InvalidParameterValue,
        PermissionDenied,
        ResourceDoesNotExist,
        TemporarilyUnavailable,
    ),
)]
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
