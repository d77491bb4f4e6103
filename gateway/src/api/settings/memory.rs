//! A limit of memory that a person chooses, or that there is to be none although others set one.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use crate::api::ByteSize;

/// Written as a size, or `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryLimit {
    /// No limit, whatever a tag or the configuration says.
    Unlimited,
    /// What one worker may use.
    Limited(ByteSize),
}

const NONE: &str = "none";

impl MemoryLimit {
    /// `None` is no limit.
    pub fn size(self) -> Option<ByteSize> {
        match self {
            Self::Unlimited => None,
            Self::Limited(size) => Some(size),
        }
    }
}

impl fmt::Display for MemoryLimit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlimited => formatter.write_str(NONE),
            Self::Limited(size) => size.fmt(formatter),
        }
    }
}

impl Serialize for MemoryLimit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MemoryLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        if value == NONE {
            return Ok(Self::Unlimited);
        }
        let size = ByteSize::deserialize(value).map_err(de::Error::custom)?;
        Ok(Self::Limited(size))
    }
}
