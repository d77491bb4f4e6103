//! Enabling, changing settings, disabling: one transaction each, then the manager's work.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Json;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serving_core::{ModelName, ModelSnapshot, Phase, VersionSnapshot};
use tokio::time::timeout;
use utoipa::IntoParams;

use super::access::Access;
use super::extract::{Body, Parameters, Segments, parameter};
use super::openapi::{
    DeadlineExceeded, InvalidParameterValue, PermissionDenied, RequestTooLarge,
    ResourceDoesNotExist, TemporarilyUnavailable,
};
use super::{ControlState, Refused, models, view};
use crate::api::{HumaneDuration, ModelDetail, ModelSettings};
use crate::error::ErrorCode;

const DEFAULT_WAIT: Duration = Duration::from_secs(60);
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct EnableQuery {
    /// `ready`: answers when every version is Ready or Failed.
    #[param(pattern = "^ready$")]
    wait: Option<String>,
    /// How long to wait, at most an hour; `60s` if it is not said.
    #[param(example = "5m")]
    timeout: Option<String>,
}

/// Enables serving of a model, or changes its settings.
///
/// A key that is not mentioned stays as it is, `null` goes back to the default; the same request again changes nothing.
#[utoipa::path(
    put,
    path = "/models/{name}/serving",
    operation_id = "enable_serving",
    tag = "models",
    params(
        ("name" = String, Path, description = "The registered model, percent-encoded.", example = "iris"),
        EnableQuery,
    ),
    request_body(content = Option<ModelSettings>, content_type = "application/json"),
    responses(
        (status = OK, description = "It is enabled, with these settings.", body = ModelDetail),
        InvalidParameterValue,
        PermissionDenied,
        ResourceDoesNotExist,
        RequestTooLarge,
        TemporarilyUnavailable,
        DeadlineExceeded,
    ),
)]
pub(super) async fn enable(
    access: Access,
    Segments(name): Segments<String>,
    Parameters(query): Parameters<EnableQuery>,
    headers: HeaderMap,
    Body(changes): Body,
) -> Result<Json<ModelDetail>, Refused> {
    let wait = query.wait()?;
    let model = ModelName::from(name.as_str());
    access.to_manage(&name).await?;
    access.to_exist(&model).await?;
    let state = &access.state;
    let by = &access.principal.name;
    state
        .intents
        .enable(&model, changes, by, &state.clock)
        .await?;
    match wait {
        Some(wait) => until_settled(state, &name, wait).await?,
        None => state.registry.poll_soon(),
    }
    let right = access.to_see(&name).await?;
    Ok(Json(models::detail(&access, &name, right, &headers)))
}

/// Disables serving of a model: drains, stops, and forgets its settings.
#[utoipa::path(
    delete,
    path = "/models/{name}/serving",
    operation_id = "disable_serving",
    tag = "models",
    params(
        ("name" = String, Path, description = "The registered model, percent-encoded.", example = "iris"),
    ),
    responses(
        (status = NO_CONTENT, description = "It is disabled; requests in flight end."),
        InvalidParameterValue,
        PermissionDenied,
        ResourceDoesNotExist,
        TemporarilyUnavailable,
    ),
)]
pub(super) async fn disable(
    access: Access,
    Segments(name): Segments<String>,
) -> Result<StatusCode, Refused> {
    access.to_manage(&name).await?;
    let model = ModelName::from(name.as_str());
    access.to_exist(&model).await?;
    let state = &access.state;
    let by = &access.principal.name;
    state.intents.disable(&model, by, &state.clock).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl EnableQuery {
    fn wait(&self) -> Result<Option<Duration>, Refused> {
        let HumaneDuration(limit) =
            parameter("timeout", self.timeout.as_deref())?.unwrap_or(HumaneDuration(DEFAULT_WAIT));
        match self.wait.as_deref() {
            None => Ok(None),
            Some("ready") if limit <= LONGEST_WAIT => Ok(Some(limit)),
            Some("ready") => Err(Refused::invalid("the parameter \"timeout\" is at most 1h")),
            Some(_) => Err(Refused::invalid(
                "the parameter \"wait\" can only be \"ready\"",
            )),
        }
    }
}

/// Waits until each version that is wanted from now on is Ready with workers as they are wanted, or Failed, or cannot get
/// other workers.
async fn until_settled(state: &ControlState, model: &str, limit: Duration) -> Result<(), Refused> {
    let mut snapshots = state.engine.snapshot();
    let mut aspired = state.aspired.clone();
    let mut intents = state.intents.subscribe();
    let was_polled = AtomicBool::new(false);
    let settled = async {
        // What is known from before the call may lack a version that was registered a moment ago.
        state.registry.polled().await;
        was_polled.store(true, Ordering::Relaxed);
        state.intents.has_heeded().await;
        state.engine.caught_up().await;
        loop {
            if state.intents.settings(model).is_none() {
                return Err(Refused::missing(format!(
                    "serving of the model {model:?} was disabled while this call waited for it"
                )));
            }
            if is_settled(state, model) {
                return Ok(());
            }
            tokio::select! {
                Ok(()) = snapshots.changed() => {}
                Ok(()) = aspired.changed() => {}
                Ok(()) = intents.changed() => {}
                else => return Ok(()),
            }
        }
    };
    let waited = tokio::select! {
        waited = timeout(limit, settled) => waited,
        () = state.shutdown.cancelled() => {
            return Err(Refused::unavailable("the gateway is stopping; the model stays enabled"));
        }
    };
    waited.unwrap_or_else(|_| Err(too_late(state, model, limit, was_polled.into_inner())))
}

fn too_late(state: &ControlState, model: &str, limit: Duration, was_polled: bool) -> Refused {
    let snapshot = state.engine.snapshot();
    let snapshot = snapshot.borrow();
    let progress = snapshot.models.get(model).map(progress).unwrap_or_default();
    let registry = match state.registry.status().error {
        _ if was_polled => String::new(),
        Some(error) => format!("; the registry cannot be asked: {error}"),
        None => "; the registry has not answered yet".to_owned(),
    };
    let limit = HumaneDuration(limit);
    let message = format!(
        "the model {model:?} is enabled, but not all of its versions are ready after {limit}{progress}{registry}"
    );
    Refused::new(ErrorCode::DeadlineExceeded, message)
}

fn is_settled(state: &ControlState, model: &str) -> bool {
    let aspired = state.aspired.borrow();
    let Some(wanted) = aspired
        .as_ref()
        .and_then(|aspired| aspired.models.get(model))
    else {
        return false;
    };
    let Some(settings) = state.intents.settings(model) else {
        return false;
    };
    let chosen = settings.versions.of(wanted);
    let snapshot = state.engine.snapshot();
    let snapshot = snapshot.borrow();
    let Some(seen) = snapshot.models.get(model) else {
        return false;
    };
    // A wanted version that drains makes room for its successor of the same number.
    chosen
        .iter()
        .all(|number| seen.versions.get(number).is_some_and(is_decided))
}

fn is_decided(version: &VersionSnapshot) -> bool {
    match version.phase {
        Phase::Ready => !version.renewing || version.renewal_failure.is_some(),
        Phase::Failed(_) => !version.renewing,
        _ => false,
    }
}

fn progress(model: &ModelSnapshot) -> String {
    let coming = model.versions.iter().filter_map(|(number, version)| {
        let state = view::version_state(&version.phase)?;
        let doing = match (&version.step, version.renewing) {
            (Some(step), _) => format!(", {step}"),
            (None, true) => ", its workers are being replaced".to_owned(),
            (None, false) => String::new(),
        };
        (state.is_coming() || version.renewing)
            .then(|| format!("; version {number} is {state}{doing}"))
    });
    coming.collect()
}
