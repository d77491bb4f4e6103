//! The last aspired value, kept so that a start without the registry serves what was served (law 2).

use std::sync::Arc;
use std::time::Duration;

use serving_core::{Aspired, Clock};
use sqlx::Row;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::time::to_millis;
use super::{Store, StoreError};

/// Pause after a value that could not be written.
const RETRY: Duration = Duration::from_secs(5);

impl Store {
    /// What was kept; `None` if nothing was, or if another release has kept it in a form that this one cannot read.
    pub async fn last_aspired(&self) -> Result<Option<Aspired>, StoreError> {
        let row = sqlx::query("SELECT value FROM last_aspired")
            .fetch_optional(&self.pool)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let text: String = row.try_get("value")?;
        Ok(serde_json::from_str(&text)
            .inspect_err(|error| warn!(%error, "what the registry said last cannot be read; waiting for the registry"))
            .ok())
    }

    /// Keeps `aspired` in the place of what was kept.
    pub async fn set_last_aspired(
        &self,
        aspired: &Aspired,
        clock: &dyn Clock,
    ) -> Result<(), StoreError> {
        let text = serde_json::to_string(aspired).map_err(|error| {
            StoreError::Other(format!("the aspired value has no JSON: {error}"))
        })?;
        sqlx::query(
            "INSERT OR REPLACE INTO last_aspired (only_row, value, written_at) VALUES (1, ?, ?)",
        )
        .bind(text)
        .bind(to_millis(clock.now()))
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

/// Keeps every new value of `aspired` until `shutdown`, or until its sender is gone. Values in between may be skipped.
pub async fn keep_last_aspired(
    store: Store,
    mut aspired: watch::Receiver<Option<Arc<Aspired>>>,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
) {
    loop {
        let changed = tokio::select! {
            () = shutdown.cancelled() => return,
            changed = aspired.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
        let Some(value) = aspired.borrow_and_update().clone() else {
            continue;
        };
        if let Err(reason) = store.set_last_aspired(&value, clock.as_ref()).await {
            warn!(%reason, "what the registry said could not be kept");
            aspired.mark_changed();
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = sleep(RETRY) => {}
            }
        }
    }
}
