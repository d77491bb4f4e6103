//! The names of things: models, versions, servables, labels, incarnations, generations, replicas.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Name of a model: all versions under one name form a servable stream.
///
/// Any text is a name, case-sensitive, never normalised: what may be a name is decided where it is registered.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ModelName(Arc<str>);

/// Number of a version within its model, as given by whoever registers versions. Larger is newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(pub u64);

/// One model version that can answer, written `name@version`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ServableId {
    /// The model.
    pub model: ModelName,
    /// The version within it.
    pub version: Version,
}

/// A name that points at a version of a model. Its text is opaque here and compared exactly.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Label(Arc<str>);

/// Tells a re-created thing from its predecessor of the same name: equal names with different
/// incarnations have nothing to do with each other. Opaque here.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(Arc<str>);

/// Counts the lives of a servable in this process. What an older generation reports is ignored (law 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

/// Number of one replica within a generation; never used twice in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReplicaId(pub u64);

impl ServableId {
    /// The id of `version` of `model`.
    pub fn new(model: impl Into<ModelName>, version: Version) -> Self {
        Self {
            model: model.into(),
            version,
        }
    }
}

/// A text that is not a version number: only decimal digits, no sign, no leading zero, at most `u64::MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a version number")]
pub struct NotAVersion;

impl FromStr for Version {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let canonical = text.bytes().all(|byte| byte.is_ascii_digit())
            && (text == "0" || !text.starts_with('0'));
        if !canonical {
            return Err(NotAVersion);
        }
        text.parse().map(Version).map_err(|_| NotAVersion)
    }
}

macro_rules! text_id {
    ($name:ident) => {
        impl $name {
            /// The text as it was given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

text_id!(ModelName);
text_id!(Label);
text_id!(Incarnation);

macro_rules! number_id {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }
    };
}

number_id!(Version);
number_id!(Generation);
number_id!(ReplicaId);

impl fmt::Display for ServableId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}@{}", self.model, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_decimal_numbers_are_versions() {
        assert_eq!("12".parse(), Ok(Version(12)));
        assert_eq!("0".parse(), Ok(Version(0)));
        for text in [
            "",
            "01",
            "+1",
            "-1",
            "1.0",
            " 1",
            "v1",
            "18446744073709551616",
        ] {
            assert_eq!(text.parse::<Version>(), Err(NotAVersion), "{text:?}");
        }
    }
}
