//! The event log of everything, of a model or of a version: in pages, newest first, or followed as it grows.

mod query;
mod status;
mod stream;
mod summaries;

use std::collections::BTreeSet;

use axum::Json;
use axum::response::{IntoResponse, Response};
use serving_core::{ModelName, Version};

use super::access::Access;
use super::authentication::Credential;
use super::extract::{Parameters, Segments, page_size, parameter, servable};
use super::openapi::{
    InvalidParameterValue, ResourceDoesNotExist, ResourceExhausted, TemporarilyUnavailable,
};
use super::{Refused, event_words};
use crate::api::EventPage;
use crate::store::EventFilter;
use query::EventsQuery;
use stream::Follower;
pub use summaries::Summaries;

const PAGE_SIZE: usize = 100;

/// What happened to every model that the caller may see, or to one.
#[utoipa::path(
    get,
    path = "/events",
    operation_id = "list_events",
    tag = "models",
    params(EventsQuery, ("Last-Event-ID" = Option<i64>, Header, description = "Of a stream: the last event that was received.")),
    responses(
        (status = OK, description = "A page of events, newest first; with `Accept: text/event-stream`, what happens from now on, or after the last event that was received.", content((EventPage = "application/json"), (String = "text/event-stream"))),
        InvalidParameterValue,
        ResourceDoesNotExist,
        ResourceExhausted,
        TemporarilyUnavailable,
    ),
)]
pub(super) async fn of_all(
    access: Access,
    credential: Credential,
    Parameters(query): Parameters<EventsQuery>,
) -> Result<Response, Refused> {
    let model = query.model.clone();
    let version: Option<Version> = parameter("version", query.version.as_deref())?;
    answer(access, credential, model.as_deref(), version, query).await
}

/// What happened to a model and its versions, newest first.
#[utoipa::path(
    get,
    path = "/models/{name}/events",
    operation_id = "list_model_events",
    tag = "models",
    params(
        ("name" = String, Path, description = "The registered model, percent-encoded.", example = "iris"),
        EventsQuery,
        ("Last-Event-ID" = Option<i64>, Header, description = "Of a stream: the last event that was received."),
    ),
    responses(
        (status = OK, description = "A page of events, newest first; with `Accept: text/event-stream`, what happens from now on, or after the last event that was received.", content((EventPage = "application/json"), (String = "text/event-stream"))),
        InvalidParameterValue,
        ResourceDoesNotExist,
        ResourceExhausted,
        TemporarilyUnavailable,
    ),
)]
pub(super) async fn of_model(
    access: Access,
    credential: Credential,
    Segments(name): Segments<String>,
    Parameters(query): Parameters<EventsQuery>,
) -> Result<Response, Refused> {
    let version: Option<Version> = parameter("version", query.version.as_deref())?;
    answer(access, credential, Some(&name), version, query).await
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
        EventsQuery,
        ("Last-Event-ID" = Option<i64>, Header, description = "Of a stream: the last event that was received."),
    ),
    responses(
        (status = OK, description = "A page of events, newest first; with `Accept: text/event-stream`, what happens from now on, or after the last event that was received.", content((EventPage = "application/json"), (String = "text/event-stream"))),
        InvalidParameterValue,
        ResourceDoesNotExist,
        ResourceExhausted,
        TemporarilyUnavailable,
    ),
)]
pub(super) async fn of_version(
    access: Access,
    credential: Credential,
    Segments((name, version)): Segments<(String, String)>,
    Parameters(query): Parameters<EventsQuery>,
) -> Result<Response, Refused> {
    let version = servable(&name, &version)?.version;
    answer(access, credential, Some(&name), Some(version), query).await
}

async fn answer(
    access: Access,
    credential: Credential,
    model: Option<&str>,
    version: Option<Version>,
    query: EventsQuery,
) -> Result<Response, Refused> {
    let mut filter = query.filter(version)?;
    if let Some(name) = model {
        access.to_see(name).await?;
        let model = ModelName::from(name);
        // Events outlive their model; a name that nothing was ever logged of has to exist.
        let all = EventFilter::of(model.clone());
        let logged = access.state.store.events_before(&all, None, 1).await?;
        if logged.is_empty() {
            access.to_exist(&model).await?;
        }
        filter.models = Some([model].into());
    }
    if credential.accepts_stream() {
        let model = model.map(ModelName::from);
        let follower = Follower::new(access, credential, model, filter, &query)?;
        return Ok(follower.answer());
    }
    if model.is_none() && access.right_on_all().await?.is_none() {
        filter.models = Some(visible(&access).await?);
    }
    Ok(page(&access, &filter, &query).await?.into_response())
}

async fn page(
    access: &Access,
    filter: &EventFilter,
    query: &EventsQuery,
) -> Result<Json<EventPage>, Refused> {
    let size = page_size(query.max_results.as_deref(), PAGE_SIZE)?;
    let before: Option<i64> = parameter("page_token", query.page_token.as_deref())?;
    // One more than fits: there is a next page.
    let limit = u32::try_from(size + 1).unwrap_or(u32::MAX);
    let store = &access.state.store;
    let mut events = store.events_before(filter, before, limit).await?;
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

/// The models in the log that the caller may see.
async fn visible(access: &Access) -> Result<BTreeSet<ModelName>, Refused> {
    let logged = access.state.store.models_with_events().await?;
    Ok(access.visible(logged).await?.into_iter().collect())
}
