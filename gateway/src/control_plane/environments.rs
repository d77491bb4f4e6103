//! The environments that workers run in: seen, built before somebody waits for them, removed.
//!
//! A build is a stream of lines (NDJSON): steps, then the environment or the error. It belongs to its caller: when the
//! caller leaves, the build is abandoned a moment later, unless a version or another caller waits for the same one.
//! Removing goes on without its caller: it takes no longer than it has to, and half of it is no use to anybody.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body as Stream;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serving_core::{ModelName, Progress, ServableId, Source, Version, VersionSpec};
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::warn;

use super::access::{Access, unknown_model};
use super::build_words::without_particulars;
use super::extract::{Body, Segments};
use super::openapi::{
    InvalidParameterValue, PermissionDenied, RequestTooLarge, ResourceDoesNotExist,
    ResourceExhausted, TemporarilyUnavailable,
};
use super::{ControlState, Refused};
use crate::api::{
    BuildEnvironment, BuildFailure, BuildLine, EnvManager, EnvironmentDetail, EnvironmentPage,
    PruneEnvironments, PrunedEnvironments,
};
use crate::error::ErrorCode;
use crate::ports::EnvironmentsError;

/// A step is said again after so long: whatever is on the way takes a longer silence for the end.
const REMINDER: Duration = Duration::from_secs(15);

/// All environments, most recently used first. For admins.
#[utoipa::path(
    get,
    path = "/environments",
    operation_id = "list_environments",
    tag = "environments",
    responses(
        (status = OK, description = "All of them.", body = EnvironmentPage),
        PermissionDenied,
        TemporarilyUnavailable,
    ),
)]
pub(super) async fn list(access: Access) -> Result<Json<EnvironmentPage>, Refused> {
    access.to_administer()?;
    let environments = access.state.environments.list().await?;
    Ok(Json(EnvironmentPage { environments }))
}

/// Everything about one environment. For admins.
#[utoipa::path(
    get,
    path = "/environments/{key}",
    operation_id = "show_environment",
    tag = "environments",
    params(
        ("key" = String, Path, description = "The key of an environment, or a beginning that no other has."),
    ),
    responses(
        (status = OK, description = "The environment.", body = EnvironmentDetail),
        InvalidParameterValue,
        PermissionDenied,
        ResourceDoesNotExist,
        TemporarilyUnavailable,
    ),
)]
pub(super) async fn show(
    access: Access,
    Segments(key): Segments<String>,
) -> Result<Json<EnvironmentDetail>, Refused> {
    access.to_administer()?;
    Ok(Json(access.state.environments.find(&key).await?))
}

/// What the build of an environment printed. For admins.
#[utoipa::path(
    get,
    path = "/environments/{key}/log",
    operation_id = "read_build_log",
    tag = "environments",
    params(
        ("key" = String, Path, description = "The key of an environment, or a beginning that no other has."),
    ),
    responses(
        (status = OK, description = "The log.", body = String, content_type = "text/plain; charset=utf-8"),
        InvalidParameterValue,
        PermissionDenied,
        ResourceDoesNotExist,
        TemporarilyUnavailable,
    ),
)]
pub(super) async fn log(
    access: Access,
    Segments(key): Segments<String>,
) -> Result<Response, Refused> {
    access.to_administer()?;
    let text = access.state.environments.build_log(&key).await?;
    let headers = [
        (CONTENT_TYPE, "text/plain; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, text).into_response())
}

/// Removes environments that nobody uses. For admins.
#[utoipa::path(
    post,
    path = "/environments/prune",
    operation_id = "prune_environments",
    tag = "environments",
    request_body(content = Option<PruneEnvironments>, content_type = "application/json"),
    responses(
        (status = OK, description = "What went, or would go.", body = PrunedEnvironments),
        InvalidParameterValue,
        PermissionDenied,
        ResourceDoesNotExist,
        RequestTooLarge,
        TemporarilyUnavailable,
    ),
)]
pub(super) async fn prune(access: Access, body: Body) -> Result<Json<PrunedEnvironments>, Refused> {
    access.to_administer()?;
    let wish: PruneEnvironments = body.read()?;
    Ok(Json(access.state.environments.prune(&wish).await?))
}

/// Builds the environment of a version before somebody waits for it. Takes the right to manage the model.
#[utoipa::path(
    post,
    path = "/environments",
    operation_id = "build_environment",
    tag = "environments",
    request_body(content = BuildEnvironment, content_type = "application/json"),
    responses(
        (status = OK, description = "One JSON object a line: steps, then the environment or the error.", body = BuildLine, content_type = "application/x-ndjson"),
        InvalidParameterValue,
        PermissionDenied,
        ResourceDoesNotExist,
        RequestTooLarge,
        ResourceExhausted,
        TemporarilyUnavailable,
    ),
)]
pub(super) async fn build(access: Access, body: Body) -> Result<Response, Refused> {
    let wish: BuildEnvironment = body.read()?;
    access.to_manage(&wish.model).await?;
    if wish.fresh && !access.is_admin()? {
        return Err(Refused::new(
            ErrorCode::PermissionDenied,
            "\"fresh\" changes an environment that other models may share: only an admin may ask for it",
        ));
    }
    let spec = spec(&access.state, &wish).await?;
    let place = access.state.builds.place()?;
    let (progress, steps) = Progress::channel();
    let state = Arc::clone(&access.state);
    let work = {
        let state = Arc::clone(&state);
        async move {
            progress.step("waiting for other builds ahead of time");
            let _turn = place.turn().await;
            let built = state.environments.build(Arc::new(spec), progress).await;
            match built {
                Ok(built) => match access.may_see(built).await {
                    Ok(seen) => BuildLine::Environment(Box::new(seen)),
                    Err(Refused(error)) => failed(error.code.as_str(), error.message),
                },
                Err(failure) if access.principal.admin => BuildLine::Error(failure),
                Err(failure) => BuildLine::Error(without_particulars(failure)),
            }
        }
    };
    let building = Building {
        state,
        steps,
        work: Some(Box::pin(work)),
    };
    let lines = stream::unfold(building, |building| async move {
        let (line, building) = building.next().await?;
        Some((Ok::<_, Infallible>(written(&line)), building))
    });
    let headers = [
        (CONTENT_TYPE, "application/x-ndjson"),
        (CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Stream::from_stream(lines)).into_response())
}

/// What exactly is to be built: the version as the registry shows it now, with the settings that it has or would have.
async fn spec(state: &ControlState, wish: &BuildEnvironment) -> Result<VersionSpec, Refused> {
    let id = ServableId::new(wish.model.as_str(), Version(wish.version));
    let found = state.registry.version(&id).await;
    let found = found.map_err(|reason| Refused::unavailable(reason.to_string()))?;
    let Some(found) = found else {
        let (model, version) = (&wish.model, wish.version);
        return Err(match state.registry.is_registered(&id.model).await {
            Ok(false) => unknown_model(model),
            _ => Refused::missing(format!(
                "the registered model {model:?} has no version {version}"
            )),
        });
    };
    if let Source::Unreadable(reason) = &found.version.source {
        return Err(Refused::invalid(format!("{id} cannot be built: {reason}")));
    }
    let mut settings = state.intents.settings_if_served(&wish.model);
    if let Some(manager) = wish.env_manager {
        settings.env_manager = manager;
    }
    if settings.env_manager == EnvManager::Local {
        return Err(Refused::invalid(
            "the environment manager local builds nothing: name conda, uv or virtualenv as \"env_manager\"",
        ));
    }
    let mut settings = state.intents.to_engine(&settings);
    if wish.fresh {
        let words = &mut settings.loader;
        words.insert("fresh".to_owned(), "true".to_owned());
    }
    Ok(VersionSpec {
        id,
        model_incarnation: found.model_incarnation,
        incarnation: found.version.incarnation,
        source: found.version.source,
        settings: Arc::new(settings),
    })
}

/// A build under way, and what was told of it.
struct Building {
    state: Arc<ControlState>,
    steps: watch::Receiver<Option<Arc<str>>>,
    /// `None` when the last line was told.
    work: Option<Pin<Box<dyn Future<Output = BuildLine> + Send>>>,
}

impl Building {
    async fn next(mut self) -> Option<(BuildLine, Self)> {
        let mut work = self.work.take()?;
        loop {
            tokio::select! {
                biased;
                () = self.state.shutdown.cancelled() => {
                    let code = ErrorCode::TemporarilyUnavailable.as_str();
                    let line = failed(code, "the gateway is stopping".to_owned());
                    return Some((line, self));
                }
                Ok(()) = self.steps.changed() => {}
                line = &mut work => return Some((line, self)),
                () = sleep(REMINDER) => {}
            }
            let step = self.steps.borrow_and_update().clone();
            if let Some(step) = step {
                self.work = Some(work);
                return Some((BuildLine::Step(step.to_string()), self));
            }
        }
    }
}

impl Access {
    fn to_administer(&self) -> Result<(), Refused> {
        if self.is_admin()? {
            return Ok(());
        }
        Err(Refused::new(
            ErrorCode::PermissionDenied,
            "environments are shared by all models: only an admin may see and remove them",
        ))
    }

    /// What the caller may know of an environment that it had built: others may share it.
    async fn may_see(&self, mut built: EnvironmentDetail) -> Result<EnvironmentDetail, Refused> {
        if self.principal.admin {
            return Ok(built);
        }
        built.path = None;
        built.summary.base_of = Vec::new();
        let users = &mut built.summary.used_by;
        let models: BTreeSet<ModelName> = users
            .iter()
            .map(|user| ModelName::from(user.model.as_str()))
            .collect();
        let visible = self.visible(models).await?;
        users.retain(|user| visible.iter().any(|model| model.as_str() == user.model));
        Ok(built)
    }
}

impl From<EnvironmentsError> for Refused {
    fn from(error: EnvironmentsError) -> Self {
        let message = error.to_string();
        match ErrorCode::from(&error) {
            ErrorCode::TemporarilyUnavailable => {
                warn!(%error, "the environments cannot be used");
                Self::unavailable(message)
            }
            code => Self::new(code, message),
        }
    }
}

fn failed(code: &str, message: String) -> BuildLine {
    BuildLine::Error(BuildFailure {
        error_code: code.to_owned(),
        message,
        last_lines: Vec::new(),
    })
}

fn written(line: &BuildLine) -> Bytes {
    let mut text = serde_json::json!(line).to_string();
    text.push('\n');
    text.into()
}
