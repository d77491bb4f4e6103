//! Which versions of a model are served, as people write it.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroU32;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};
use serving_core::{AspiredModel, Version, VersionPolicy};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema};
use utoipa::openapi::{RefOr, Type};
use utoipa::{PartialSchema, ToSchema};

/// `"all"`, `{"latest": 2}` (also read as `"latest:2"`), or a list of numbers, `[1, 3]`. An archived version is never
/// among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Versions {
    /// Every version.
    #[default]
    All,
    /// The newest so many, and whatever a stage or an alias points at.
    Latest(NonZeroU32),
    /// Exactly these; they need not exist yet.
    Listed(BTreeSet<u64>),
}

/// A list of more is no choice of a person.
const MOST_LISTED: usize = 1000;

impl PartialSchema for Versions {
    fn schema() -> RefOr<Schema> {
        let number = || {
            ObjectBuilder::new()
                .schema_type(Type::Integer)
                .minimum(Some(1))
        };
        let word = ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some("^(all|latest:[0-9]+)$"));
        let latest = ObjectBuilder::new()
            .property("latest", number())
            .required("latest");
        let listed = ArrayBuilder::new()
            .items(
                ObjectBuilder::new()
                    .schema_type(Type::Integer)
                    .minimum(Some(0)),
            )
            .max_items(Some(MOST_LISTED));
        OneOfBuilder::new()
            .description(Some("`\"all\"`, the newest so many, or a list of numbers."))
            .item(word)
            .item(latest)
            .item(listed)
            .into()
    }
}

impl ToSchema for Versions {
    fn name() -> Cow<'static, str> {
        "Versions".into()
    }
}

impl Versions {
    /// What may be written, for refusals.
    pub(super) const ALLOWED: &'static str = "\"all\", \"latest:2\" or {\"latest\": 2} (the newest 2 and those with a stage or an alias), or a list \
         such as [1, 3]";

    /// Reads it; `None` for anything else.
    pub(super) fn read(value: &Value) -> Option<Self> {
        let latest = |count: u64| {
            let count = u32::try_from(count).ok().and_then(NonZeroU32::new);
            count.map(Self::Latest)
        };
        match value {
            Value::String(word) => match word.trim() {
                "all" => Some(Self::All),
                other => latest(other.strip_prefix("latest:")?.trim().parse().ok()?),
            },
            Value::Object(object) if object.len() == 1 => latest(object.get("latest")?.as_u64()?),
            Value::Array(list) if (1..=MOST_LISTED).contains(&list.len()) => {
                let numbers = list.iter().map(Value::as_u64);
                numbers.collect::<Option<_>>().map(Self::Listed)
            }
            // A version number alone can only mean one thing.
            Value::Number(number) => Some(Self::Listed(BTreeSet::from([number.as_u64()?]))),
            _ => None,
        }
    }

    /// Whether this leaves out a version even though a label should point at it.
    pub(crate) fn leaves_out(&self, number: u64) -> bool {
        matches!(self, Self::Listed(numbers) if !numbers.contains(&number))
    }

    /// The versions of `model` that are served.
    pub(crate) fn of(&self, model: &AspiredModel) -> BTreeSet<Version> {
        self.to_engine().choose(model)
    }

    /// The same for the engine.
    pub(super) fn to_engine(&self) -> VersionPolicy {
        match self {
            Self::All => VersionPolicy::All,
            Self::Latest(count) => VersionPolicy::Latest(*count),
            Self::Listed(numbers) => {
                VersionPolicy::Listed(numbers.iter().copied().map(Version).collect())
            }
        }
    }
}

/// As it can be typed: `all`, `latest:2`, `[1, 3]`.
impl fmt::Display for Versions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => formatter.write_str("all"),
            Self::Latest(count) => write!(formatter, "latest:{count}"),
            Self::Listed(numbers) => {
                let numbers: Vec<_> = numbers.iter().map(ToString::to_string).collect();
                write!(formatter, "[{}]", numbers.join(", "))
            }
        }
    }
}

impl Serialize for Versions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => json!("all"),
            Self::Latest(count) => json!({ "latest": count }),
            Self::Listed(numbers) => json!(numbers),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Versions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::read(&value).ok_or_else(|| D::Error::custom(format!("use {}", Self::ALLOWED)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_written_again() {
        let choices = [
            (json!("all"), "all"),
            (json!({"latest": 2}), "latest:2"),
            (json!([1, 3]), "[1, 3]"),
        ];
        for (value, shown) in choices {
            let versions = Versions::read(&value).unwrap();
            assert_eq!(versions.to_string(), shown);
            assert_eq!(json!(versions), value);
            let typed = serde_json::from_str(shown).unwrap_or_else(|_| json!(shown));
            assert_eq!(Versions::read(&typed), Some(versions));
        }
    }

    #[test]
    fn anything_else_is_no_choice() {
        for value in [
            json!("latest"),
            json!("latest:0"),
            json!({"latest": -1}),
            json!({"latest": 1, "all": true}),
            json!([]),
            json!(["1"]),
            json!(1.5),
            json!(true),
        ] {
            assert_eq!(Versions::read(&value), None, "{value}");
        }
    }
}
