//! The event log: appended to, read newest first in pages, and cut off at the old end.

use std::time::{Duration, SystemTime};

use serving_core::{Event, ModelName, Version};
use sqlx::{Row, SqliteConnection};

use super::time::{from_millis, to_millis};
use super::{LoggedFact, Store, StoreError};

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedEvent {
    /// Grows; never used twice.
    pub id: i64,
    /// When it was seen, in whole milliseconds.
    pub at: SystemTime,
    /// The model it is about.
    pub model: ModelName,
    /// The version it is about; `None` for facts about the model.
    pub version: Option<Version>,
    /// What happened.
    pub fact: LoggedFact,
}

/// Which entries to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventQuery {
    /// Of this model.
    pub model: ModelName,
    /// Of this version only.
    pub version: Option<Version>,
    /// Older than the entry of this id.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: u32,
}

impl Store {
    /// Appends what the engine saw, all or nothing.
    pub async fn append_events(&self, events: &[Event]) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        for event in events {
            let fact = LoggedFact::Engine(event.fact.clone());
            insert_event(
                &mut transaction,
                event.at,
                &event.model,
                event.version,
                &fact,
            )
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Appends one fact that is not part of a change of intent.
    pub async fn append_fact(
        &self,
        at: SystemTime,
        model: &ModelName,
        version: Option<Version>,
        fact: impl Into<LoggedFact>,
    ) -> Result<(), StoreError> {
        let mut connection = self.pool.acquire().await?;
        insert_event(&mut connection, at, model, version, &fact.into()).await
    }

    /// Entries, newest first.
    pub async fn events(&self, query: &EventQuery) -> Result<Vec<LoggedEvent>, StoreError> {
        let before = query.before.unwrap_or(i64::MAX);
        let rows = match query.version {
            None => sqlx::query(
                "SELECT id, at, model, version, fact FROM event
                     WHERE model = ? AND id < ? ORDER BY id DESC LIMIT ?",
            )
            .bind(query.model.as_str())
            .bind(before),
            Some(version) => sqlx::query(
                "SELECT id, at, model, version, fact FROM event
                     WHERE model = ? AND version = ? AND id < ? ORDER BY id DESC LIMIT ?",
            )
            .bind(query.model.as_str())
            .bind(version.0.cast_signed())
            .bind(before),
        }
        .bind(query.limit)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read_event).collect()
    }

    /// Forgets entries older than `age`, and of each model all but the newest `per_model`. Returns how many.
    pub async fn prune_events(
        &self,
        now: SystemTime,
        age: Duration,
        per_model: u32,
    ) -> Result<u64, StoreError> {
        let oldest = now.checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH);
        let aged = sqlx::query("DELETE FROM event WHERE at < ?")
            .bind(to_millis(oldest))
            .execute(&self.pool)
            .await?;
        let surplus = sqlx::query(
            "DELETE FROM event WHERE id IN (
                 SELECT id FROM (
                     SELECT id, row_number() OVER (PARTITION BY model ORDER BY id DESC) AS place FROM event
                 ) WHERE place > ?
             )",
        )
        .bind(per_model)
        .execute(&self.pool)
        .await?;
        Ok(aged.rows_affected() + surplus.rows_affected())
    }
}

pub(super) async fn insert_event(
    connection: &mut SqliteConnection,
    at: SystemTime,
    model: &ModelName,
    version: Option<Version>,
    fact: &LoggedFact,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO event (at, model, version, fact) VALUES (?, ?, ?, ?)")
        .bind(to_millis(at))
        .bind(model.as_str())
        // SQLite has no unsigned numbers; the bits are the same on the way back.
        .bind(version.map(|version| version.0.cast_signed()))
        .bind(fact.to_json())
        .execute(connection)
        .await?;
    Ok(())
}

fn read_event(row: &sqlx::sqlite::SqliteRow) -> Result<LoggedEvent, StoreError> {
    let model: String = row.try_get("model")?;
    let version: Option<i64> = row.try_get("version")?;
    let fact: String = row.try_get("fact")?;
    Ok(LoggedEvent {
        id: row.try_get("id")?,
        at: from_millis(row.try_get("at")?),
        model: model.into(),
        version: version.map(|version| Version(version.cast_unsigned())),
        fact: LoggedFact::from_json(&fact),
    })
}
