//! The event log of a model or a version, newest first, in pages.

use axum::Json;
use serde::Deserialize;
use serving_core::{ModelName, Version};
use utoipa::IntoParams;

use super::access::Access;
use super::extract::{Parameters, Segments, page_size, parameter, servable};
use super::openapi::{InvalidParameterValue, ResourceDoesNotExist, TemporarilyUnavailable};
use super::{Refused, event_words};
use crate::api::EventPage;
use crate::store::EventQuery;

const PAGE_SIZE: usize = 100;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// `next_page_token` of the page before.
    #[param(value_type = Option<i64>)]
    page_token: Option<String>,
    /// How many a page has; 100 if it is not said.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    max_results: Option<String>,
}

/// What happened to a model and its versions, newest first.
#[utoipa::path(
    get,
    path = "/models/{name}/events",
    operation_id = "list_model_events",
    tag = "models",
    params(
        ("name" = String, Path, description = "The registered model, percent-encoded.", example = "iris"),
        PageQuery,
    ),
    responses(
        (status = OK, description = "A page of events.", body = EventPage),
        InvalidParameterValue,
        ResourceDoesNotExist,
        TemporarilyUnavailable,
    ),
)]
pub(super) async fn of_model(
    access: Access,
    Segments(name): Segments<String>,
    Parameters(query): Parameters<PageQuery>,
) -> Result<Json<EventPage>, Refused> {
    page(&access, &name, None, &query).await
}

/// What happened to one version, newest first.
#[utoipa::path(
    get,
    path = "/models/{name}/versions/{version}/events",
    operation_id = "list_version_events",
    tag = "models",
    params(
        ("name" = String, Path, description = "The registered model, percent-encoded.", example = "iris"),
        ("version" = u64, Path, description = "The number of a version.", example = 1),
        PageQuery,
    ),
    responses(
        (status = OK, description = "A page of events.", body = EventPage),
        InvalidParameterValue,
        ResourceDoesNotExist,
        TemporarilyUnavailable,
    ),
)]
pub(super) async fn of_version(
    access: Access,
    Segments((name, version)): Segments<(String, String)>,
    Parameters(query): Parameters<PageQuery>,
) -> Result<Json<EventPage>, Refused> {
    let version = servable(&name, &version)?.version;
    page(&access, &name, Some(version), &query).await
}

async fn page(
    access: &Access,
    name: &str,
    version: Option<Version>,
    query: &PageQuery,
) -> Result<Json<EventPage>, Refused> {
    access.to_see(name).await?;
    let size = page_size(query.max_results.as_deref(), PAGE_SIZE)?;
    let before: Option<i64> = parameter("page_token", query.page_token.as_deref())?;
    let mut events = access
        .state
        .store
        .events(&EventQuery {
            model: name.into(),
            version,
            before,
            // One more than fits: there is a next page.
            limit: u32::try_from(size + 1).unwrap_or(u32::MAX),
        })
        .await?;
    // Events outlive their model; a name that nothing was ever logged of has to exist.
    if events.is_empty() && before.is_none() {
        access.to_exist(&ModelName::from(name)).await?;
    }
    let more = events.len() > size;
    events.truncate(size);
    let next_page_token = events
        .last()
        .filter(|_| more)
        .map(|event| event.id.to_string());
    Ok(Json(EventPage {
        events: events.into_iter().map(event_words::shown).collect(),
        next_page_token,
    }))
}
