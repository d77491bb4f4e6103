//! A registry that says what tests want it to say.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use gateway::ports::{Catalog, RegisteredVersion, Registry, RegistryStatus, RegistryUnavailable};
use serving_core::{AspiredVersion, Incarnation, ModelName, ServableId, Source};
use tokio::sync::watch;

use super::harness::now;

#[derive(Default)]
pub(crate) struct ScriptedRegistry {
    pub(crate) catalog: Mutex<Arc<Catalog>>,
    /// Registered since the catalog was read.
    pub(crate) fresh: Mutex<Vec<ModelName>>,
    /// What it answers when it is asked for one version.
    pub(crate) versions: Mutex<BTreeMap<ServableId, Source>>,
    /// Why it does not answer.
    pub(crate) down: Mutex<Option<String>>,
    pub(crate) polls: AtomicU32,
    /// Whether polls take until this is `false`.
    pub(crate) polling: watch::Sender<bool>,
}

#[async_trait]
impl Registry for ScriptedRegistry {
    fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog.lock().unwrap())
    }

    async fn is_registered(&self, model: &ModelName) -> Result<bool, RegistryUnavailable> {
        match &*self.down.lock().unwrap() {
            Some(reason) => Err(RegistryUnavailable(reason.clone())),
            None => Ok(self.fresh.lock().unwrap().contains(model)),
        }
    }

    async fn version(
        &self,
        id: &ServableId,
    ) -> Result<Option<RegisteredVersion>, RegistryUnavailable> {
        if let Some(reason) = &*self.down.lock().unwrap() {
            return Err(RegistryUnavailable(reason.clone()));
        }
        let versions = self.versions.lock().unwrap();
        Ok(versions.get(id).map(|source| RegisteredVersion {
            model_incarnation: Incarnation::from("model"),
            version: AspiredVersion {
                incarnation: Incarnation::from("version"),
                source: source.clone(),
            },
        }))
    }

    fn poll_soon(&self) {
        self.polls.fetch_add(1, Ordering::Relaxed);
    }

    async fn polled(&self) {
        self.polls.fetch_add(1, Ordering::Relaxed);
        let mut polling = self.polling.subscribe();
        polling.wait_for(|polling| !polling).await.unwrap();
    }

    fn status(&self) -> RegistryStatus {
        let error = self.down.lock().unwrap().clone();
        RegistryStatus {
            last_success: error.is_none().then_some(now()),
            polls: 5,
            failed_polls: u64::from(error.is_some()),
            error,
        }
    }
}
