//! Points in time and durations as the API writes them.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time, written as RFC 3339 in UTC with milliseconds: `2026-03-01T12:00:00.000Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub SystemTime);

/// A duration as people write it: `"60s"`, `"1m 30s"`, `"250ms"`; a bare number counts as seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HumaneDuration(pub Duration);

/// A text that is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a duration: {0:?} (write for example \"60s\", \"5m\", \"250ms\", or a number of seconds)"
)]
pub struct InvalidDuration(pub String);

/// A text that is not a point in time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a time: {0:?} (write for example \"2026-03-01T12:00:00Z\", \"2026-03-01T12:00+01:00\" or \"2026-03-01\")"
)]
pub struct InvalidTime(pub String);

/// 9999-12-31T23:59:59Z in seconds since the epoch: the last second that RFC 3339 can write.
const LAST_SECOND: u64 = 253_402_300_799;

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since_epoch = self
            .0
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .min(Duration::from_secs(LAST_SECOND));
        humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + since_epoch).fmt(formatter)
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        Self(time)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_rfc3339(&text)
            .map(Self)
            .map_err(de::Error::custom)
    }
}

/// RFC 3339; seconds may be left out, and so may the time of a day, which is its first moment then.
impl FromStr for Timestamp {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        read_time(text.trim())
            .map(Self)
            .ok_or_else(|| InvalidTime(text.to_owned()))
    }
}

fn read_time(text: &str) -> Option<SystemTime> {
    let Some((day, rest)) = text.split_once(['T', 't']) else {
        return humantime::parse_rfc3339(&format!("{text}T00:00:00Z")).ok();
    };
    // A `+` that nobody has encoded is a space when it comes out of a query.
    let place = rest.find(['Z', 'z', '+', '-', ' '])?;
    let (time, offset) = rest.split_at(place);
    let seconds = if time.len() == "12:00".len() {
        ":00"
    } else {
        ""
    };
    let local = humantime::parse_rfc3339(&format!("{day}T{time}{seconds}Z")).ok()?;
    if offset.eq_ignore_ascii_case("z") {
        return Some(local);
    }
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let (hours, minutes): (u64, u64) = (hours.parse().ok()?, minutes.parse().ok()?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let ahead = Duration::from_secs(hours * 3600 + minutes * 60);
    if offset.starts_with('-') {
        local.checked_add(ahead)
    } else {
        local.checked_sub(ahead)
    }
}

impl fmt::Display for HumaneDuration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.subsec_nanos() {
            0 => write!(formatter, "{}s", self.0.as_secs()),
            nanos if nanos.is_multiple_of(1_000_000) => {
                write!(formatter, "{}ms", self.0.as_millis())
            }
            nanos if nanos.is_multiple_of(1_000) => write!(formatter, "{}us", self.0.as_micros()),
            _ => write!(formatter, "{}ns", self.0.as_nanos()),
        }
    }
}

impl From<Duration> for HumaneDuration {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl FromStr for HumaneDuration {
    type Err = InvalidDuration;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let trimmed = text.trim();
        let invalid = || InvalidDuration(text.to_owned());
        match trimmed.parse::<f64>() {
            Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|_| invalid()),
            Err(_) => humantime::parse_duration(trimmed).map_err(|_| invalid()),
        }
        .map(Self)
    }
}

impl Serialize for HumaneDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HumaneDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DurationVisitor)
    }
}

struct DurationVisitor;

impl Visitor<'_> for DurationVisitor {
    type Value = HumaneDuration;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a duration such as \"60s\", or a number of seconds")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Self::Value, E> {
        Ok(HumaneDuration(Duration::from_secs(seconds)))
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Self::Value, E> {
        u64::try_from(seconds)
            .map(|seconds| HumaneDuration(Duration::from_secs(seconds)))
            .map_err(|_| E::custom(InvalidDuration(seconds.to_string())))
    }

    fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Self::Value, E> {
        Duration::try_from_secs_f64(seconds)
            .map(HumaneDuration)
            .map_err(|_| E::custom(InvalidDuration(seconds.to_string())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_in_utc_and_read_back_and_a_far_one_does_not_panic() {
        let time = Timestamp(SystemTime::UNIX_EPOCH + Duration::from_millis(1_767_225_600_250));
        let json = serde_json::to_string(&time).unwrap();
        assert_eq!(json, "\"2026-01-01T00:00:00.250Z\"");
        assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), time);
        let far = Timestamp(SystemTime::UNIX_EPOCH + Duration::from_secs(LAST_SECOND + 1));
        assert_eq!(far.to_string(), "9999-12-31T23:59:59.000Z");
    }

    #[test]
    fn a_time_is_read_with_every_offset_and_without_seconds() {
        for (text, written) in [
            ("2026-11-01T12:00:00.5Z", "2026-11-01T12:00:00.500Z"),
            ("2026-11-01T12:00Z", "2026-11-01T12:00:00.000Z"),
            ("2026-11-01T12:00:00+01:30", "2026-11-01T10:30:00.000Z"),
            ("2026-11-01T12:00 01:00", "2026-11-01T11:00:00.000Z"),
            ("2026-11-01T23:00-02:00", "2026-11-02T01:00:00.000Z"),
            ("2026-11-01", "2026-11-01T00:00:00.000Z"),
        ] {
            let time: Timestamp = text.parse().unwrap();
            assert_eq!(time.to_string(), written, "{text}");
        }
        for text in [
            "",
            "now",
            "T",
            "2026-11-01T",
            "2026-11-01T12:00",
            "2026-13-01",
            "2026-11-01T12:00+1",
            "2026-11-01T12:00+99:00",
            "2026-11-01T12:0ö0Z",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_duration_is_read_in_every_spelling_and_written_in_one() {
        for (json, written) in [
            ("\"60s\"", "60s"),
            ("\"1m 30s\"", "90s"),
            ("\"2\"", "2s"),
            ("60", "60s"),
            ("0.25", "250ms"),
            ("\"500us\"", "500us"),
            ("0.0015", "1500us"),
            ("\"7ns\"", "7ns"),
            ("0", "0s"),
            ("\"30d\"", "2592000s"),
        ] {
            let duration: HumaneDuration = serde_json::from_str(json).unwrap();
            assert_eq!(duration.to_string(), written, "{json}");
        }
        for json in ["-1", "\"\"", "\"soon\"", "\"-3s\"", "true", "1e300"] {
            assert!(
                serde_json::from_str::<HumaneDuration>(json).is_err(),
                "{json}"
            );
        }
    }
}
