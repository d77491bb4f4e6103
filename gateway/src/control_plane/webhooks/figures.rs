//! How deliveries go: counted for `/metrics`, and told by `/api/v1/status`.

use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// What became of deliveries.
#[derive(Debug)]
pub(super) struct Figures {
    accepted: Counter,
    ignored: Counter,
    repeated: Counter,
    refused: Counter,
    last: Mutex<Option<SystemTime>>,
}

/// What became of one delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Accepted,
    Ignored,
    Repeated,
    Refused,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    outcome: &'static str,
}

impl Figures {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let deliveries: Family<Labels, Counter> = Family::default();
        registry.register(
            "webhook_deliveries",
            "Deliveries of the registry's webhooks, by what became of them",
            deliveries.clone(),
        );
        let of = |outcome| deliveries.get_or_create_owned(&Labels { outcome });
        Self {
            accepted: of("accepted"),
            ignored: of("ignored"),
            repeated: of("repeated"),
            refused: of("refused"),
            last: Mutex::default(),
        }
    }

    /// Counts a delivery.
    pub(super) fn count(&self, fate: Fate, now: SystemTime) {
        let counter = match fate {
            Fate::Accepted => &self.accepted,
            Fate::Ignored => &self.ignored,
            Fate::Repeated => &self.repeated,
            Fate::Refused => &self.refused,
        };
        counter.inc();
        if matches!(fate, Fate::Accepted | Fate::Ignored) {
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        }
    }

    /// When a delivery was last taken.
    pub(super) fn last(&self) -> Option<SystemTime> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Deliveries that were taken, those with nothing to do included.
    pub(super) fn taken(&self) -> u64 {
        self.accepted.get() + self.ignored.get()
    }

    pub(super) fn repeated(&self) -> u64 {
        self.repeated.get()
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused.get()
    }
}
