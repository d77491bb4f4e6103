//! Settings from the tags of a registered model: checked like a person's, one by one, and never a reason to stop.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{EnvManager, ModelSettings};

/// What the tags of one model say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagSettings {
    /// The settings of those that can be taken.
    pub settings: ModelSettings,
    /// The others.
    pub problems: Vec<TagProblem>,
}

/// A tag that changes nothing, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TagProblem {
    /// The setting that it is about: the tag's key without `sluicegate.`.
    pub key: String,
    /// What is wrong with it, for people.
    pub problem: String,
}

impl TagSettings {
    /// Reads tags whose keys are without their prefix. A value that is JSON counts as JSON, any other as text.
    pub fn read(tags: &BTreeMap<String, String>) -> Self {
        let mut read = Self::default();
        for (key, text) in tags {
            match taken(&read.settings, key, text) {
                Ok(settings) => read.settings = settings,
                Err(problem) => {
                    let key = key.clone();
                    read.problems.push(TagProblem { key, problem });
                }
            }
        }
        read
    }
}

fn taken(settings: &ModelSettings, key: &str, text: &str) -> Result<ModelSettings, String> {
    let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
    let change = Map::from_iter([(key.to_owned(), value)]);
    let settings = settings.apply(&change).map_err(|error| error.to_string())?;
    // Who may write into the registry is not for that allowed to choose an interpreter of this host.
    if key == "env_manager" && settings.env_manager == Some(EnvManager::Local) {
        return Err(
            "the setting \"env_manager\" cannot be \"local\" by a tag: only somebody who may manage the model here can \
             choose this host's own interpreter"
                .to_owned(),
        );
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(tags: &[(&str, &str)]) -> TagSettings {
        let tags = tags.iter();
        TagSettings::read(
            &tags
                .map(|(key, text)| ((*key).to_owned(), (*text).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn a_tag_is_json_or_else_text() {
        let tags = read(&[
            ("replicas", "0..2"),
            ("timeout", "5s"),
            ("warm_up", "false"),
            ("environment", r#"{"A": "1"}"#),
            ("versions", "latest:2"),
            ("env_manager", "uv"),
        ]);
        assert_eq!(tags.problems, []);
        let settings = tags.settings;
        assert_eq!(settings.replicas.unwrap().to_string(), "0..2");
        assert_eq!(settings.timeout.unwrap().to_string(), "5s");
        assert_eq!(settings.warm_up, Some(false));
        assert_eq!(settings.environment.unwrap()["A"], "1");
        assert_eq!(settings.versions.unwrap().to_string(), "latest:2");
        assert_eq!(settings.env_manager, Some(EnvManager::Uv));
    }

    #[test]
    fn a_wrong_tag_changes_nothing_and_the_others_hold() {
        let tags = read(&[
            ("env_manager", "local"),
            ("max_queue", "7"),
            ("replicas", "many"),
            ("replicsa", "2"),
        ]);
        let expected = ModelSettings {
            max_queue: Some(7),
            ..ModelSettings::default()
        };
        assert_eq!(tags.settings, expected);
        let keys: Vec<_> = tags.problems.iter().map(|one| one.key.as_str()).collect();
        assert_eq!(keys, ["env_manager", "replicas", "replicsa"]);
        let text = |place: usize| &tags.problems[place].problem;
        assert!(text(0).contains("cannot be \"local\" by a tag"));
        assert!(text(1).contains("a whole number from 1 to 64"));
        assert!(text(2).contains("did you mean \"replicas\"?"));
    }
}
