//! Where a label was moved, read from the event log.

use std::time::SystemTime;

use serving_core::{Fact, Label, ModelName, Version};

use super::events::read_event;
use super::{ControlFact, LoggedEvent, LoggedFact, Store, StoreError};

/// One move of a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelMove {
    /// Of the entry in the log.
    pub id: i64,
    /// When it was seen, in whole milliseconds.
    pub at: SystemTime,
    /// Where it pointed before; `None` if nowhere.
    pub from: Option<Version>,
    /// Where it points from then on; `None` if nowhere.
    pub to: Option<Version>,
    /// Who had disabled serving by then, if it was.
    pub disabled_by: Option<String>,
}

/// More of the log is not read for one label: it would be more than any page shows.
const MOST_ENTRIES: u32 = 20_000;

impl Store {
    /// The moves of `label`, oldest first, as far back as the log goes.
    pub async fn label_moves(
        &self,
        model: &ModelName,
        label: &Label,
    ) -> Result<Vec<LabelMove>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, at, model, version, fact FROM event
                 WHERE model = ?1 AND (label = ?2 OR kind IN ('enabled', 'disabled'))
                 ORDER BY id DESC LIMIT ?3",
        )
        .bind(model.as_str())
        .bind(label.as_str())
        .bind(MOST_ENTRIES)
        .fetch_all(&self.pool)
        .await?;
        let events: Result<Vec<_>, _> = rows.iter().rev().map(read_event).collect();
        Ok(moves(events?))
    }
}

fn moves(events: Vec<LoggedEvent>) -> Vec<LabelMove> {
    let mut disabled_by = None;
    let mut moves = Vec::new();
    for LoggedEvent { id, at, fact, .. } in events {
        match fact {
            LoggedFact::Control(ControlFact::Disabled { by }) => disabled_by = Some(by),
            LoggedFact::Control(ControlFact::Enabled { .. }) => disabled_by = None,
            LoggedFact::Engine(Fact::LabelMoved { from, to, .. }) => moves.push(LabelMove {
                id,
                at,
                from,
                to,
                disabled_by: disabled_by.clone(),
            }),
            _ => {}
        }
    }
    moves
}
