//! Calls about the registry's webhooks.

use std::time::Duration;

use gateway::api::{
    InstallWebhook, InstalledWebhook, RemovedWebhooks, WebhookName, WebhookPage, WebhookTrial,
};
use reqwest::Method;

use super::Client;
use crate::error::CommandError;

/// The registry tries a delivery up to four times, 30 seconds each, before it says that it failed.
const TRIAL_DEADLINE: Duration = Duration::from_secs(180);

impl Client {
    /// Makes the webhook at the registry what it should be.
    pub(crate) async fn install_webhook(
        &self,
        wish: &InstallWebhook,
    ) -> Result<InstalledWebhook, CommandError> {
        self.receive(self.api(Method::POST, &["webhooks", "install"]).json(wish))
            .await
    }

    /// The registry's webhooks that deliver to a gateway, and how deliveries go.
    pub(crate) async fn webhooks(&self) -> Result<WebhookPage, CommandError> {
        self.get(&["webhooks"], &()).await
    }

    /// Has the registry deliver something now.
    pub(crate) async fn test_webhook(
        &self,
        which: &WebhookName,
    ) -> Result<WebhookTrial, CommandError> {
        let request = self.api(Method::POST, &["webhooks", "test"]);
        self.receive(request.json(which).timeout(TRIAL_DEADLINE))
            .await
    }

    /// Takes the webhook away.
    pub(crate) async fn remove_webhooks(
        &self,
        which: &WebhookName,
    ) -> Result<RemovedWebhooks, CommandError> {
        let request = self.api(Method::DELETE, &["webhooks"]);
        self.receive(request.query(which)).await
    }
}
