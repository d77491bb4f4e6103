//! Installing, listing, testing and removing the webhook at the registry, with the gateway's own credentials. For admins.

use std::sync::Arc;

use axum::Json;
use url::Url;

use super::PATH;
use crate::api::{
    InstallWebhook, InstalledWebhook, RemovedWebhooks, WebhookInfo, WebhookName, WebhookPage,
    WebhookTrial,
};
use crate::control_plane::extract::{Body, Parameters};
use crate::control_plane::openapi::{
    InvalidParameterValue, PermissionDenied, RequestTooLarge, ResourceDoesNotExist,
    TemporarilyUnavailable,
};
use crate::control_plane::{Access, Refused};
use crate::error::ErrorCode;
use crate::ports::{Delivered, KnownWebhook, WebhookWish, WebhooksError};

/// The name of a webhook that nobody gave one.
const NAME: &str = "sluicegate";

/// The webhooks of the registry that deliver to a gateway. For admins.
#[utoipa::path(
    get,
    path = "/webhooks",
    operation_id = "list_webhooks",
    tag = "webhooks",
    responses(
        (status = OK, description = "Those of the registry, and how their deliveries go.", body = WebhookPage),
        PermissionDenied,
        ResourceDoesNotExist,
        InvalidParameterValue,
        TemporarilyUnavailable,
    ),
)]
pub(in crate::control_plane) async fn list(access: Access) -> Result<Json<WebhookPage>, Refused> {
    access.to_manage_webhooks()?;
    let webhooks = &access.state.webhooks;
    let ours = webhooks.registry.0.list().await?.into_iter();
    let ours = ours.filter(|webhook| is_for_a_gateway(&webhook.url));
    let ours: Vec<_> = ours.map(WebhookInfo::from).collect();
    webhooks.found_installed(ours.iter().any(|webhook| webhook.active));
    Ok(Json(WebhookPage {
        webhooks: ours,
        deliveries: webhooks.state(),
    }))
}

/// Installs a webhook at the registry; once more changes nothing, or what is asked for otherwise. For admins.
#[utoipa::path(
    post,
    path = "/webhooks/install",
    operation_id = "install_webhook",
    tag = "webhooks",
    request_body(content = Option<InstallWebhook>, content_type = "application/json"),
    responses(
        (status = OK, description = "It is installed.", body = InstalledWebhook),
        PermissionDenied,
        ResourceDoesNotExist,
        InvalidParameterValue,
        RequestTooLarge,
        TemporarilyUnavailable,
    ),
)]
pub(in crate::control_plane) async fn install(
    access: Access,
    body: Body,
) -> Result<Json<InstalledWebhook>, Refused> {
    access.to_manage_webhooks()?;
    let asked: InstallWebhook = body.read()?;
    let url = address(asked.url.as_deref(), access.state.about.public_url.as_ref())?;
    let is_named = asked.name.is_some();
    let name = asked.name.unwrap_or_else(|| NAME.to_owned());
    let webhooks = &access.state.webhooks;
    let _turn = webhooks.turn.lock().await;
    // Asked first: a registry without webhooks leaves no secret behind.
    let existing = named(&access, &name).await?.into_iter().next();
    if let Some(existing) = &existing
        && !is_named
        && existing.url != url
        && !is_ours(&access, &existing.url)
    {
        return Err(somebody_elses(&existing.url));
    }
    let secret = {
        let state = Arc::clone(&access.state);
        let made = tokio::task::spawn_blocking(move || state.webhooks.secret()).await;
        made.map_err(|error| error.to_string())
            .and_then(|secret| secret.map_err(|error| error.to_string()))
            .map_err(|error| Refused::unavailable(format!("the secret cannot be kept: {error}")))?
    };
    let wish = WebhookWish { name, url, secret };
    let registry = &webhooks.registry.0;
    let (webhook, before) = match existing {
        Some(existing) => {
            let updated = registry.update(&existing.id, &wish).await?;
            (updated, Some(existing.url))
        }
        None => (registry.create(&wish).await?, None),
    };
    webhooks.found_installed(true);
    if wish.name == NAME {
        webhooks.installed_at(&wish.url);
    }
    Ok(Json(InstalledWebhook {
        created: before.is_none(),
        before: before.filter(|url| *url != wish.url),
        webhook: webhook.into(),
    }))
}

/// Has the registry deliver something now. For admins.
#[utoipa::path(
    post,
    path = "/webhooks/test",
    operation_id = "test_webhook",
    tag = "webhooks",
    request_body(content = Option<WebhookName>, content_type = "application/json"),
    responses(
        (status = OK, description = "What came of it.", body = WebhookTrial),
        PermissionDenied,
        ResourceDoesNotExist,
        InvalidParameterValue,
        RequestTooLarge,
        TemporarilyUnavailable,
    ),
)]
pub(in crate::control_plane) async fn test(
    access: Access,
    body: Body,
) -> Result<Json<WebhookTrial>, Refused> {
    access.to_manage_webhooks()?;
    let asked: WebhookName = body.read()?;
    let name = asked.name.as_deref().unwrap_or(NAME);
    let webhook = named(&access, name).await?.into_iter().next();
    let webhook = webhook.ok_or_else(|| none_of_that_name(name))?;
    let delivered = access.state.webhooks.registry.0.test(&webhook.id).await?;
    Ok(Json(trial(&webhook, delivered)))
}

/// Removes a webhook from the registry. For admins.
#[utoipa::path(
    delete,
    path = "/webhooks",
    operation_id = "remove_webhook",
    tag = "webhooks",
    params(WebhookName),
    responses(
        (status = OK, description = "It is removed.", body = RemovedWebhooks),
        PermissionDenied,
        ResourceDoesNotExist,
        InvalidParameterValue,
        TemporarilyUnavailable,
    ),
)]
pub(in crate::control_plane) async fn remove(
    access: Access,
    Parameters(asked): Parameters<WebhookName>,
) -> Result<Json<RemovedWebhooks>, Refused> {
    access.to_manage_webhooks()?;
    let name = asked.name.as_deref().unwrap_or(NAME);
    let webhooks = &access.state.webhooks;
    let _turn = webhooks.turn.lock().await;
    let mut found = named(&access, name).await?;
    if asked.name.is_none() {
        let first = found.first().map(|webhook| webhook.url.clone());
        found.retain(|webhook| is_ours(&access, &webhook.url));
        if let Some(other) = first.filter(|_| found.is_empty()) {
            return Err(somebody_elses(&other));
        }
    }
    if found.is_empty() {
        return Err(none_of_that_name(name));
    }
    for webhook in &found {
        webhooks.registry.0.delete(&webhook.id).await?;
    }
    webhooks.found_installed(false);
    Ok(Json(RemovedWebhooks {
        removed: u32::try_from(found.len()).unwrap_or(u32::MAX),
    }))
}

impl Access {
    fn to_manage_webhooks(&self) -> Result<(), Refused> {
        if self.is_admin()? {
            return Ok(());
        }
        Err(Refused::new(
            ErrorCode::PermissionDenied,
            "webhooks are for all models: only an admin may see and change them",
        ))
    }
}

/// The webhooks of that name that deliver to a gateway; others are somebody else's, and left alone.
async fn named(access: &Access, name: &str) -> Result<Vec<KnownWebhook>, Refused> {
    let all = access.state.webhooks.registry.0.list().await?.into_iter();
    let ours = all.filter(|webhook| webhook.name == name && is_for_a_gateway(&webhook.url));
    Ok(ours.collect())
}

/// Whether the webhook of the default name that delivers to `url` is this gateway's beyond doubt: another gateway of the
/// same registry may have made one.
fn is_ours(access: &Access, url: &str) -> bool {
    let public_url = access.state.about.public_url.as_ref();
    access.state.webhooks.was_installed_at(url)
        || address(None, public_url).is_ok_and(|address| address == url)
}

fn somebody_elses(url: &str) -> Refused {
    Refused::invalid(format!(
        "the registry's webhook {NAME:?} delivers to {url}, which may be another gateway. If it is meant, name it \
         (--name {NAME}); a webhook of this gateway's own needs another name (--name NAME)"
    ))
}

fn none_of_that_name(name: &str) -> Refused {
    Refused::missing(format!(
        "the registry has no webhook {name:?} that delivers to a gateway; `sluicegate webhooks install` makes one"
    ))
}

fn is_for_a_gateway(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| url.path().ends_with(PATH))
}

/// Where the registry is to deliver to: the path of deliveries below the gateway's address.
fn address(asked: Option<&str>, public_url: Option<&Url>) -> Result<String, Refused> {
    let base = match (asked, public_url) {
        (Some(asked), _) => Url::parse(asked)
            .map_err(|error| Refused::invalid(format!("\"url\": {asked:?}: {error}")))?,
        (None, Some(public_url)) => public_url.clone(),
        (None, None) => {
            return Err(Refused::invalid(
                "\"url\" is missing: say how the registry reaches this gateway (--url), or set public_url in its \
                 configuration",
            ));
        }
    };
    let plain = matches!(base.scheme(), "http" | "https")
        && base.host_str().is_some()
        && base.username().is_empty()
        && base.password().is_none()
        && base.query().is_none()
        && base.fragment().is_none();
    if !plain {
        return Err(Refused::invalid(
            "\"url\": an http:// or https:// address without user, password, ? and # is allowed",
        ));
    }
    let base = base.as_str().trim_end_matches('/');
    Ok(if base.ends_with(PATH) {
        base.to_owned()
    } else {
        format!("{base}{PATH}")
    })
}

fn trial(webhook: &KnownWebhook, delivered: Delivered) -> WebhookTrial {
    let url = &webhook.url;
    let problem = match delivered.status {
        _ if delivered.success => None,
        Some(401) => Some(
            "the gateway does not know the signature: the registry signs with another secret. Install again".to_owned(),
        ),
        Some(400) => Some(
            "the gateway refused the delivery (400): probably the clocks of the two hosts differ".to_owned(),
        ),
        Some(404) => Some(format!(
            "something answered at {url} with 404: another program, or a gateway that has no secret. Install again, with the \
             --url at which the registry reaches this gateway"
        )),
        Some(status) => Some(format!("{url} answered with {status}")),
        None if delivered.error.is_empty() => Some(format!("the registry could not reach {url}")),
        None => Some(format!("the registry could not reach {url}: {}", delivered.error)),
    };
    WebhookTrial {
        success: delivered.success,
        status: delivered.status,
        problem,
    }
}

impl From<KnownWebhook> for WebhookInfo {
    fn from(webhook: KnownWebhook) -> Self {
        Self {
            id: webhook.id,
            name: webhook.name,
            url: webhook.url,
            events: webhook.events,
            active: webhook.active,
        }
    }
}

impl From<WebhooksError> for Refused {
    fn from(error: WebhooksError) -> Self {
        Self::new(ErrorCode::from(&error), error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deliveries_go_below_the_gateways_address() {
        let public: Url = "https://models.example/serving/".parse().unwrap();
        let address = |asked: Option<&str>, public: Option<&Url>| {
            address(asked, public).map_err(|Refused(error)| error.message)
        };
        assert_eq!(
            address(None, Some(&public)).unwrap(),
            "https://models.example/serving/api/v1/webhooks/mlflow"
        );
        for asked in [
            "http://10.0.0.1:8080",
            "http://10.0.0.1:8080/",
            "http://10.0.0.1:8080/api/v1/webhooks/mlflow",
        ] {
            assert_eq!(
                address(Some(asked), Some(&public)).unwrap(),
                "http://10.0.0.1:8080/api/v1/webhooks/mlflow"
            );
        }
        assert!(address(None, None).unwrap_err().contains("public_url"));
        for wrong in [
            "gateway",
            "ftp://host",
            "http://user:word@host",
            "http://host/?a=1",
        ] {
            assert!(address(Some(wrong), None).is_err(), "{wrong}");
        }
    }
}
