//! The legacy endpoints' API: enable, disable, and how far things are.

use std::time::Duration;

use axum::Json;
use serde::Deserialize;
use serde_json::{Value, json};
use serving_core::{ModelName, Phase, Version};
use tokio::time::timeout;

use crate::api::ModelState;
use crate::control_plane::{Access, Body, Parameters, Refused, model_state};

/// For the registry to say which versions a model has, before enabling it is answered.
const VERSIONS_KNOWN: Duration = Duration::from_secs(5);

/// A name in the query.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Named {
    registered_model_name: Option<String>,
}

/// `POST enable`. Callers look for their version in the list of versions right afterwards: the answer waits for the
/// registry's list, but not for a registry that does not answer.
pub(super) async fn enable(
    access: Access,
    Parameters(query): Parameters<Named>,
    body: Body,
) -> Result<Json<Value>, Refused> {
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
    Ok(Json(json!({})))
}

/// `POST disable`.
pub(super) async fn disable(
    access: Access,
    Parameters(query): Parameters<Named>,
    body: Body,
) -> Result<Json<Value>, Refused> {
    let model = name(query, &body)?;
    access.to_manage(model.as_str()).await?;
    access.to_exist(&model).await?;
    let state = &access.state;
    let by = &access.principal.name;
    state.intents.disable(&model, by, &state.clock).await?;
    Ok(Json(json!({})))
}

/// `GET get-status`.
pub(super) async fn status(
    access: Access,
    Parameters(query): Parameters<Named>,
    body: Body,
) -> Result<Json<Value>, Refused> {
    let model = name(query, &body)?;
    let state = enabled_state(&access, &model).await?;
    Ok(Json(json!({ "endpoint_status": endpoint(&model, state) })))
}

/// `GET list`.
pub(super) async fn list(access: Access, _: Body) -> Result<Json<Value>, Refused> {
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
    Ok(Json(json!({ "endpoints": endpoints })))
}

/// `GET list-versions`.
pub(super) async fn list_versions(
    access: Access,
    Parameters(query): Parameters<Named>,
    body: Body,
) -> Result<Json<Value>, Refused> {
    let model = name(query, &body)?;
    enabled_state(&access, &model).await?;
    Ok(Json(
        json!({ "endpoint_versions": versions(&access, &model) }),
    ))
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
fn versions(access: &Access, model: &ModelName) -> Vec<Value> {
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
            None | Some(Phase::Pending) => "VERSION_STATE_PENDING",
            Some(Phase::Building | Phase::Starting) => "VERSION_STATE_LAUNCHING",
            Some(Phase::Ready) => "VERSION_STATE_READY",
            Some(Phase::Failed(_)) => "VERSION_STATE_FAILED",
            Some(Phase::Draining | Phase::Retired) => return None,
        };
        Some(json!({ "endpoint_version_name": number.to_string(), "state": state }))
    });
    shown.collect()
}

fn endpoint(model: &ModelName, state: ModelState) -> Value {
    let state = match state {
        ModelState::Pending => "ENDPOINT_STATE_PENDING",
        ModelState::Ready => "ENDPOINT_STATE_READY",
        ModelState::Failed => "ENDPOINT_STATE_FAILED",
    };
    json!({ "registered_model_name": model, "state": state })
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
