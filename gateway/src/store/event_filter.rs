//! Which entries of the event log somebody wants.

use std::collections::BTreeSet;
use std::time::SystemTime;

use serving_core::{ModelName, Version};
use sqlx::{QueryBuilder, Sqlite};

use super::time::to_millis;

/// What entries have to have. The default lets all pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// They are about one of these models.
    pub models: Option<BTreeSet<ModelName>>,
    /// They are about this version.
    pub version: Option<Version>,
    /// They are of one of these kinds; empty for all.
    pub kinds: BTreeSet<String>,
    /// They are about this label, spelled as it is logged.
    pub label: Option<String>,
    /// They were seen at this time or later.
    pub since: Option<SystemTime>,
    /// They were seen before this time.
    pub until: Option<SystemTime>,
}

impl EventFilter {
    /// All about one model.
    pub fn of(model: impl Into<ModelName>) -> Self {
        Self {
            models: Some([model.into()].into()),
            ..Self::default()
        }
    }

    /// `select` with a condition that may be added to.
    pub(super) fn query(&self, select: &'static str) -> QueryBuilder<Sqlite> {
        let mut query = QueryBuilder::new(select);
        query.push(" WHERE 1");
        if let Some(models) = &self.models {
            let mut names = models.iter().map(ModelName::as_str);
            match (names.next(), models.len()) {
                // Said plainly, the index is used in its order.
                (Some(name), 1) => {
                    query.push(" AND model = ").push_bind(name.to_owned());
                }
                _ => push_among(&mut query, "model", models.iter().map(ModelName::as_str)),
            }
        }
        if let Some(version) = self.version {
            query
                .push(" AND version = ")
                .push_bind(version.0.cast_signed());
        }
        if !self.kinds.is_empty() {
            push_among(&mut query, "kind", self.kinds.iter().map(String::as_str));
        }
        if let Some(label) = &self.label {
            query.push(" AND label = ").push_bind(label.clone());
        }
        if let Some(since) = self.since {
            query.push(" AND at >= ").push_bind(to_millis(since));
        }
        if let Some(until) = self.until {
            query.push(" AND at < ").push_bind(to_millis(until));
        }
        query
    }
}

/// One parameter, however many there are: SQLite has a limit.
fn push_among<'a>(
    query: &mut QueryBuilder<Sqlite>,
    column: &str,
    values: impl Iterator<Item = &'a str>,
) {
    let values = serde_json::json!(values.collect::<Vec<_>>()).to_string();
    query
        .push(format!(" AND {column} IN (SELECT value FROM json_each("))
        .push_bind(values)
        .push("))");
}
