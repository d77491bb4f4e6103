//! What people asked for. An intent and its event are one transaction: either both are there, or neither.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serving_core::ModelName;
use sqlx::Row;

use super::events::insert_event;
use super::time::to_millis;
use super::{ControlFact, Store, StoreError};
use crate::api::ModelSettings;

/// The standing wish about one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredIntent {
    /// Whether it is to be served.
    pub serve: bool,
    /// How; kept while it is not served, so that enabling it again brings them back.
    pub settings: ModelSettings,
}

/// What to do with an intent that was just read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing: it is as it should be.
    Keep,
    /// Replace it, and log why.
    Put {
        /// The new intent.
        intent: Box<StoredIntent>,
        /// What happened; may be several facts, in order.
        facts: Vec<ControlFact>,
        /// Who did it.
        by: String,
    },
}

/// The change was refused, or could not be stored. Nothing has happened then.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError<E> {
    /// By whoever was asked what to do.
    #[error("the change was refused")]
    Refused(E),
    /// By the database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// All intents.
    pub async fn intents(&self) -> Result<BTreeMap<ModelName, StoredIntent>, StoreError> {
        let rows = sqlx::query("SELECT model, serve, settings FROM intent")
            .fetch_all(&self.pool)
            .await?;
        rows.iter()
            .map(|row| {
                let model: String = row.try_get("model")?;
                Ok((model.into(), read_intent(row)?))
            })
            .collect()
    }

    /// Reads the intent about `model`, asks `decide` what to do, and does it: nobody can come in between.
    ///
    /// Returns the new intent, or `None` if nothing was changed.
    pub async fn change_intent<E>(
        &self,
        model: &ModelName,
        at: SystemTime,
        decide: impl FnOnce(Option<&StoredIntent>) -> Result<Change, E>,
    ) -> Result<Option<StoredIntent>, ChangeError<E>> {
        // Immediate: a transaction that reads first and writes later could find that another one wrote in between.
        let mut transaction = self
            .pool
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map_err(StoreError::from)?;
        let row = sqlx::query("SELECT serve, settings FROM intent WHERE model = ?")
            .bind(model.as_str())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(StoreError::from)?;
        let current = row.as_ref().map(read_intent).transpose()?;
        let (intent, facts, by) = match decide(current.as_ref()).map_err(ChangeError::Refused)? {
            Change::Keep => return Ok(None),
            Change::Put { intent, facts, by } => (intent, facts, by),
        };
        sqlx::query(
            "INSERT INTO intent (model, serve, settings, changed_at, changed_by) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (model) DO UPDATE SET
                 serve = excluded.serve, settings = excluded.settings,
                 changed_at = excluded.changed_at, changed_by = excluded.changed_by",
        )
        .bind(model.as_str())
        .bind(intent.serve)
        .bind(serde_json::json!(intent.settings).to_string())
        .bind(to_millis(at))
        .bind(by)
        .execute(&mut *transaction)
        .await
        .map_err(StoreError::from)?;
        let mut newest = None;
        for fact in facts {
            newest = Some(insert_event(&mut transaction, at, model, None, &fact.into()).await?);
        }
        self.commit_with_events(transaction, newest).await?;
        Ok(Some(*intent))
    }
}

fn read_intent(row: &sqlx::sqlite::SqliteRow) -> Result<StoredIntent, StoreError> {
    let settings: String = row.try_get("settings")?;
    let settings = serde_json::from_str(&settings)
        .map_err(|error| StoreError::Damaged(format!("settings of a model: {error}")))?;
    Ok(StoredIntent {
        serve: row.try_get("serve")?,
        settings,
    })
}
