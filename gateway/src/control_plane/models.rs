//! Which models there are, and everything about one.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::time::{Duration, SystemTime};

use auth::Right;
use axum::Json;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use serde::Deserialize;
use serving_core::{ModelName, Snapshot};
use utoipa::IntoParams;

use super::access::Access;
use super::extract::{Parameters, Segments, page_size, parameter};
use super::openapi::{InvalidParameterValue, ResourceDoesNotExist, TemporarilyUnavailable};
use super::uris::Uris;
use super::{ControlState, Refused, view};
use crate::api::{
    ModelDetail, ModelPage, ModelSummary, Permission, Settings, Timestamp, VersionState,
};
use crate::ports::{Catalog, RegisteredModel};

const PAGE_SIZE: usize = 200;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// A part of the name, in any case.
    query: Option<String>,
    /// Only those that are enabled (`true`), or that are not.
    #[param(value_type = Option<bool>)]
    served: Option<String>,
    /// `next_page_token` of the page before.
    page_token: Option<String>,
    /// How many a page has; 200 if it is not said.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    max_results: Option<String>,
}

/// Registered models that the caller may see, by name.
#[utoipa::path(
    get,
    path = "/models",
    operation_id = "list_models",
    tag = "models",
    params(
        ListQuery,
    ),
    responses(
        (status = OK, description = "A page of models.", body = ModelPage),
        InvalidParameterValue,
        TemporarilyUnavailable,
    ),
)]
pub(super) async fn list(
    access: Access,
    Parameters(query): Parameters<ListQuery>,
) -> Result<Json<ModelPage>, Refused> {
    let size = page_size(query.max_results.as_deref(), PAGE_SIZE)?;
    let served: Option<bool> = parameter("served", query.served.as_deref())?;
    let after = query
        .page_token
        .as_deref()
        .map(read_page_token)
        .transpose()?;
    let part = query.query.unwrap_or_default().to_lowercase();

    let catalog = access.state.registry.catalog();
    let snapshot = access.state.engine.snapshot().borrow().clone();
    let names = names(&access, &catalog, &snapshot);
    let rest = match after {
        Some(name) => (Bound::Excluded(name), Bound::Unbounded),
        None => (Bound::Unbounded, Bound::Unbounded),
    };
    let mut page = ModelPage {
        models: Vec::new(),
        next_page_token: None,
    };
    let is_served = |name: &ModelName| view::model_state(&access.state, name.as_str()).is_some();
    let mut wanted = names.range(rest).filter(|name| {
        name.as_str().to_lowercase().contains(&part)
            && served.is_none_or(|served| served == is_served(name))
    });
    loop {
        // One more than fits: there is a next page. Rights are asked for as many at once, and again if some are hidden.
        let more: Vec<_> = wanted.by_ref().take(size + 1).cloned().collect();
        if more.is_empty() {
            return Ok(Json(page));
        }
        let rights = access.rights(more).await?;
        // Not before the rights are known: what an asking registry took seconds for would be older than what clients were told.
        let snapshot = access.state.engine.snapshot().borrow().clone();
        for (name, right) in rights {
            if page.models.len() == size {
                page.next_page_token = page.models.last().map(|last| write_page_token(&last.name));
                return Ok(Json(page));
            }
            page.models
                .push(summary(&access.state, &name, right, &catalog, &snapshot));
        }
    }
}

/// Everything about one model: state, settings, versions, labels.
#[utoipa::path(
    get,
    path = "/models/{name}",
    operation_id = "show_model",
    tag = "models",
    params(
        ("name" = String, Path, description = "The registered model, percent-encoded.", example = "iris"),
    ),
    responses(
        (status = OK, description = "The model.", body = ModelDetail),
        InvalidParameterValue,
        ResourceDoesNotExist,
        TemporarilyUnavailable,
    ),
)]
pub(super) async fn show(
    access: Access,
    headers: HeaderMap,
    Segments(name): Segments<String>,
) -> Result<Json<ModelDetail>, Refused> {
    let right = access.to_see(&name).await?;
    access.to_exist(&name.as_str().into()).await?;
    Ok(Json(detail(&access, &name, right, &headers)))
}

/// Everything about one model, for a caller who has `right` on it.
pub(super) fn detail(
    access: &Access,
    name: &str,
    right: Right,
    headers: &HeaderMap,
) -> ModelDetail {
    let state = &access.state;
    let uris = Uris::new(&state.about, headers);
    let snapshot = state.engine.snapshot().borrow().clone();
    let model = snapshot.models.get(name);
    let (serving, state_reason) = view::model_state(state, name).unzip();
    let (settings, settings_from) = state
        .intents
        .standing(name)
        .map(|standing| (standing.settings, standing.origins))
        .unzip();
    let served = settings
        .as_ref()
        .map(|settings| settings.versions.clone())
        .unwrap_or_default();
    let settings = match right {
        Right::Manage => settings,
        Right::Read => settings.map(Settings::without_values),
    };
    let catalog = state.registry.catalog();
    let (description, last_updated) = registered(catalog.models.get(name));
    ModelDetail {
        name: name.to_owned(),
        description,
        last_updated,
        state: serving,
        state_reason: state_reason.flatten(),
        permission: permission(right),
        settings,
        settings_from: settings_from.unwrap_or_default(),
        tag_problems: state.intents.tag_problems(name),
        versions: model
            .map(|model| {
                let workers = state.processes.workers();
                view::versions(name, model, state.engine.as_ref(), &workers, &uris)
            })
            .unwrap_or_default(),
        labels: model
            .map(|model| view::labels(name, model, &served, &uris))
            .unwrap_or_default(),
    }
}

/// Registered, aspired, enabled or still draining: a model is never hidden because one of them is slow to say so.
fn names(access: &Access, catalog: &Catalog, snapshot: &Snapshot) -> BTreeSet<ModelName> {
    let mut names: BTreeSet<_> = catalog.models.keys().cloned().collect();
    names.extend(snapshot.models.keys().cloned());
    names.extend(access.state.intents.enabled());
    if let Some(aspired) = &*access.state.aspired.borrow() {
        names.extend(aspired.models.keys().cloned());
    }
    names
}

/// One model as a list shows it to a caller who has `right` on it.
pub(super) fn summary(
    state: &ControlState,
    name: &ModelName,
    right: Right,
    catalog: &Catalog,
    snapshot: &Snapshot,
) -> ModelSummary {
    let serving = view::model_state(state, name.as_str()).map(|(serving, _)| serving);
    let model = snapshot.models.get(name);
    let states: Vec<_> = model
        .into_iter()
        .flat_map(|model| model.versions.values())
        .filter_map(|version| view::version_state(&version.phase))
        .collect();
    let count = |wanted: Option<VersionState>| {
        let matching = states
            .iter()
            .filter(|state| wanted.is_none_or(|wanted| wanted == **state));
        u32::try_from(matching.count()).unwrap_or(u32::MAX)
    };
    let (description, last_updated) = registered(catalog.models.get(name));
    ModelSummary {
        name: name.to_string(),
        description,
        last_updated,
        state: serving,
        versions: count(None),
        ready: count(Some(VersionState::Ready)),
        failed: count(Some(VersionState::Failed)),
        permission: permission(right),
        labels: model.map(view::label_summaries).unwrap_or_default(),
    }
}

fn permission(right: Right) -> Permission {
    match right {
        Right::Read => Permission::Read,
        Right::Manage => Permission::Manage,
    }
}

fn registered(model: Option<&RegisteredModel>) -> (String, Option<Timestamp>) {
    let Some(model) = model else {
        return (String::new(), None);
    };
    let updated = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(model.last_updated));
    (model.description.clone(), updated.map(Timestamp))
}

/// The last name of a page; opaque to clients.
fn write_page_token(name: &str) -> String {
    URL_SAFE_NO_PAD.encode(name)
}

fn read_page_token(token: &str) -> Result<ModelName, Refused> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    let name = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    name.map(ModelName::from).ok_or_else(|| {
        Refused::invalid("the parameter \"page_token\" is not one that was given out here")
    })
}
