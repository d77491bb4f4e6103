//! The registry's webhooks (MLflow 3.3 and later): list, create, update, delete, test. All of them are for its admins.

use std::fmt;

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::types::{integer, text};
use super::{Authority, Client, Usage, below};
use crate::error::RegistryError;

/// Webhooks on a page; a registry has few.
const PAGE_SIZE: &str = "100";

/// A server that sends a token for ever is not followed for ever.
const MAX_PAGES: usize = 100;

/// A webhook as the registry shows it: never with its secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Webhook {
    /// The registry's own name of it.
    #[serde(rename = "webhook_id", deserialize_with = "text")]
    pub id: String,
    /// The name that it was given; several may have the same.
    #[serde(deserialize_with = "text")]
    pub name: String,
    /// Where it delivers to.
    #[serde(deserialize_with = "text")]
    pub url: String,
    /// What it tells of.
    pub events: Vec<WebhookEvent>,
    /// `ACTIVE` or `DISABLED`.
    #[serde(deserialize_with = "text")]
    pub status: String,
    /// Milliseconds since the epoch.
    #[serde(deserialize_with = "integer")]
    pub creation_timestamp: u64,
}

/// What a webhook tells of, in the registry's words: `MODEL_VERSION` and `CREATED`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WebhookEvent {
    /// What something happens to.
    #[serde(deserialize_with = "text")]
    pub entity: String,
    /// What happens to it.
    #[serde(deserialize_with = "text")]
    pub action: String,
}

/// What a webhook should be.
#[derive(Clone, Copy)]
pub struct WebhookWish<'a> {
    /// Its name.
    pub name: &'a str,
    /// Where it delivers to.
    pub url: &'a str,
    /// What it signs with.
    pub secret: &'a str,
    /// What it tells of, as entity and action.
    pub events: &'a [(&'a str, &'a str)],
}

/// How a delivery on trial went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct WebhookTrial {
    /// Whether it was answered with 2xx.
    pub success: bool,
    /// With which status it was answered; 0 if not at all.
    #[serde(deserialize_with = "integer")]
    pub response_status: u64,
    /// The answer's body.
    #[serde(deserialize_with = "text")]
    pub response_body: String,
    /// What went wrong.
    #[serde(deserialize_with = "text")]
    pub error_message: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Page {
    webhooks: Vec<Webhook>,
    #[serde(deserialize_with = "text")]
    next_page_token: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct One {
    webhook: Webhook,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Trial {
    result: WebhookTrial,
}

impl Client {
    /// All webhooks.
    pub(crate) async fn webhooks(&self) -> Result<Vec<Webhook>, RegistryError> {
        let usage = Usage::default();
        let mut all = Vec::new();
        let mut token = String::new();
        for _ in 0..MAX_PAGES {
            let mut query = vec![("max_results", PAGE_SIZE)];
            if !token.is_empty() {
                query.push(("page_token", &token));
            }
            let page: Page = self.registry("webhooks", &query, &usage).await?;
            all.extend(page.webhooks);
            if page.next_page_token.is_empty() || page.next_page_token == token {
                return Ok(all);
            }
            token = page.next_page_token;
        }
        Ok(all)
    }

    /// A new webhook.
    pub(crate) async fn create_webhook(
        &self,
        wish: WebhookWish<'_>,
    ) -> Result<Webhook, RegistryError> {
        let body = wish.body();
        let made: One = self.webhook_call(Method::POST, &[], body, "create").await?;
        Ok(made.webhook)
    }

    /// Makes a webhook what it should be, and active.
    pub(crate) async fn update_webhook(
        &self,
        id: &str,
        wish: WebhookWish<'_>,
    ) -> Result<Webhook, RegistryError> {
        let mut body = wish.body();
        body["status"] = json!("ACTIVE");
        let made: One = self
            .webhook_call(Method::PATCH, &[id], body, "update")
            .await?;
        Ok(made.webhook)
    }

    /// Takes a webhook away.
    pub(crate) async fn delete_webhook(&self, id: &str) -> Result<(), RegistryError> {
        let _: Value = self
            .webhook_call(Method::DELETE, &[id], json!({}), "delete")
            .await?;
        Ok(())
    }

    /// Has the registry deliver something on trial now.
    pub(crate) async fn test_webhook(&self, id: &str) -> Result<WebhookTrial, RegistryError> {
        let trial: Trial = self
            .webhook_call(Method::POST, &[id, "test"], json!({}), "test")
            .await?;
        Ok(trial.result)
    }

    async fn webhook_call<T: serde::de::DeserializeOwned>(
        &self,
        method: Method,
        segments: &[&str],
        body: Value,
        verb: &str,
    ) -> Result<T, RegistryError> {
        let path = ["api", "2.0", "mlflow", "webhooks"];
        let url = below(
            self.base_url(),
            path.into_iter().chain(segments.iter().copied()),
        );
        let request = self.request(Authority::Registry, method, url).json(&body);
        let what = format!("webhooks ({verb})");
        self.answer(request, &what, &Usage::default()).await
    }
}

/// Without the secret.
impl fmt::Debug for WebhookWish<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("WebhookWish")
            .field("name", &self.name)
            .field("url", &self.url)
            .field("events", &self.events)
            .finish_non_exhaustive()
    }
}

impl WebhookWish<'_> {
    fn body(&self) -> Value {
        let events = self.events.iter();
        let events: Vec<Value> = events
            .map(|(entity, action)| json!({ "entity": entity, "action": action }))
            .collect();
        json!({ "name": self.name, "url": self.url, "secret": self.secret, "events": events })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_shown_without_its_secret() {
        let wish = WebhookWish {
            name: "sluicegate",
            url: "https://gate.example",
            secret: "hidden",
            events: &[],
        };
        let shown = format!("{wish:?}");
        assert!(shown.contains("gate.example"), "{shown}");
        assert!(!shown.contains("hidden"), "{shown}");
    }
}
