//! Follows a registry: polls it, and publishes what changed.

mod board;
mod catalog;
mod follow;
mod hints;
mod pace;
mod poll;
mod single;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serving_core::{Aspired, ModelName, ServableId};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::artifacts::Artifacts;
use crate::client::{Client, Usage, Webhook, WebhookTrial, WebhookWish};
use crate::config::{ConfigError, RegistryConfig};
use crate::error::RegistryError;
use crate::select::{FoundVersion, single};
use board::Board;
use catalog::CatalogKeeper;
use follow::Follower;
use hints::Hints;
use pace::Pace;
use poll::reads_everything;
use single::SingleLooks;

pub use catalog::{Catalog, RegisteredModel};

/// At most about five polls a second, whoever asks for them.
const POLL_SPACING: Duration = Duration::from_millis(200);

/// The catalog may be large: at most one a second.
const CATALOG_SPACING: Duration = Duration::from_secs(1);

/// The task that follows a registry. It works while [`RegistrySync::run`] runs.
#[derive(Debug)]
pub struct RegistrySync {
    follower: Follower<Client>,
    catalog: CatalogKeeper,
    single: SingleLooks<Client>,
}

/// What the rest of the program holds of a [`RegistrySync`]. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RegistryHandle {
    client: Client,
    aspired: watch::Receiver<Option<Arc<Aspired>>>,
    catalog: watch::Receiver<Arc<Catalog>>,
    status: watch::Receiver<SyncStatus>,
    interest: watch::Receiver<Interest>,
    nudges: watch::Sender<u64>,
    catalog_nudges: watch::Sender<u64>,
    hints: Hints,
    answered: watch::Receiver<u64>,
    artifacts: Artifacts,
}

/// Which models' versions to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Those of every registered model.
    All,
    /// Those of the named models. While they are few, nothing else is read.
    Models(BTreeSet<ModelName>),
}

/// How polling goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncStatus {
    /// When a poll last succeeded; `None` if never in this process.
    pub last_success: Option<SystemTime>,
    /// Polls that failed since then.
    pub consecutive_failures: u32,
    /// Why the last poll failed; `None` if it succeeded.
    pub error: Option<String>,
    /// Polls so far.
    pub polls: u64,
    /// How many of them failed.
    pub failed_polls: u64,
    /// How long the last poll took.
    pub took: Duration,
    /// Calls that the last poll made.
    pub calls: u32,
    /// Bytes of JSON that the last poll received.
    pub bytes: u64,
}

impl RegistrySync {
    /// A task that follows the registry of `config`, and the handle to what it sees.
    ///
    /// Until the first poll succeeds, the value is `last_known`: what was stored when the registry last answered.
    pub fn new(
        config: RegistryConfig,
        interest: watch::Receiver<Interest>,
        last_known: Option<Aspired>,
    ) -> Result<(Self, RegistryHandle), ConfigError> {
        let client = Client::new(&config)?;
        let (aspired, aspired_seen) = watch::channel(last_known.map(Arc::new));
        let (catalog, catalog_seen) = watch::channel(Arc::default());
        let (status, status_seen) = watch::channel(SyncStatus::default());
        let (nudges, nudged) = watch::channel(0);
        let (catalog_nudges, catalog_nudged) = watch::channel(0);
        let (answered, answers) = watch::channel(0);
        let (board, hints) = (Board::new(aspired), Hints::default());
        let follower = Follower {
            registry: client.clone(),
            pace: Pace::new("following the registry", config.poll_interval, POLL_SPACING),
            interest: interest.clone(),
            nudged,
            answered,
            board: board.clone(),
            hints: hints.clone(),
            catalog: catalog.clone(),
            status,
        };
        let keeper = CatalogKeeper {
            client: client.clone(),
            pace: Pace::new(
                "listing the registered models",
                config.catalog_interval,
                CATALOG_SPACING,
            ),
            interest: interest.clone(),
            nudged: catalog_nudged,
            catalog,
        };
        let single = SingleLooks {
            registry: client.clone(),
            interest: interest.clone(),
            hints: hints.clone(),
            board,
            nudges: nudges.clone(),
        };
        let sync = Self {
            follower,
            catalog: keeper,
            single,
        };
        let handle = RegistryHandle {
            artifacts: Artifacts::new(client.clone()),
            client,
            aspired: aspired_seen,
            catalog: catalog_seen,
            status: status_seen,
            interest,
            nudges,
            catalog_nudges,
            hints,
            answered: answers,
        };
        Ok((sync, handle))
    }

    /// Polls until `shutdown`, then drops whatever call is under way.
    pub async fn run(self, shutdown: CancellationToken) {
        let work =
            async { tokio::join!(self.follower.run(), self.catalog.run(), self.single.run()) };
        shutdown.run_until_cancelled(work).await;
    }
}

impl RegistryHandle {
    /// What should be served, as far as it is of interest; `None` while nothing is known.
    pub fn aspired(&self) -> watch::Receiver<Option<Arc<Aspired>>> {
        self.aspired.clone()
    }

    /// All registered models; refreshed more slowly than `aspired`, except after [`RegistryHandle::poll_soon`].
    pub fn catalog(&self) -> watch::Receiver<Arc<Catalog>> {
        self.catalog.clone()
    }

    /// How polling goes.
    pub fn status(&self) -> watch::Receiver<SyncStatus> {
        self.status.clone()
    }

    /// Asks for a poll at once instead of after the current pause. Many wishes are answered by one poll.
    pub fn poll_soon(&self) {
        nudge(&self.nudges);
        nudge(&self.catalog_nudges);
    }

    /// Asks for a look at one model at once, beside the polls and without touching their pace; returns at once, and says
    /// whether the model is of interest. Many wishes are answered by one look. Where the look fails, a poll follows.
    pub fn poll_model_soon(&self, model: &ModelName) -> bool {
        if !self.interest.borrow().contains(model.as_str()) {
            return false;
        }
        if !self.hints.add(model.clone()) {
            nudge(&self.nudges);
        }
        true
    }

    /// Asks for a new catalog.
    pub fn catalog_soon(&self) {
        if reads_everything(&self.interest.borrow()) {
            nudge(&self.nudges);
        } else {
            nudge(&self.catalog_nudges);
        }
    }

    /// Asks for a poll, and resolves when one that began after this call has succeeded and is published. While the registry
    /// fails, that takes as long as it fails: callers bound it.
    pub async fn polled(&self) {
        let mut wish = 0;
        self.nudges.send_modify(|count| {
            *count = count.wrapping_add(1);
            wish = *count;
        });
        nudge(&self.catalog_nudges);
        let mut answered = self.answered.clone();
        if answered
            .wait_for(|answered| *answered >= wish)
            .await
            .is_err()
        {
            // Nobody polls any more.
            std::future::pending::<()>().await;
        }
    }

    /// Asks the registry now whether `model` is registered. A prompt is not a model.
    pub async fn is_registered(&self, model: &ModelName) -> Result<bool, RegistryError> {
        let usage = Usage::default();
        nobodys(
            false,
            self.client.is_registered(model.as_str(), &usage).await,
        )
    }

    /// Asks the registry now for one version, in whichever stage and whether its model is of interest or not; `None` if
    /// there is none.
    pub async fn version(&self, id: &ServableId) -> Result<Option<FoundVersion>, RegistryError> {
        let usage = Usage::default();
        let name = id.model.as_str();
        let model = self.client.registered_model(name, &usage).await;
        let Some(model) = nobodys(None, model)? else {
            return Ok(None);
        };
        let number = id.version.to_string();
        let version = self.client.model_version(name, &number, &usage).await?;
        Ok(version.map(|version| single(&model, &version)))
    }

    /// All webhooks of the registry.
    pub async fn webhooks(&self) -> Result<Vec<Webhook>, RegistryError> {
        self.client.webhooks().await
    }

    /// Makes a webhook at the registry.
    pub async fn create_webhook(&self, wish: WebhookWish<'_>) -> Result<Webhook, RegistryError> {
        self.client.create_webhook(wish).await
    }

    /// Makes a webhook of the registry what it should be, and active.
    pub async fn update_webhook(
        &self,
        id: &str,
        wish: WebhookWish<'_>,
    ) -> Result<Webhook, RegistryError> {
        self.client.update_webhook(id, wish).await
    }

    /// Takes a webhook of the registry away.
    pub async fn delete_webhook(&self, id: &str) -> Result<(), RegistryError> {
        self.client.delete_webhook(id).await
    }

    /// Has the registry deliver something on trial now, and tells how that went.
    pub async fn test_webhook(&self, id: &str) -> Result<WebhookTrial, RegistryError> {
        self.client.test_webhook(id).await
    }

    /// Fetches the files of versions.
    pub fn artifacts(&self) -> Artifacts {
        self.artifacts.clone()
    }
}

impl Interest {
    /// Whether the model of this name is of interest.
    pub(crate) fn contains(&self, model: &str) -> bool {
        match self {
            Self::All => true,
            Self::Models(names) => names.contains(model),
        }
    }
}

/// A name that the registry does not allow (400; MLflow: one with `/` or `:`) is nobody's. Only for names that somebody asks
/// for: of a model that was registered, a 400 says nothing.
fn nobodys<T>(nothing: T, answer: Result<T, RegistryError>) -> Result<T, RegistryError> {
    match answer {
        Err(RegistryError::Refused { status: 400, .. }) => Ok(nothing),
        answer => answer,
    }
}

/// Counts one wish more.
fn nudge(wishes: &watch::Sender<u64>) {
    wishes.send_modify(|count| *count = count.wrapping_add(1));
}

/// Resolves when the value has changed; never, once nobody can change it any more.
async fn changed<T>(receiver: &mut watch::Receiver<T>) {
    if receiver.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
