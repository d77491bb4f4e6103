//! How many replicas a version may have: a fixed number, or from so many to so many.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `2`, or `"1..4"`: grown while callers wait, shrunk while fewer would do. `"0..4"` also lets a version sleep, with
/// no replica at all, until somebody calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaRange {
    least: u32,
    most: NonZeroU32,
}

/// Why a text is no number of replicas.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReplicas {
    /// Neither a number nor two of them.
    #[error("{0:?} is neither a number such as 2 nor a range such as 1..4")]
    Unreadable(String),
    /// Nothing would ever be served.
    #[error("at least 1 replica has to be allowed; to have none while nobody calls, write 0..1")]
    None,
    /// The first number is the larger one.
    #[error("the range {least}..{most} ends before it begins")]
    Reversed {
        /// The first number.
        least: u32,
        /// The second one.
        most: u32,
    },
    /// A mistyped number, most likely.
    #[error("{0} replicas are too many, allowed are {most} at most", most = ReplicaRange::MOST)]
    TooMany(u32),
}

/// What is stored and sent: a number where it is fixed.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(u32),
    Text(String),
}

impl ReplicaRange {
    /// More are a mistyped number.
    pub const MOST: u32 = 64;

    /// One, always.
    pub const ONE: Self = Self::fixed(NonZeroU32::MIN);

    /// Always so many.
    pub const fn fixed(count: NonZeroU32) -> Self {
        Self {
            least: count.get(),
            most: count,
        }
    }

    /// From `least`, which may be 0, to `most`.
    pub fn new(least: u32, most: u32) -> Result<Self, InvalidReplicas> {
        if most > Self::MOST {
            return Err(InvalidReplicas::TooMany(most));
        }
        if least > most {
            return Err(InvalidReplicas::Reversed { least, most });
        }
        let most = NonZeroU32::new(most).ok_or(InvalidReplicas::None)?;
        Ok(Self { least, most })
    }

    /// As few as there may be.
    pub fn least(self) -> u32 {
        self.least
    }

    /// As many as there may be.
    pub fn most(self) -> u32 {
        self.most.get()
    }

    /// As few as there may be of a version that is awake.
    pub fn least_awake(self) -> u32 {
        self.least.max(1)
    }

    /// Whether a version may have no replica while nobody calls it.
    pub fn may_sleep(self) -> bool {
        self.least == 0
    }

    /// Whether there is nothing to decide.
    pub fn is_fixed(self) -> bool {
        self.least == self.most.get()
    }
}

impl Default for ReplicaRange {
    fn default() -> Self {
        Self::ONE
    }
}

impl From<NonZeroU32> for ReplicaRange {
    fn from(count: NonZeroU32) -> Self {
        Self::fixed(count)
    }
}

impl fmt::Display for ReplicaRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_fixed() {
            write!(formatter, "{}", self.most)
        } else {
            write!(formatter, "{}..{}", self.least, self.most)
        }
    }
}

impl FromStr for ReplicaRange {
    type Err = InvalidReplicas;

    fn from_str(text: &str) -> Result<Self, InvalidReplicas> {
        let number = |part: &str| {
            let number = part.trim().parse::<u32>();
            number.map_err(|_| InvalidReplicas::Unreadable(text.to_owned()))
        };
        match text.split_once("..") {
            Some((least, most)) => Self::new(number(least)?, number(most)?),
            None => number(text).and_then(|count| Self::new(count, count)),
        }
    }
}

impl Serialize for ReplicaRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.is_fixed() {
            serializer.serialize_u32(self.most.get())
        } else {
            serializer.collect_str(self)
        }
    }
}

impl<'de> Deserialize<'de> for ReplicaRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = match Written::deserialize(deserializer)? {
            Written::Number(count) => Self::new(count, count),
            Written::Text(text) => text.parse(),
        };
        read.map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(value: Value) -> Result<ReplicaRange, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn a_fixed_number_is_a_number_and_a_range_is_a_text() {
        for (value, least, most) in [
            (json!(2), 2, 2),
            (json!("0..4"), 0, 4),
            (json!("1..64"), 1, 64),
        ] {
            let range = read(value.clone()).unwrap();
            assert_eq!((range.least(), range.most()), (least, most));
            assert_eq!(json!(range), value);
            assert_eq!(range.to_string().parse(), Ok(range));
        }
        assert_eq!(read(json!("3")), read(json!(3)));
        assert_eq!(read(json!(" 1 .. 2 ")), read(json!("1..2")));
        assert_eq!(read(json!("2..2")), read(json!(2)));
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_reason() {
        for (value, reason) in [
            (json!(0), "at least 1"),
            (json!("0..0"), "at least 1"),
            (json!("4..2"), "ends before it begins"),
            (json!(65), "too many"),
            (json!("1..1000"), "too many"),
            (json!("two"), "neither a number"),
            (json!("1..2..3"), "neither a number"),
            (json!("..4"), "neither a number"),
            (json!("-1..4"), "neither a number"),
        ] {
            let refusal = read(value.clone()).unwrap_err();
            assert!(refusal.contains(reason), "{value}: {refusal}");
        }
        assert!(read(json!(-1)).is_err());
        assert!(read(json!(1.5)).is_err());
    }
}
