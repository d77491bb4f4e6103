//! Why an environment stays that somebody wished away.

use std::fmt;
use std::time::SystemTime;

use serving_core::ServableId;

use crate::time::rfc3339;

/// An environment that was named, and cannot go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its key.
    pub key: String,
    /// Why, at least one.
    pub reasons: Vec<KeptBecause>,
}

/// A reason why an environment stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeptBecause {
    /// These versions have it in use, in whichever process.
    UsedBy(Vec<ServableId>),
    /// Something is being done with it: it is compiled, packed, or looked at by a version that is about to start.
    Busy,
    /// These environments use its Python.
    BaseOf(Vec<String>),
    /// It was last used then, which is more recent than was wished.
    UsedRecently(SystemTime),
}

/// As it follows "stays: ".
impl fmt::Display for KeptBecause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UsedBy(users) => {
                let users: Vec<String> = users.iter().map(ToString::to_string).collect();
                write!(formatter, "used by {}", users.join(", "))
            }
            Self::Busy => formatter.write_str("something is being done with it"),
            Self::BaseOf(keys) => {
                let short: Vec<&str> = keys.iter().map(|key| key.get(..8).unwrap_or(key)).collect();
                write!(formatter, "its Python is used by {}", short.join(", "))
            }
            Self::UsedRecently(last) => write!(formatter, "last used at {}", rfc3339(*last)),
        }
    }
}
