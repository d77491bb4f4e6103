//! Sessions that were ended before their time, so that a start remembers them.

use std::time::SystemTime;

use auth::SessionId;
use sqlx::Row;

use super::time::{from_millis, to_millis};
use super::{Store, StoreError};

impl Store {
    /// Keeps that a session was ended; forgets those that would have ended by now.
    pub async fn end_session(
        &self,
        id: &SessionId,
        until: SystemTime,
        now: SystemTime,
    ) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM ended_session WHERE until < ?")
            .bind(to_millis(now))
            .execute(&self.pool)
            .await?;
        sqlx::query("INSERT OR REPLACE INTO ended_session (id, until) VALUES (?, ?)")
            .bind(id.as_str())
            .bind(to_millis(until))
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Those that were ended and would hold at `now`, and until when.
    pub async fn ended_sessions(
        &self,
        now: SystemTime,
    ) -> Result<Vec<(SessionId, SystemTime)>, StoreError> {
        let rows = sqlx::query("SELECT id, until FROM ended_session WHERE until > ?")
            .bind(to_millis(now))
            .fetch_all(&self.pool)
            .await?;
        rows.iter()
            .map(|row| {
                let id: String = row.try_get("id")?;
                Ok((id.into(), from_millis(row.try_get("until")?)))
            })
            .collect()
    }
}
