//! What the handlers share.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use auth::{Authenticator, Rights, TokenStore};
use serving_core::{Aspired, Clock};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{BuildTurns, Engine, IntentBook, StreamPlaces, Summaries, Webhooks};
use crate::figures::History;
use crate::metrics::Page;
use crate::ports::{Environments, Processes, Registry, WorkerFiles};
use crate::store::Store;

/// Everything that the control plane works with.
pub struct ControlState {
    /// Events, and the database's health.
    pub store: Store,
    /// What people asked for.
    pub intents: Arc<IntentBook>,
    /// What is served.
    pub engine: Arc<dyn Engine>,
    /// What the registry wants; `None` until that is known.
    pub aspired: watch::Receiver<Option<Arc<Aspired>>>,
    /// The model registry.
    pub registry: Arc<dyn Registry>,
    /// What the registry delivers without being asked.
    pub webhooks: Webhooks,
    /// The workers' logs.
    pub files: Arc<dyn WorkerFiles>,
    /// What workers take of the machine.
    pub processes: Arc<dyn Processes>,
    /// What workers run in.
    pub environments: Arc<dyn Environments>,
    /// Who has one built ahead of time.
    pub builds: BuildTurns,
    /// Who follows the event log, or the log of a version.
    pub streams: StreamPlaces,
    /// How all models are, for who follows that.
    pub summaries: Summaries,
    /// Who is calling.
    pub authenticator: Arc<Authenticator>,
    /// What callers may do.
    pub rights: Arc<dyn Rights>,
    /// Tokens and grants.
    pub tokens: Arc<dyn TokenStore>,
    /// What `/metrics` shows.
    pub metrics: Page,
    /// How models did in the last hour.
    pub figures: Arc<History>,
    /// The time, for events and expiry.
    pub clock: Arc<dyn Clock>,
    /// Ends streams that have no end of their own.
    pub shutdown: CancellationToken,
    /// The gateway itself.
    pub about: About,
}

/// What the gateway tells about itself.
#[derive(Clone, Debug)]
pub struct About {
    /// Its version.
    pub version: String,
    /// When it started.
    pub started: SystemTime,
    /// The registry's address, without credentials.
    pub registry_url: Url,
    /// How clients reach it; `None` takes the request's `Host`.
    pub public_url: Option<Url>,
    /// Where it listens, for requests without a `Host`.
    pub listen: SocketAddr,
}

impl fmt::Debug for ControlState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ControlState")
            .field("about", &self.about)
            .finish_non_exhaustive()
    }
}
