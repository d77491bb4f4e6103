//! Sizes as people write them.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number of bytes, written `16MB`, `512 kB`, `1GiB` or `1048576`. 1 MB and 1 MiB are both 1024 × 1024 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// A text that is not a size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a size: {0:?} (write for example \"16MB\")")]
pub struct InvalidSize(pub String);

const UNITS: [(&str, u64); 5] = [
    ("TB", 1 << 40),
    ("GB", 1 << 30),
    ("MB", 1 << 20),
    ("kB", 1 << 10),
    ("", 1),
];

impl FromStr for ByteSize {
    type Err = InvalidSize;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidSize(text.to_owned());
        let trimmed = text.trim();
        let digits = trimmed.trim_end_matches(|c: char| !c.is_ascii_digit());
        let unit = match trimmed[digits.len()..].trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kb" | "kib" => 1 << 10,
            "m" | "mb" | "mib" => 1 << 20,
            "g" | "gb" | "gib" => 1 << 30,
            "t" | "tb" | "tib" => 1 << 40,
            _ => return Err(invalid()),
        };
        let number: u64 = digits.parse().map_err(|_| invalid())?;
        number.checked_mul(unit).map(Self).ok_or_else(invalid)
    }
}

/// In the largest unit that divides it.
impl fmt::Display for ByteSize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, unit) = UNITS
            .into_iter()
            .find(|(_, unit)| self.0 != 0 && self.0.is_multiple_of(*unit))
            .unwrap_or(("", 1));
        write!(formatter, "{}{name}", self.0 / unit)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrBytes;

        impl Visitor<'_> for TextOrBytes {
            type Value = ByteSize;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a size such as \"16MB\" or a number of bytes")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<ByteSize, E> {
                Ok(ByteSize(bytes))
            }
        }

        deserializer.deserialize_any(TextOrBytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_read_in_every_spelling_and_written_in_one() {
        for (text, bytes, written) in [
            ("16MB", 16 << 20, "16MB"),
            ("16 MiB", 16 << 20, "16MB"),
            ("512k", 512 << 10, "512kB"),
            ("2 gb", 2 << 30, "2GB"),
            ("1TB", 1 << 40, "1TB"),
            ("1000", 1000, "1000"),
            ("0", 0, "0"),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
            assert_eq!(ByteSize(bytes).to_string(), written);
        }
        for text in [
            "",
            "MB",
            "-1",
            "1.5MB",
            "16 apples",
            "99999999999999999999",
            "99999999999GB",
        ] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_program_may_give_a_text_or_a_number_of_bytes() {
        let read = |json: &str| serde_json::from_str::<ByteSize>(json).ok();
        assert_eq!(read("\"20GB\""), Some(ByteSize(20 << 30)));
        assert_eq!(read("1000"), Some(ByteSize(1000)));
        assert_eq!(read("-1"), None);
        assert_eq!(read("\"plenty\""), None);
    }
}
