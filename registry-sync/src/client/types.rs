//! What the registry sends, as far as it is read here.
//!
//! Lenient on purpose: MLflow leaves out empty repeated fields, an empty search is `{}`, unknown fields come
//! with every release, and numbers arrive as integers or as strings depending on the server.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

/// One registered model, as in `registered-models/search` and `…/get`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct ModelRow {
    #[serde(deserialize_with = "text")]
    pub(crate) name: String,
    /// Milliseconds since the epoch.
    #[serde(deserialize_with = "integer")]
    pub(crate) creation_timestamp: u64,
    /// Milliseconds since the epoch. Aliases and tags do not move it.
    #[serde(deserialize_with = "integer")]
    pub(crate) last_updated_timestamp: u64,
    #[serde(deserialize_with = "text")]
    pub(crate) description: String,
    pub(crate) aliases: Vec<AliasRow>,
    pub(crate) tags: Vec<TagRow>,
}

/// An alias of a registered model (MLflow 2.3 and later).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct AliasRow {
    #[serde(deserialize_with = "text")]
    pub(crate) alias: String,
    #[serde(deserialize_with = "text")]
    pub(crate) version: String,
}

/// A tag.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct TagRow {
    #[serde(deserialize_with = "text")]
    pub(crate) key: String,
    #[serde(deserialize_with = "text")]
    pub(crate) value: String,
}

/// One version, as in `model-versions/search` and `…/get`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct VersionRow {
    #[serde(deserialize_with = "text")]
    pub(crate) name: String,
    #[serde(deserialize_with = "text")]
    pub(crate) version: String,
    /// Milliseconds since the epoch.
    #[serde(deserialize_with = "integer")]
    pub(crate) creation_timestamp: u64,
    #[serde(deserialize_with = "text")]
    pub(crate) current_stage: String,
    #[serde(deserialize_with = "text")]
    pub(crate) source: String,
    #[serde(deserialize_with = "text")]
    pub(crate) run_id: String,
    #[serde(deserialize_with = "text")]
    pub(crate) status: String,
    #[serde(deserialize_with = "text")]
    pub(crate) status_message: String,
}

/// Reply of `registered-models/get`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ModelReply {
    pub(crate) registered_model: ModelRow,
}

/// Reply of `model-versions/get`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct VersionReply {
    pub(crate) model_version: VersionRow,
}

/// Reply of `model-versions/get-download-uri`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct DownloadUriReply {
    pub(crate) artifact_uri: String,
}

/// Reply of `mlflow-artifacts/artifacts?path=`; `{}` for a folder that is empty or missing.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ArtifactListing {
    pub(crate) files: Vec<ArtifactRow>,
}

/// One entry of a folder; `path` is its bare name in MLflow 1.30 to 3.18.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ArtifactRow {
    pub(crate) path: String,
    pub(crate) is_dir: bool,
    #[serde(deserialize_with = "optional_integer")]
    pub(crate) file_size: Option<u64>,
}

/// Body of a refusal.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ErrorReply {
    #[serde(deserialize_with = "text")]
    pub(crate) error_code: String,
    #[serde(deserialize_with = "text")]
    pub(crate) message: String,
}

impl ModelRow {
    /// Whether this is a prompt, which MLflow keeps in the same table since 2.21.
    pub(crate) fn is_prompt(&self) -> bool {
        self.tags.iter().any(|tag| {
            tag.key == "mlflow.prompt.is_prompt" && tag.value.eq_ignore_ascii_case("true")
        })
    }
}

/// A string, a number or null (empty).
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    deserializer.deserialize_any(Scalar)
}

/// An integer, as a number, as a string, or null (0).
pub(super) fn integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Ok(optional_integer(deserializer)?.unwrap_or_default())
}

/// An integer, as a number, as a string, or null.
fn optional_integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let text = deserializer.deserialize_any(Scalar)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        de::Error::invalid_value(de::Unexpected::Str(&text), &"a number that is not negative")
    })
}

struct Scalar;

impl Visitor<'_> for Scalar {
    type Value = String;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string, an integer or null")
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<String, E> {
        Ok(value.to_owned())
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<String, E> {
        Ok(value)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<String, E> {
        Ok(value.to_string())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<String, E> {
        Ok(value.to_string())
    }

    fn visit_unit<E: de::Error>(self) -> Result<String, E> {
        Ok(String::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_times_are_read_as_numbers_and_as_strings() {
        let integers: VersionRow =
            serde_json::from_str(r#"{"version": 3, "creation_timestamp": 1795339220192}"#).unwrap();
        let strings: VersionRow =
            serde_json::from_str(r#"{"version": "3", "creation_timestamp": "1795339220192"}"#)
                .unwrap();
        assert_eq!(integers, strings);
        assert_eq!(strings.version, "3");
        assert_eq!(strings.creation_timestamp, 1_795_339_220_192);
    }

    #[test]
    fn missing_null_and_unknown_fields_are_no_error() {
        let row: ModelRow = serde_json::from_str(
            r#"{"name": "iris", "description": null, "latest_versions": [{"x": 1}], "workspace": "w"}"#,
        )
        .unwrap();
        assert_eq!(row.name, "iris");
        assert!(row.aliases.is_empty() && row.description.is_empty());
    }

    #[test]
    fn a_time_that_is_no_number_is_an_error() {
        serde_json::from_str::<ModelRow>(r#"{"creation_timestamp": "soon"}"#).unwrap_err();
    }
}
