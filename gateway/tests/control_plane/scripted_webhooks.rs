//! A registry's webhooks as a script: keeps what it is told, and notes hints.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use auth::Secret;
use gateway::ports::{Delivered, KnownWebhook, RegistryWebhooks, WebhookWish, WebhooksError};
use serving_core::ModelName;

#[derive(Default)]
pub(crate) struct ScriptedWebhooks {
    pub(crate) followed: Mutex<BTreeSet<ModelName>>,
    pub(crate) hints: Mutex<Vec<ModelName>>,
    pub(crate) catalogs: AtomicU32,
    pub(crate) known: Mutex<Vec<KnownWebhook>>,
    /// What the last wish said.
    pub(crate) secret: Mutex<Option<Secret>>,
    pub(crate) wrong: Mutex<Option<WebhooksError>>,
    pub(crate) trial: Mutex<Option<Delivered>>,
}

impl ScriptedWebhooks {
    fn well(&self) -> Result<(), WebhooksError> {
        self.wrong.lock().unwrap().clone().map_or(Ok(()), Err)
    }

    pub(crate) fn hinted(&self) -> Vec<String> {
        let hints = self.hints.lock().unwrap();
        hints.iter().map(ToString::to_string).collect()
    }

    fn keep(&self, id: &str, wish: &WebhookWish) -> KnownWebhook {
        *self.secret.lock().unwrap() = Some(wish.secret.clone());
        KnownWebhook {
            id: id.to_owned(),
            name: wish.name.clone(),
            url: wish.url.clone(),
            events: vec!["model_version.created".to_owned()],
            active: true,
        }
    }
}

#[async_trait]
impl RegistryWebhooks for ScriptedWebhooks {
    fn hint(&self, model: &ModelName) -> bool {
        let followed = self.followed.lock().unwrap().contains(model);
        if followed {
            self.hints.lock().unwrap().push(model.clone());
        }
        followed
    }

    fn catalog_soon(&self) {
        self.catalogs.fetch_add(1, Ordering::Relaxed);
    }

    async fn list(&self) -> Result<Vec<KnownWebhook>, WebhooksError> {
        self.well()?;
        Ok(self.known.lock().unwrap().clone())
    }

    async fn create(&self, wish: &WebhookWish) -> Result<KnownWebhook, WebhooksError> {
        self.well()?;
        // A registry takes its time: whoever asks at once is served in between.
        tokio::task::yield_now().await;
        let mut known = self.known.lock().unwrap();
        let made = self.keep(&format!("w{}", known.len()), wish);
        known.push(made.clone());
        Ok(made)
    }

    async fn update(&self, id: &str, wish: &WebhookWish) -> Result<KnownWebhook, WebhooksError> {
        self.well()?;
        let made = self.keep(id, wish);
        let mut known = self.known.lock().unwrap();
        for webhook in known.iter_mut().filter(|webhook| webhook.id == id) {
            webhook.clone_from(&made);
        }
        Ok(made)
    }

    async fn delete(&self, id: &str) -> Result<(), WebhooksError> {
        self.well()?;
        self.known.lock().unwrap().retain(|known| known.id != id);
        Ok(())
    }

    async fn test(&self, _: &str) -> Result<Delivered, WebhooksError> {
        self.well()?;
        Ok(self.trial.lock().unwrap().clone().unwrap())
    }
}
