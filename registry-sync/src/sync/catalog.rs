//! The names of all registered models, for people who choose what to enable.

use std::collections::BTreeMap;
use std::sync::Arc;

use serving_core::ModelName;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Interest;
use super::pace::Pace;
use super::poll::reads_everything;
use crate::client::{Client, ModelRow, Models, Usage};
use crate::error::RegistryError;

/// All registered models.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    /// By name.
    pub models: BTreeMap<ModelName, RegisteredModel>,
}

/// One registered model as a list shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegisteredModel {
    /// As written in the registry; may be empty.
    pub description: String,
    /// Last change that the registry knows of, milliseconds since the epoch. Aliases and tags do not move it.
    pub last_updated: u64,
}

/// Refreshes the catalog while the polls do not read all models anyway.
#[derive(Debug)]
pub(super) struct CatalogKeeper {
    pub(super) client: Client,
    pub(super) pace: Pace,
    pub(super) interest: watch::Receiver<Interest>,
    pub(super) nudged: watch::Receiver<u64>,
    pub(super) catalog: watch::Sender<Arc<Catalog>>,
}

impl Catalog {
    /// The models among `rows`.
    pub(super) fn of(rows: &[ModelRow]) -> Self {
        let models = rows.iter().filter(|row| !row.is_prompt());
        let models = models.map(|row| {
            let model = RegisteredModel {
                description: row.description.clone(),
                last_updated: row.last_updated_timestamp,
            };
            (ModelName::from(row.name.as_str()), model)
        });
        Self {
            models: models.collect(),
        }
    }

    /// Publishes this value if it differs from the current one.
    pub(super) fn publish(self, catalog: &watch::Sender<Arc<Self>>) {
        catalog.send_if_modified(|current| {
            let differs = **current != self;
            if differs {
                *current = Arc::new(self);
            }
            differs
        });
    }
}

impl CatalogKeeper {
    pub(super) async fn run(mut self) {
        loop {
            self.nudged.borrow_and_update();
            let polls_do_it = reads_everything(&self.interest.borrow_and_update());
            if !polls_do_it {
                let start = Instant::now();
                match self.read().await {
                    Ok(catalog) => {
                        catalog.publish(&self.catalog);
                        self.pace.succeeded(start.elapsed());
                    }
                    Err(error) => self.pace.failed(&error),
                }
            }
            self.pace.wait(&mut self.nudged, &mut self.interest).await;
        }
    }

    async fn read(&self) -> Result<Catalog, RegistryError> {
        let usage = Usage::default();
        let models = self.client.list::<Models>(None, &usage).await?;
        Ok(Catalog::of(&models.rows))
    }
}
