//! The engine's end of the event log: writes facts, and never waits for the one who keeps them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::clock::Clock;
use crate::event::{Event, Fact};
use crate::id::{ModelName, ServableId, Version};

/// Cheap to clone; all clones write to the same log.
#[derive(Clone)]
pub(crate) struct EventLog {
    sender: mpsc::Sender<Event>,
    clock: Arc<dyn Clock>,
    dropped: Arc<AtomicU64>,
}

impl EventLog {
    pub(crate) fn new(sender: mpsc::Sender<Event>, clock: Arc<dyn Clock>) -> Self {
        Self {
            sender,
            clock,
            dropped: Arc::default(),
        }
    }

    /// How many facts were dropped: grows.
    pub(crate) fn dropped(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.dropped)
    }

    /// Writes a fact about a version.
    pub(crate) fn version(&self, id: &ServableId, fact: Fact) {
        self.write(&id.model, Some(id.version), fact);
    }

    /// Writes a fact about a model, or about one of its versions.
    pub(crate) fn write(&self, model: &ModelName, version: Option<Version>, fact: Fact) {
        let event = Event {
            at: self.clock.now(),
            model: model.clone(),
            version,
            fact,
        };
        // A slow keeper of the log never stops the engine. One who has gone wants no more events.
        if let Err(TrySendError::Full(event)) = self.sender.try_send(event) {
            let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
            tracing::warn!(model = %event.model, fact = ?event.fact, dropped, "the event log is full; event dropped");
        }
    }
}
