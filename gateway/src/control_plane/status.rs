//! How the gateway as a whole is doing.

use std::time::Duration;

use axum::Json;
use serving_core::Phase;

use super::access::Access;
use super::health::routes_published;
use crate::api::{HumaneDuration, RegistryState, RightsState, Status, Timestamp};

/// How the gateway as a whole is doing: counts, no names, so every known caller may see it.
#[utoipa::path(
    get,
    path = "/status",
    operation_id = "show_status",
    tag = "gateway",
    responses(
        (status = OK, description = "How it is doing.", body = Status),
    ),
)]
pub(super) async fn show(access: Access) -> Json<Status> {
    let state = &access.state;
    let registry = state.registry.status();
    let snapshot = state.engine.snapshot().borrow().clone();
    let count = |wanted: fn(&Phase) -> bool| {
        let versions = snapshot
            .models
            .values()
            .flat_map(|model| model.versions.values());
        u32::try_from(versions.filter(|version| wanted(&version.phase)).count()).unwrap_or(u32::MAX)
    };
    let enabled = snapshot
        .models
        .keys()
        .filter(|name| state.intents.settings(name.as_str()).is_some());
    let up = state.clock.now().duration_since(state.about.started);
    Json(Status {
        version: state.about.version.clone(),
        started: state.about.started.into(),
        uptime: HumaneDuration(Duration::from_secs(up.unwrap_or_default().as_secs())),
        principal: access.principal.name.to_string(),
        admin: access.principal.admin,
        routes_published: routes_published(state),
        models_enabled: u32::try_from(enabled.count()).unwrap_or(u32::MAX),
        versions_ready: count(|phase| matches!(phase, Phase::Ready)),
        versions_failed: count(|phase| matches!(phase, Phase::Failed(_))),
        registry: RegistryState {
            url: state.about.registry_url.to_string(),
            reachable: registry.error.is_none() && registry.last_success.is_some(),
            last_success: registry.last_success.map(Timestamp),
            error: registry.error,
        },
        rights: state.authenticator.inherited().map(|rights| RightsState {
            answered: rights.is_answered(),
        }),
        webhooks: state.webhooks.state(),
    })
}
