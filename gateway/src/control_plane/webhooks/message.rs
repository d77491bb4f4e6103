//! What a delivery tells of, as far as it matters here. Lenient: events come with every release of the registry.

use serde::Deserialize;
use serving_core::ModelName;

/// What follows from a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hint {
    /// There is a new model.
    NewModel(ModelName),
    /// Something changed about versions of a model.
    Model(ModelName),
    /// Nothing that matters here.
    Nothing,
}

#[derive(Deserialize)]
struct Message {
    entity: String,
    #[serde(default)]
    data: Data,
}

#[derive(Default, Deserialize)]
struct Data {
    #[serde(default)]
    name: String,
}

impl Hint {
    /// Reads a delivery's body; `None` if it is no message of a registry.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let Message { entity, data } = serde_json::from_slice(body).ok()?;
        if data.name.is_empty() {
            return Some(Self::Nothing);
        }
        let name = ModelName::from(data.name);
        Some(match entity.as_str() {
            "registered_model" => Self::NewModel(name),
            "model_version" | "model_version_alias" | "model_version_tag" => Self::Model(name),
            _ => Self::Nothing,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_mlflow_name_their_model() {
        let read = |entity: &str, data: &str| {
            let body = format!(
                r#"{{"entity": "{entity}", "action": "created", "timestamp": "2026-11-22T09:30:55+00:00", "data": {data}}}"#
            );
            Hint::read(body.as_bytes()).unwrap()
        };
        let alias = r#"{"name": "wh", "alias": "champion", "version": "1"}"#;
        assert_eq!(read("model_version_alias", alias), Hint::Model("wh".into()));
        let version = r#"{"name": "wh", "version": "1", "run_id": null, "tags": {"a": "b"}}"#;
        assert_eq!(read("model_version", version), Hint::Model("wh".into()));
        assert_eq!(
            read("registered_model", r#"{"name": "wh"}"#),
            Hint::NewModel("wh".into())
        );
        assert_eq!(read("prompt", r#"{"name": "wh"}"#), Hint::Nothing);
        assert_eq!(read("budget_policy", "{}"), Hint::Nothing);
    }

    #[test]
    fn what_is_no_message_is_told_apart() {
        for body in ["", "[]", "{}", "{\"entity\": 1}", "\u{0}"] {
            assert_eq!(Hint::read(body.as_bytes()), None, "{body:?}");
        }
    }
}
