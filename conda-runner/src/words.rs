//! The words of a model's settings that are meant for this loader.

use std::collections::BTreeMap;

use serving_core::{LoadError, Settings};

use crate::config::EnvManager;
use crate::launcher::Launcher;

/// `env_manager`, `launcher`, `environment`, `memory_limit`, `warm_up` and `fresh`, understood. Words that it does not know are others' business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Words {
    /// `None` leaves it to the runner.
    pub(crate) env_manager: Option<EnvManager>,
    /// `None` leaves it to the runner.
    pub(crate) launcher: Option<Launcher>,
    /// Variables for the worker.
    pub(crate) environment: BTreeMap<String, String>,
    /// Bytes that all processes of one worker may take; `None` sets no limit.
    pub(crate) memory_limit: Option<u64>,
    /// Whether the input example is scored once before callers get through.
    pub(crate) warm_up: bool,
    /// Whether the environment is built anew, and its versions chosen anew.
    pub(crate) fresh: bool,
}

impl Words {
    /// Reads them; a word that is not understood is a permanent error.
    pub(crate) fn of(settings: &Settings) -> Result<Self, LoadError> {
        let word = |name: &str| settings.loader.get(name).map(|word| word.trim());
        let flag = |name: &str, otherwise: bool| match word(name) {
            None => Ok(otherwise),
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(other) => Err(LoadError::permanent(format!(
                "the setting {name} is {other:?}: use true or false"
            ))),
        };
        Ok(Self {
            env_manager: word("env_manager").map(str::parse).transpose()?,
            launcher: word("launcher").map(str::parse).transpose()?,
            environment: word("environment")
                .map(variables)
                .transpose()?
                .unwrap_or_default(),
            memory_limit: word("memory_limit").map(memory_limit).transpose()?,
            warm_up: flag("warm_up", true)?,
            fresh: flag("fresh", false)?,
        })
    }
}

fn memory_limit(bytes: &str) -> Result<u64, LoadError> {
    let limit = bytes.parse().ok().filter(|bytes| *bytes > 0);
    limit.ok_or_else(|| {
        LoadError::permanent(format!(
            "the setting memory_limit is {bytes:?}: use a number of bytes"
        ))
    })
}

/// A JSON object of texts; numbers and booleans are taken as they are written.
fn variables(json: &str) -> Result<BTreeMap<String, String>, LoadError> {
    let wrong = |what: &str| {
        LoadError::permanent(format!(
            "the setting environment {what}: write a JSON object such as {{\"OMP_NUM_THREADS\": \"1\"}}"
        ))
    };
    let values: BTreeMap<String, serde_json::Value> =
        serde_json::from_str(json).map_err(|_| wrong("is not a JSON object"))?;
    values
        .into_iter()
        .map(|(name, value)| {
            let text = match value {
                serde_json::Value::String(text) => text,
                serde_json::Value::Number(number) => number.to_string(),
                serde_json::Value::Bool(flag) => flag.to_string(),
                _ => return Err(wrong(&format!("has no text for {name:?}"))),
            };
            // What the operating system cannot pass on would fail every start with a riddle.
            if name.is_empty() || name.contains(['=', '\0']) || text.contains('\0') {
                return Err(wrong(&format!("cannot set {name:?}")));
            }
            Ok((name, text))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(pairs: &[(&str, &str)]) -> Result<Words, LoadError> {
        Words::of(&Settings {
            loader: pairs
                .iter()
                .map(|(name, word)| ((*name).to_owned(), (*word).to_owned()))
                .collect(),
            ..Settings::default()
        })
    }

    #[test]
    fn nothing_said_means_the_runners_manager_and_a_warm_up() {
        let words = words(&[]).unwrap();
        assert_eq!((words.env_manager, words.memory_limit), (None, None));
        assert!(words.warm_up);
        assert!(words.environment.is_empty());
    }

    #[test]
    fn variables_may_be_texts_numbers_and_booleans() {
        let words = words(&[("environment", r#"{"A": "x", "B": 1, "C": true}"#)]).unwrap();
        assert_eq!(words.environment["A"], "x");
        assert_eq!(words.environment["B"], "1");
        assert_eq!(words.environment["C"], "true");
    }

    #[test]
    fn what_is_not_understood_is_a_permanent_error() {
        for pair in [
            ("env_manager", "poetry"),
            ("launcher", "fork"),
            ("warm_up", "maybe"),
            ("fresh", "yes"),
            ("memory_limit", "1GB"),
            ("memory_limit", "0"),
            ("environment", "A=1"),
            ("environment", r#"{"A": [1]}"#),
            ("environment", r#"{"A=B": "1"}"#),
            ("environment", r#"{"A": "a\u0000b"}"#),
        ] {
            let error = words(&[pair]).unwrap_err();
            assert_eq!(error.retry, serving_core::Retry::Never, "{pair:?}");
        }
    }
}
