//! The legacy endpoints' API: enable, disable, and how far things are.

use std::time::Duration;

use axum::Json;
use serde::Deserialize;
use serving_core::{ModelName, Phase, Version};
use tokio::time::timeout;
use utoipa::IntoParams;

use super::shapes::{
    Endpoint, EndpointList, EndpointState, EndpointStatus, EndpointVersion, EndpointVersionList,
    EndpointVersionState, NamedModel, Nothing,
};
use crate::api::ModelState;
use crate::control_plane::openapi::{
    InvalidParameterValue, PermissionDenied, RequestTooLarge, ResourceDoesNotExist,
    TemporarilyUnavailable,
};
use crate::control_plane::{Access, Body, Parameters, Refused, model_state};

/// For the registry to say which versions a model has, before enabling it is answered.
const VERSIONS_KNOWN: Duration = Duration::from_secs(5);

/// A name in the query.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Named {
    /// The registered model; it may stand in a JSON body instead.
    registered_model_name: Option<String>,
}

/// Enables serving of a model.
///
/// Callers look for their version in the list of versions right afterwards: the answer waits for the registry's list, but
/// not for a registry that does not answer.
#[utoipa::path(
    post,
    path = "/enable",
    operation_id = "enable_endpoint",
    tag = "legacy",
    params(Named),
    request_body(content = Option<NamedModel>, content_type = "application/json"),
    responses(
        (status = OK, description = "It is enabled.", body = Nothing),
        InvalidParameterValue,
        PermissionDenied,
        ResourceDoesNotExist,
        RequestTooLarge,
        TemporarilyUnavailable,
    ),
)]
pub(super) async fn enable(
    access: Access,
    Parameters(query): Parameters<Named>,
    body: Body,
) -> Result<Json<Nothing>, Refused> {
    let model = name(query, &body)?;
    access.to_manage(model.as_str()).await?;
    access.to_exist(&model).await?;
    let state = &access.state;
    let by = &access.principal.name;
    state
        .intents
        .enable(&model, serde_json::Map::new(), by, &state.clock)
        .await?;
    // Enabled it is in any case, and what comes later is found by later polls.
    let _ = timeout(VERSIONS_KNOWN, state.registry.polled()).await;
    Ok(Json(Nothing {}))
}

/// Disables serving of a model.
#[utoipa::path(
    post,
    path = "/disable",
    operation_id = "disable_endpoint",
    tag = "legacy",
    params(Named),
    request_body(content = Option<NamedModel>, content_type = "application/json"),
    responses(
        (status = OK, description = "It is disabled.", body = Nothing),
        InvalidParameterValue,
        PermissionDenied,
        ResourceDoesNotExist,
        RequestTooLarge,
        TemporarilyUnavailable,
    ),
)]
pub(super) async fn disable(
    access: Access,
    Parameters(query): Parameters<Named>,
    body: Body,
) -> Result<Json<Nothing>, Refused> {
    let model = name(query, &body)?;
    access.to_manage(model.as_str()).await?;
    access.to_exist(&model).await?;
    let state = &access.state;
    let by = &access.principal.name;
    state.intents.disable(&model, by, &state.clock).await?;
    Ok(Json(Nothing {}))
}

/// How serving of a model stands. The name may also stand in a JSON body.
#[utoipa::path(
    get,
    path = "/get-status",
    operation_id = "endpoint_status",
    tag = "legacy",
    params(Named),
    responses(
        (status = OK, description = "How it stands.", body = EndpointStatus),
        InvalidParameterValue,
        ResourceDoesNotExist,
        RequestTooLarge,
        TemporarilyUnavailable,
    ),
)]
pub(super) async fn status(
    access: Access,
    Parameters(query): Parameters<Named>,
    body: Body,
) -> Result<Json<EndpointStatus>, Refused> {
    let model = name(query, &body)?;
    let state = enabled_state(&access, &model).await?;
    Ok(Json(EndpointStatus {
        endpoint_status: endpoint(&model, state),
    }))
}

/// Models that are enabled, and that the caller may see.
#[utoipa::path(
    get,
    path = "/list",
    operation_id = "list_endpoints",
    tag = "legacy",
    responses(
        (status = OK, description = "All of them.", body = EndpointList),
        InvalidParameterValue,
        RequestTooLarge,
        TemporarilyUnavailable,
    ),
)]
pub(super) async fn list(access: Access, _: Body) -> Result<Json<EndpointList>, Refused> {
    let state = &access.state;
    let mut models = state.intents.enabled();
    models.extend(state.engine.snapshot().borrow().models.keys().cloned());
    models.sort();
    models.dedup();
    models.retain(|model| model_state(state, model.as_str()).is_some());
    let visible = access.visible(models).await?.into_iter();
    let endpoints: Vec<_> = visible
        .filter_map(|model| {
            let (serving, _) = model_state(state, model.as_str())?;
            Some(endpoint(&model, serving))
        })
        .collect();
    Ok(Json(EndpointList { endpoints }))
}

/// The versions of a model that is enabled. The name may also stand in a JSON body.
#[utoipa::path(
    get,
    path = "/list-versions",
    operation_id = "list_endpoint_versions",
    tag = "legacy",
    params(Named),
    responses(
        (status = OK, description = "From the smallest number.", body = EndpointVersionList),
        InvalidParameterValue,
        ResourceDoesNotExist,
        RequestTooLarge,
        TemporarilyUnavailable,
    ),
)]
pub(super) async fn list_versions(
    access: Access,
    Parameters(query): Parameters<Named>,
    body: Body,
) -> Result<Json<EndpointVersionList>, Refused> {
    let model = name(query, &body)?;
    enabled_state(&access, &model).await?;
    Ok(Json(EndpointVersionList {
        endpoint_versions: versions(&access, &model),
    }))
}

/// The state of an enabled model that the caller may see.
async fn enabled_state(access: &Access, model: &ModelName) -> Result<ModelState, Refused> {
    access.to_see(model.as_str()).await?;
    let known = access.is_known(model.as_str());
    let state = model_state(&access.state, model.as_str()).filter(|_| known);
    let (state, _) = state.ok_or_else(|| {
        Refused::missing(format!(
            "serving of the model {:?} is not enabled",
            model.as_str()
        ))
    })?;
    Ok(state)
}

/// Those that the registry wants are listed before the manager has taken them up; those on their way out are not.
fn versions(access: &Access, model: &ModelName) -> Vec<EndpointVersion> {
    let state = &access.state;
    let snapshot = state.engine.snapshot();
    let snapshot = snapshot.borrow();
    let seen = snapshot.models.get(model).map(|model| &model.versions);
    let aspired = state.aspired.borrow();
    let aspired = aspired
        .as_ref()
        .and_then(|aspired| aspired.models.get(model));
    let mut numbers: Vec<Version> = aspired
        .into_iter()
        .flat_map(|model| model.versions.keys().copied())
        .chain(
            seen.into_iter()
                .flat_map(|versions| versions.keys().copied()),
        )
        .collect();
    numbers.sort();
    numbers.dedup();
    let shown = numbers.into_iter().filter_map(|number| {
        let phase = seen
            .and_then(|versions| versions.get(&number))
            .map(|version| &version.phase);
        let state = match phase {
            None | Some(Phase::Pending) => EndpointVersionState::Pending,
            Some(Phase::Building | Phase::Starting) => EndpointVersionState::Launching,
            Some(Phase::Ready) => EndpointVersionState::Ready,
            Some(Phase::Failed(_)) => EndpointVersionState::Failed,
            Some(Phase::Draining | Phase::Retired) => return None,
        };
        Some(EndpointVersion {
            endpoint_version_name: number.to_string(),
            state,
        })
    });
    shown.collect()
}

fn endpoint(model: &ModelName, state: ModelState) -> Endpoint {
    let state = match state {
        ModelState::Pending => EndpointState::Pending,
        ModelState::Ready => EndpointState::Ready,
        ModelState::Failed => EndpointState::Failed,
    };
    Endpoint {
        registered_model_name: model.to_string(),
        state,
    }
}

fn name(query: Named, Body(body): &Body) -> Result<ModelName, Refused> {
    let in_body = || {
        body.get("registered_model_name")?
            .as_str()
            .map(str::to_owned)
    };
    let name = query.registered_model_name.or_else(in_body);
    name.filter(|name| !name.is_empty())
        .map(ModelName::from)
        .ok_or_else(|| {
            Refused::invalid("\"registered_model_name\" is missing, in the query or in a JSON body")
        })
}
