//! Where the settings that hold come from: a person, the registry's tags, or the defaults.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{ModelSettings, Settings};

/// Who decided on one setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Somebody who may manage the model.
    Person,
    /// A tag of the registered model.
    Tag,
    /// Nobody: it is the gateway's default.
    Default,
}

impl Origin {
    /// As it is written: `person`, `tag`, `default`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Tag => "tag",
            Self::Default => "default",
        }
    }

    /// Of each setting, where `person` was laid over `tags`.
    pub fn of_all(person: &ModelSettings, tags: &ModelSettings) -> BTreeMap<String, Self> {
        let (person, tags) = (json!(person), json!(tags));
        let all = json!(Settings::default());
        let keys = all.as_object().into_iter().flat_map(|keys| keys.keys());
        keys.map(|key| (key.clone(), Self::of(key, &person, &tags)))
            .collect()
    }

    fn of(key: &str, person: &Value, tags: &Value) -> Self {
        if person.get(key).is_some() {
            Self::Person
        } else if tags.get(key).is_some() {
            Self::Tag
        } else {
            Self::Default
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
