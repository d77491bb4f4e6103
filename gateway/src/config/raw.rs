//! The three sources laid over one another: a value and its origin for each key, nothing checked but the keys.

use std::collections::BTreeMap;
use std::path::Path;

use toml::{Table, Value};

use super::error::{ConfigError, Problem};
use super::keys::{self, COMMON_VARIABLES, Key, Origin, Shape};
use super::overrides::Overrides;

/// What was said about each key; the last source that spoke of it wins.
#[derive(Debug, Default)]
pub(super) struct Raw {
    entries: BTreeMap<&'static str, Entry>,
    pub(super) problems: Vec<Problem>,
}

#[derive(Debug)]
struct Entry {
    value: Value,
    origin: Origin,
}

impl Raw {
    /// Reads the file and the variables, and lays the flags over them.
    ///
    /// Fails where nothing further can be said: the file cannot be read or is no TOML.
    pub(super) fn gather(
        overrides: Overrides,
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, ConfigError> {
        let mut raw = Self::default();
        let named = environment.get("SLUICEGATE_CONFIG").map(Into::into);
        if let Some(path) = overrides.config.clone().or(named) {
            raw.read_file(&path)?;
        }
        raw.read_variables(environment);
        for (key, flag, value) in overrides.values() {
            raw.put(key, value, Origin::Flag(flag));
        }
        Ok(raw)
    }

    /// Takes a value out, with its origin.
    pub(super) fn take(&mut self, key: &'static str) -> Option<(Value, Origin)> {
        let entry = self.entries.remove(key)?;
        Some((entry.value, entry.origin))
    }

    fn put(&mut self, key: &'static str, value: Value, origin: Origin) {
        self.entries.insert(key, Entry { value, origin });
    }

    fn read_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Problem::new(&shown, format!("cannot be read: {error}")))?;
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            // The message alone: the excerpt that TOML errors print may show a secret.
            let line = error
                .span()
                .map(|span| text[..span.start.min(text.len())].lines().count().max(1))
                .map(|line| format!(" (line {line})"))
                .unwrap_or_default();
            Problem::new(&shown, format!("is not TOML{line}: {}", error.message()))
        })?;
        self.read_table(&shown, "", table);
        Ok(())
    }

    fn read_table(&mut self, file: &str, prefix: &str, table: Table) {
        for (name, value) in table {
            let dotted = format!("{prefix}{name}");
            let is_section = keys::KEYS
                .iter()
                .any(|key| key.name.starts_with(&format!("{dotted}.")));
            match (keys::find(&dotted), value) {
                (Some(key), value) => self.put(key.name, value, Origin::File(file.to_owned())),
                (None, Value::Table(inner)) if is_section => {
                    self.read_table(file, &format!("{dotted}."), inner);
                }
                (None, _) => {
                    let message = if is_section {
                        "is a section: write its keys under it".to_owned()
                    } else {
                        keys::unknown(&dotted, |name| format!("{name:?}"))
                    };
                    let place = format!("{dotted} in {file}");
                    self.problems.push(Problem::new(place, message));
                }
            }
        }
    }

    fn read_variables(&mut self, environment: &BTreeMap<String, String>) {
        for (variable, key) in COMMON_VARIABLES {
            if let Some(value) = environment.get(variable).filter(|value| !value.is_empty()) {
                let origin = Origin::Variable(variable.to_owned());
                self.put(key, Value::String(value.clone()), origin);
            }
        }
        for (variable, text) in environment {
            match keys::of_variable(variable) {
                None => {}
                // An empty variable is how a shell or a container says "not set".
                Some(_) if text.is_empty() => {}
                Some(Ok(key)) => {
                    let value = from_text(key, text);
                    self.put(key.name, value, Origin::Variable(variable.clone()));
                }
                Some(Err(message)) => self.problems.push(Problem::new(variable, message)),
            }
        }
    }
}

fn from_text(key: &Key, text: &str) -> Value {
    match key.shape {
        Shape::Text | Shape::Secret => Value::String(text.to_owned()),
        // What is neither stays a text, and the check says what is allowed.
        Shape::Flag => match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Value::Boolean(true),
            "false" | "0" | "no" | "off" => Value::Boolean(false),
            _ => Value::String(text.to_owned()),
        },
        Shape::List => {
            let items = text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty());
            Value::Array(items.map(|item| Value::String(item.to_owned())).collect())
        }
        Shape::Map => map(text).unwrap_or_else(|| Value::String(text.to_owned())),
    }
}

/// A JSON object, or an inline table of TOML.
fn map(text: &str) -> Option<Value> {
    if let Ok(table) = serde_json::from_str::<Table>(text) {
        return Some(Value::Table(table));
    }
    let mut document: Table = format!("map = {text}").parse().ok()?;
    document.remove("map").filter(Value::is_table)
}
