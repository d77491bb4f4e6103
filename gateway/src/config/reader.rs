//! Takes values out of what was said, key by key, and notes what is wrong with them.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use toml::Value;

use super::error::Problem;
use super::keys::Origin;
use super::raw::Raw;
use crate::api::{ByteSize, HumaneDuration, LONGEST_TIMEOUT};

/// Takes values out of the raw configuration and notes what is wrong with them.
pub(super) struct Reader {
    pub(super) raw: Raw,
    pub(super) origins: BTreeMap<&'static str, Origin>,
}

/// Names and what each of them means.
pub(super) type Entries = Vec<(String, Vec<String>)>;

impl Reader {
    /// A reader of `raw`.
    pub(super) fn new(raw: Raw) -> Self {
        Self {
            raw,
            origins: BTreeMap::new(),
        }
    }

    pub(super) fn problem(&mut self, place: impl Display, message: impl Display) {
        self.raw.problems.push(Problem::new(place, message));
    }

    pub(super) fn take(&mut self, key: &'static str) -> Option<(Value, Origin)> {
        let (value, origin) = self.raw.take(key)?;
        self.origins.insert(key, origin.clone());
        Some((value, origin))
    }

    pub(super) fn accept<T>(
        &mut self,
        key: &str,
        origin: &Origin,
        result: Result<T, String>,
    ) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(message) => {
                self.problem(place(key, origin), message);
                None
            }
        }
    }

    /// A number counts as its text: `timeout = 60` is as good as `timeout = "60s"`.
    pub(super) fn text(&mut self, key: &'static str) -> Option<(String, Origin)> {
        let (value, origin) = self.take(key)?;
        let text = match value {
            Value::String(text) => Ok(text),
            Value::Integer(number) => Ok(number.to_string()),
            Value::Float(number) => Ok(number.to_string()),
            _ => Err("a text is allowed here".to_owned()),
        };
        Some((self.accept(key, &origin, text)?, origin))
    }

    pub(super) fn parsed<T>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl FnOnce(String) -> Result<T, String>,
    ) -> T {
        let read = self.text(key).and_then(|(text, origin)| {
            let result = read(text);
            self.accept(key, &origin, result)
        });
        read.unwrap_or(default)
    }

    /// A duration that a point in time is computed with: a longer one would be no point in time any more.
    pub(super) fn duration(
        &mut self,
        key: &'static str,
        default: Duration,
        least: Duration,
    ) -> Duration {
        self.duration_within(key, default, least, LONGEST_TIMEOUT)
    }

    /// A duration with bounds of its own; `most` is whole hours.
    pub(super) fn duration_within(
        &mut self,
        key: &'static str,
        default: Duration,
        least: Duration,
        most: Duration,
    ) -> Duration {
        self.parsed(key, default, |text| {
            let HumaneDuration(duration) = parse(text)?;
            if (least..=most).contains(&duration) {
                Ok(duration)
            } else {
                let (least, hours) = (HumaneDuration(least), most.as_secs() / 3600);
                Err(format!("from {least} to {hours}h is allowed"))
            }
        })
    }

    /// A number of bytes; `None` if nobody said one.
    pub(super) fn size(&mut self, key: &'static str) -> Option<u64> {
        let (text, origin) = self.text(key)?;
        let size = parse::<ByteSize>(text);
        self.accept(key, &origin, size).map(|ByteSize(bytes)| bytes)
    }

    /// A file that has to be there now.
    pub(super) fn file(&mut self, key: &'static str) -> Option<PathBuf> {
        let (text, origin) = self.text(key)?;
        let path = PathBuf::from(text);
        let found = match path.metadata() {
            Ok(metadata) if metadata.is_file() => Ok(()),
            Ok(_) => Err(format!("{} is no file", path.display())),
            Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
        };
        self.accept(key, &origin, found).map(|()| path)
    }

    pub(super) fn path(&mut self, key: &'static str) -> Option<PathBuf> {
        self.text(key).map(|(text, _)| text.into())
    }

    pub(super) fn flag(&mut self, key: &'static str, default: bool) -> bool {
        let Some((value, origin)) = self.take(key) else {
            return default;
        };
        let read = value
            .as_bool()
            .ok_or_else(|| "true or false is allowed".to_owned());
        self.accept(key, &origin, read).unwrap_or(default)
    }

    pub(super) fn list(&mut self, key: &'static str) -> Vec<String> {
        let Some((value, origin)) = self.take(key) else {
            return Vec::new();
        };
        let texts = value.as_array().and_then(|items| texts(items));
        let read = texts.ok_or_else(|| "a list of texts is allowed".to_owned());
        self.accept(key, &origin, read).unwrap_or_default()
    }

    /// A list of which each item is read by itself. What is wrong is told without the item, which may hold a secret.
    pub(super) fn items<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let Some((value, origin)) = self.take(key) else {
            return Vec::new();
        };
        let texts = value.as_array().and_then(|items| texts(items));
        let read = texts
            .ok_or_else(|| "a list of texts is allowed".to_owned())
            .and_then(|texts| texts.iter().map(|text| read(text)).collect());
        self.accept(key, &origin, read).unwrap_or_default()
    }

    /// Names and what they mean: one text, or several.
    pub(super) fn map(&mut self, key: &'static str) -> Option<(Entries, Origin)> {
        let (value, origin) = self.take(key)?;
        let entries = value.as_table().and_then(|table| {
            let entry = |(name, value): (&String, &Value)| {
                let meant = match value {
                    Value::String(text) => vec![text.clone()],
                    Value::Array(items) => texts(items)?,
                    _ => return None,
                };
                Some((name.clone(), meant))
            };
            table.iter().map(entry).collect::<Option<Vec<_>>>()
        });
        let read = entries.ok_or_else(|| {
            "a table of texts, or of lists of texts, is allowed; in a variable as JSON or as an inline table of TOML, \
             for example {\"defaults\": \"conda-forge\"}"
                .to_owned()
        });
        Some((self.accept(key, &origin, read)?, origin))
    }
}

fn texts(items: &[Value]) -> Option<Vec<String>> {
    let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
    texts.collect()
}

pub(super) fn place(key: &str, origin: &Origin) -> String {
    match origin {
        Origin::Default => key.to_owned(),
        Origin::File(file) => format!("{key} in {file}"),
        Origin::Variable(_) | Origin::Flag(_) => origin.to_string(),
    }
}

pub(super) fn parse<T>(text: String) -> Result<T, String>
where
    T: FromStr,
    T::Err: Display,
{
    text.parse().map_err(|error: T::Err| error.to_string())
}
