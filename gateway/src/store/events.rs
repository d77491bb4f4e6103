//! The event log: appended to, read in pages from either end, and cut off at the old end.

use std::time::{Duration, SystemTime};

use serving_core::{Event, Fact, Label, ModelName, Version};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, Transaction};
use tokio::sync::watch;

use super::time::{from_millis, to_millis};
use super::{EventFilter, LoggedFact, Store, StoreError};

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

impl Store {
    /// The id of the newest entry, as it grows; 0 before the first one.
    pub fn newest_event(&self) -> watch::Receiver<i64> {
        self.newest.subscribe()
    }

    /// Appends what the engine saw, all or nothing.
    pub async fn append_events(&self, events: &[Event]) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let mut newest = None;
        for event in events {
            let fact = LoggedFact::Engine(event.fact.clone());
            let (model, version) = (&event.model, event.version);
            newest = Some(insert_event(&mut transaction, event.at, model, version, &fact).await?);
        }
        self.commit_with_events(transaction, newest).await
    }

    /// Appends one fact that is not part of a change of intent.
    pub async fn append_fact(
        &self,
        at: SystemTime,
        model: &ModelName,
        version: Option<Version>,
        fact: impl Into<LoggedFact>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let id = insert_event(&mut transaction, at, model, version, &fact.into()).await?;
        self.commit_with_events(transaction, Some(id)).await
    }

    /// At most `limit` entries older than that of the id `before`, newest first.
    pub async fn events_before(
        &self,
        filter: &EventFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<LoggedEvent>, StoreError> {
        let mut query = filter.query("SELECT id, at, model, version, fact FROM event");
        if let Some(before) = before {
            query.push(" AND id < ").push_bind(before);
        }
        query.push(" ORDER BY id DESC LIMIT ").push_bind(limit);
        let rows = query.build().fetch_all(&self.pool).await?;
        rows.iter().map(read_event).collect()
    }

    /// At most `limit` entries newer than that of the id `after`, and no newer than that of `until`, oldest first.
    pub async fn events_after(
        &self,
        filter: &EventFilter,
        after: i64,
        until: i64,
        limit: u32,
    ) -> Result<Vec<LoggedEvent>, StoreError> {
        let mut query = filter.query("SELECT id, at, model, version, fact FROM event");
        query.push(" AND id > ").push_bind(after);
        query.push(" AND id <= ").push_bind(until);
        query.push(" ORDER BY id LIMIT ").push_bind(limit);
        let rows = query.build().fetch_all(&self.pool).await?;
        rows.iter().map(read_event).collect()
    }

    /// The models that the log tells of.
    pub async fn models_with_events(&self) -> Result<Vec<ModelName>, StoreError> {
        // From name to name in the index, however many entries each has.
        let names: Vec<String> = sqlx::query_scalar(
            "WITH RECURSIVE name (model) AS (
                 SELECT min(model) FROM event
                 UNION ALL
                 SELECT (SELECT min(event.model) FROM event WHERE event.model > name.model)
                 FROM name WHERE name.model IS NOT NULL
             ) SELECT model FROM name WHERE model IS NOT NULL",
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(names.into_iter().map(Into::into).collect())
    }

    /// Forgets entries older than `age`, and of each model all but the newest `per_model`; but where each label was moved
    /// last stays known. Returns how many.
    pub async fn prune_events(
        &self,
        now: SystemTime,
        age: Duration,
        per_model: u32,
    ) -> Result<u64, StoreError> {
        let oldest = now.checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH);
        let kept = self.label_events().await?;
        let kept: Vec<i64> = kept
            .iter()
            .filter(|event| {
                matches!(
                    event.fact,
                    LoggedFact::Engine(Fact::LabelMoved { to: Some(_), .. })
                )
            })
            .map(|event| event.id)
            .collect();
        let kept = serde_json::json!(kept).to_string();
        let aged = sqlx::query(
            "DELETE FROM event WHERE at < ? AND id NOT IN (SELECT value FROM json_each(?))",
        )
        .bind(to_millis(oldest))
        .bind(&kept)
        .execute(&self.pool)
        .await?;
        let mut forgotten = aged.rows_affected();
        // Model by model: nobody who writes waits for the whole log to be looked at.
        for model in self.models_with_events().await? {
            let surplus = sqlx::query(
                "DELETE FROM event WHERE model = ?1 AND id NOT IN (SELECT value FROM json_each(?3)) AND id <= (
                     SELECT id FROM event WHERE model = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2
                 )",
            )
            .bind(model.as_str())
            .bind(per_model)
            .bind(&kept)
            .execute(&self.pool)
            .await?;
            forgotten += surplus.rows_affected();
        }
        Ok(forgotten)
    }

    /// Where each label points by the log: which version, if any.
    pub(super) async fn labels(&self) -> Result<Vec<(ModelName, Label, Version)>, StoreError> {
        let events = self.label_events().await?;
        let labels = events.into_iter().filter_map(|event| match event.fact {
            LoggedFact::Engine(Fact::LabelMoved { label, to, .. }) => {
                Some((event.model, label, to?))
            }
            _ => None,
        });
        Ok(labels.collect())
    }

    /// The last move of each label.
    async fn label_events(&self) -> Result<Vec<LoggedEvent>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, at, model, version, fact FROM event WHERE id IN (
                 SELECT max(id) FROM event WHERE label IS NOT NULL AND kind = 'label_moved' GROUP BY model, label
             )",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read_event).collect()
    }

    /// Commits, and tells those who follow the log of the entry `newest`.
    pub(super) async fn commit_with_events(
        &self,
        transaction: Transaction<'_, sqlx::Sqlite>,
        newest: Option<i64>,
    ) -> Result<(), StoreError> {
        transaction.commit().await?;
        if let Some(id) = newest {
            self.newest.send_if_modified(|newest| {
                let grows = id > *newest;
                *newest = id.max(*newest);
                grows
            });
        }
        Ok(())
    }
}

/// The id of the newest entry; 0 if there was never one.
pub(super) async fn newest_event(pool: &sqlx::SqlitePool) -> Result<i64, StoreError> {
    // Also after the newest ones were forgotten: https://sqlite.org/autoinc.html
    let newest: Option<i64> =
        sqlx::query_scalar("SELECT seq FROM sqlite_sequence WHERE name = 'event'")
            .fetch_optional(pool)
            .await?;
    Ok(newest.unwrap_or(0))
}

/// Returns the id of the entry.
pub(super) async fn insert_event(
    connection: &mut SqliteConnection,
    at: SystemTime,
    model: &ModelName,
    version: Option<Version>,
    fact: &LoggedFact,
) -> Result<i64, StoreError> {
    let done = sqlx::query("INSERT INTO event (at, model, version, fact) VALUES (?, ?, ?, ?)")
        .bind(to_millis(at))
        .bind(model.as_str())
        // SQLite has no unsigned numbers; the bits are the same on the way back.
        .bind(version.map(|version| version.0.cast_signed()))
        .bind(fact.to_json())
        .execute(connection)
        .await?;
    Ok(done.last_insert_rowid())
}

pub(super) fn read_event(row: &SqliteRow) -> Result<LoggedEvent, StoreError> {
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
