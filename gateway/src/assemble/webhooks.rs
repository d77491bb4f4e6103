//! The registry's webhooks in the words of the gateway, and what its refusals mean.

use async_trait::async_trait;
use registry_sync::{RegistryError, RegistryHandle, Webhook};
use serving_core::ModelName;

use crate::ports::{Delivered, KnownWebhook, RegistryWebhooks, WebhookWish, WebhooksError};

/// What MLflow (3.3 and later) tells of that concerns serving: stage transitions, deletions and renamings it does not.
const EVENTS: [(&str, &str); 4] = [
    ("REGISTERED_MODEL", "CREATED"),
    ("MODEL_VERSION", "CREATED"),
    ("MODEL_VERSION_ALIAS", "CREATED"),
    ("MODEL_VERSION_ALIAS", "DELETED"),
];

pub(super) struct WebhooksPort(pub(super) RegistryHandle);

#[async_trait]
impl RegistryWebhooks for WebhooksPort {
    fn hint(&self, model: &ModelName) -> bool {
        self.0.poll_model_soon(model)
    }

    fn catalog_soon(&self) {
        self.0.catalog_soon();
    }

    async fn list(&self) -> Result<Vec<KnownWebhook>, WebhooksError> {
        let webhooks = self.0.webhooks().await.map_err(explained)?;
        Ok(webhooks.into_iter().map(known).collect())
    }

    async fn create(&self, wish: &WebhookWish) -> Result<KnownWebhook, WebhooksError> {
        let made = self.0.create_webhook(theirs(wish)).await;
        made.map(known).map_err(explained)
    }

    async fn update(&self, id: &str, wish: &WebhookWish) -> Result<KnownWebhook, WebhooksError> {
        let made = self.0.update_webhook(id, theirs(wish)).await;
        made.map(known).map_err(explained)
    }

    async fn delete(&self, id: &str) -> Result<(), WebhooksError> {
        self.0.delete_webhook(id).await.map_err(explained)
    }

    async fn test(&self, id: &str) -> Result<Delivered, WebhooksError> {
        let trial = self.0.test_webhook(id).await.map_err(explained)?;
        Ok(Delivered {
            success: trial.success,
            status: u16::try_from(trial.response_status)
                .ok()
                .filter(|status| *status > 0),
            error: trial.error_message,
        })
    }
}

fn theirs(wish: &WebhookWish) -> registry_sync::WebhookWish<'_> {
    registry_sync::WebhookWish {
        name: &wish.name,
        url: &wish.url,
        secret: wish.secret.expose(),
        events: &EVENTS,
    }
}

fn known(webhook: Webhook) -> KnownWebhook {
    let events = webhook.events.iter();
    KnownWebhook {
        active: webhook.status.eq_ignore_ascii_case("ACTIVE"),
        events: events
            .map(|event| format!("{}.{}", event.entity, event.action).to_lowercase())
            .collect(),
        id: webhook.id,
        name: webhook.name,
        url: webhook.url,
    }
}

/// The registry's words are for its own operators; these say what to set where.
fn explained(error: RegistryError) -> WebhooksError {
    match error {
        RegistryError::NotMlflow { .. } => WebhooksError::Unsupported(
            "this registry has no webhooks: MLflow 3.3 and later with a database have them. Without them, changes are \
             found by polling; poll_interval says how soon"
                .to_owned(),
        ),
        RegistryError::Denied { .. } | RegistryError::Unauthenticated => {
            WebhooksError::Denied(
                "the registry lets only its admins manage webhooks, and the gateway's account is none: make it one for as \
                 long as this takes"
                    .to_owned(),
            )
        }
        RegistryError::Refused { message, .. } => WebhooksError::Refused(refused(&message)),
        RegistryError::NotFound(message) => WebhooksError::Refused(message),
        RegistryError::Failing { status, message, .. } => WebhooksError::Failed(format!(
            "the registry fails at webhooks ({status}: {}). If MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY is not set at the \
             MLflow server, it cannot read after a restart, or in another of its processes, what it wrote before, and fails \
             like this even at deleting: set the key, delete the rows of the tables webhook_events and webhooks in its \
             database, and install again",
            if message.is_empty() { "no reason given" } else { &message }
        )),
        other => WebhooksError::Failed(other.to_string()),
    }
}

fn refused(message: &str) -> String {
    let remedy = if message.contains("URL scheme") {
        Some(
            "give the gateway an https:// address (public_url, or --url), or start the MLflow server with \
             MLFLOW_WEBHOOK_ALLOWED_SCHEMES=http,https",
        )
    } else if message.contains("non-public IP") || message.contains("resolve") {
        Some(
            "start the MLflow server with MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS=true, or give the gateway an address that is \
             public; see docs/operating.md",
        )
    } else {
        None
    };
    match remedy {
        Some(remedy) => {
            format!("the registry does not take the webhook: {message}. To do: {remedy}")
        }
        None => format!("the registry does not take the webhook: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_the_registry_say_what_to_set_where() {
        let refused = |message: &str| {
            let error = RegistryError::Refused {
                what: "webhooks (create)".into(),
                status: 400,
                message: message.into(),
            };
            explained(error).to_string()
        };
        let scheme = refused("Invalid webhook URL scheme: 'http'. Allowed schemes are: https.");
        assert!(scheme.contains("MLFLOW_WEBHOOK_ALLOWED_SCHEMES=http,https"));
        let private = refused("Webhook URL must not resolve to a non-public IP address");
        assert!(private.contains("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS=true"));
        let failing = explained(RegistryError::Failing {
            what: "webhooks (test)".into(),
            status: 500,
            message: String::new(),
        });
        assert!(
            failing
                .to_string()
                .contains("MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY")
        );
    }

    #[test]
    fn an_older_registry_and_a_right_that_lacks_are_told_apart() {
        let missing = explained(RegistryError::NotMlflow {
            url: "http://mlflow:5000".into(),
            reason: "404 for webhooks".into(),
        });
        assert!(matches!(missing, WebhooksError::Unsupported(_)));
        let denied = explained(RegistryError::Denied {
            what: "webhooks (create)".into(),
            message: "Permission denied".into(),
        });
        assert!(matches!(denied, WebhooksError::Denied(_)));
    }
}
