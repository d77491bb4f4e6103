//! How models did lately, for charts. What is kept was sampled before: a look costs no more than its answer.

use axum::Json;
use serde::Deserialize;
use serving_core::{ServableId, Version};
use utoipa::IntoParams;

use super::Refused;
use super::access::Access;
use super::extract::{Parameters, Segments, parameter, unknown_version};
use super::logs::is_seen;
use super::openapi::{InvalidParameterValue, ResourceDoesNotExist, TemporarilyUnavailable};
use crate::api::{Figures, FiguresByModel, SeriesNames};
use crate::figures::{STEP, Window};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct AllQuery {
    /// How far back, `10m` at most, which it is if it is not said.
    #[param(example = "10m")]
    window: Option<String>,
    /// Only these series, with commas between them; all without it.
    #[param(example = "requests,errors,p95")]
    series: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ModelQuery {
    /// How far back, `1h` at most, which it is if it is not said.
    #[param(example = "1h")]
    window: Option<String>,
    /// Only of this version; of all together without it.
    #[param(value_type = Option<u64>)]
    version: Option<String>,
}

/// How each model did lately that the caller may see and that was served: requests, errors, latencies, memory.
#[utoipa::path(
    get,
    path = "/figures",
    operation_id = "figures_of_all_models",
    tag = "models",
    params(AllQuery),
    responses(
        (status = OK, description = "The figures of each model.", body = FiguresByModel),
        InvalidParameterValue,
        TemporarilyUnavailable,
    ),
)]
pub(super) async fn of_all(
    access: Access,
    Parameters(query): Parameters<AllQuery>,
) -> Result<Json<FiguresByModel>, Refused> {
    let window = parameter("window", query.window.as_deref())?.unwrap_or(Window::TEN_MINUTES);
    if window > Window::TEN_MINUTES {
        return Err(Refused::invalid(
            "the parameter \"window\": figures of all models go back 10m at most; those of one model 1h",
        ));
    }
    let wanted: Option<SeriesNames> = parameter("series", query.series.as_deref())?;
    let figures = &access.state.figures;
    // There are no more of them than the history has room for, so that all are one question.
    let visible = access.visible(figures.models()).await?;
    let models = visible.into_iter().map(|name| {
        let series = figures.of_model(name.as_str(), window);
        let series = match &wanted {
            Some(wanted) => series.only(wanted),
            None => series,
        };
        (name.to_string(), series)
    });
    Ok(Json(FiguresByModel {
        step_seconds: STEP.as_secs(),
        models: models.collect(),
    }))
}

/// How one model did in the last hour, or one version of it.
#[utoipa::path(
    get,
    path = "/models/{name}/figures",
    operation_id = "figures_of_model",
    tag = "models",
    params(
        ("name" = String, Path, description = "The registered model, percent-encoded.", example = "iris"),
        ModelQuery,
    ),
    responses(
        (status = OK, description = "The figures.", body = Figures),
        InvalidParameterValue,
        ResourceDoesNotExist,
        TemporarilyUnavailable,
    ),
)]
pub(super) async fn of_model(
    access: Access,
    Segments(name): Segments<String>,
    Parameters(query): Parameters<ModelQuery>,
) -> Result<Json<Figures>, Refused> {
    access.to_see(&name).await?;
    let window = parameter("window", query.window.as_deref())?.unwrap_or(Window::HOUR);
    let version: Option<Version> = parameter("version", query.version.as_deref())?;
    let model = name.as_str().into();
    access.to_exist(&model).await?;
    let figures = &access.state.figures;
    let series = match version {
        None => figures.of_model(&name, window),
        Some(version) => {
            let id = ServableId { model, version };
            // One that is being built has none yet, and one that is gone has them for an hour more.
            if !figures.knows(&id) && !is_seen(&access.state, &id) {
                return Err(unknown_version(&name, version));
            }
            figures.of_version(&id, window)
        }
    };
    Ok(Json(Figures {
        step_seconds: STEP.as_secs(),
        series,
    }))
}
