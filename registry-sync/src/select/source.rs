//! The words by which a version's files are found again: written by `select`, read by `Artifacts::fetch`.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::client::VersionRow;

/// Names one version of one life of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VersionSource {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Milliseconds since the epoch: tells it from a version of the same name and number that came later.
    pub(crate) created: u64,
}

impl VersionSource {
    pub(crate) fn of(row: &VersionRow) -> Self {
        Self {
            name: row.name.clone(),
            version: row.version.clone(),
            created: row.creation_timestamp,
        }
    }

    /// Compact JSON.
    pub(crate) fn to_text(&self) -> Arc<str> {
        let Self {
            name,
            version,
            created,
        } = self;
        serde_json::json!({ "name": name, "version": version, "created": created })
            .to_string()
            .into()
    }

    /// Reads [`VersionSource::to_text`] back.
    pub(crate) fn from_text(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

impl fmt::Display for VersionSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}@{}", self.name, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_read_back_as_it_was_written() {
        let source = VersionSource {
            name: "a \"b\" 'c' ü/%2F".into(),
            version: "12".into(),
            created: 1_795_339_220_192,
        };
        assert_eq!(VersionSource::from_text(&source.to_text()).unwrap(), source);
    }
}
