//! What the gateway needs of the registry's webhooks: to follow hints, and to manage the webhook that sends them.

use async_trait::async_trait;
use serving_core::ModelName;

/// The registry as a sender of hints.
#[async_trait]
pub trait RegistryWebhooks: Send + Sync {
    /// Has one model looked at at once, if it is followed; returns at once, and says whether it is. Many hints are
    /// answered by one look.
    fn hint(&self, model: &ModelName) -> bool;

    /// Has the names of all registered models read again soon; returns at once.
    fn catalog_soon(&self);

    /// All webhooks of the registry, not only ours.
    async fn list(&self) -> Result<Vec<KnownWebhook>, WebhooksError>;

    /// Makes a new one.
    async fn create(&self, wish: &WebhookWish) -> Result<KnownWebhook, WebhooksError>;

    /// Makes an existing one what it should be, and active.
    async fn update(&self, id: &str, wish: &WebhookWish) -> Result<KnownWebhook, WebhooksError>;

    /// Takes one away.
    async fn delete(&self, id: &str) -> Result<(), WebhooksError>;

    /// Has the registry deliver something through one on trial, and tells how that went.
    async fn test(&self, id: &str) -> Result<Delivered, WebhooksError>;
}

/// A webhook as the registry shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownWebhook {
    /// The registry's own name of it.
    pub id: String,
    /// The name that it was given.
    pub name: String,
    /// Where it delivers to.
    pub url: String,
    /// What it tells of, such as `model_version.created`.
    pub events: Vec<String>,
    /// Whether it delivers.
    pub active: bool,
}

/// What our webhook should be. What it tells of is up to whoever knows the registry.
#[derive(Clone, Debug)]
pub struct WebhookWish {
    /// Its name.
    pub name: String,
    /// Where it delivers to.
    pub url: String,
    /// What it signs with.
    pub secret: auth::Secret,
}

/// How a delivery on trial went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Whether it was taken.
    pub success: bool,
    /// The status that it was answered with; `None` if it was not answered.
    pub status: Option<u16>,
    /// What the registry says went wrong; may be empty.
    pub error: String,
}

/// Why something cannot be said or done about webhooks: sentences for people, with what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhooksError {
    /// This registry has none.
    #[error("{0}")]
    Unsupported(String),
    /// The gateway's account may not.
    #[error("{0}")]
    Denied(String),
    /// The registry does not take what was asked for.
    #[error("{0}")]
    Refused(String),
    /// The registry fails, or does not answer.
    #[error("{0}")]
    Failed(String),
}
