//! What outlives the process: intents, events, tokens and grants, and the last aspired value, in one SQLite file.
//!
//! Several processes may have it open: `sluicegate tokens create --local` writes while the gateway runs.

mod batching_notes;
mod ended_sessions;
mod error;
mod event_filter;
mod event_writer;
mod events;
mod fact;
mod intents;
mod label_ledger;
mod label_moves;
mod last_aspired;
mod lock;
mod open;
mod secret_file;
mod time;
mod tokens;

pub use batching_notes::BatchingNotes;
pub use error::{OpenError, StoreError};
pub use event_filter::EventFilter;
pub use event_writer::{EventObserver, EventRetention, SeenLabels, write_events};
pub use events::LoggedEvent;
pub use fact::{ControlFact, LoggedFact, SettingChange};
pub use intents::{Change, ChangeError, StoredIntent};
pub use label_moves::LabelMove;
pub use last_aspired::keep_last_aspired;
pub use lock::{DataDirLock, LockError};
pub use secret_file::SecretFile;

use sqlx::SqlitePool;
use tokio::sync::watch;

/// The store. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Store {
    pool: SqlitePool,
    /// The id of the newest entry of the event log.
    newest: watch::Sender<i64>,
}

impl Store {
    /// Whether the database answers.
    pub async fn check(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT number FROM token_revision")
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Ends all connections, after those who hold one are done.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

#[cfg(test)]
mod event_tests;
#[cfg(test)]
mod tests;
