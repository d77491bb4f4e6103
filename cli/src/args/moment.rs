//! A point in time as it is typed: by the calendar, or as how long ago it was.

use std::str::FromStr;
use std::time::SystemTime;

use gateway::api::{HumaneDuration, InvalidTime, Timestamp};

/// A point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// So long ago.
    Ago(HumaneDuration),
    /// By the calendar.
    At(Timestamp),
}

impl Moment {
    /// The time that it is at `now`.
    pub(crate) fn time(self, now: SystemTime) -> Timestamp {
        match self {
            Self::Ago(HumaneDuration(ago)) => {
                Timestamp(now.checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH))
            }
            Self::At(time) => time,
        }
    }
}

impl FromStr for Moment {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(ago) = text.parse() {
            return Ok(Self::Ago(ago));
        }
        text.parse().map(Self::At)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_moment_is_a_time_or_how_long_ago_it_was() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400 * 2);
        let time = |text: &str| {
            text.parse()
                .map(|moment: Moment| moment.time(now).to_string())
        };
        for (text, meant) in [
            ("1d", "1970-01-02T00:00:00.000Z"),
            ("90s", "1970-01-02T23:58:30.000Z"),
            ("100d", "1970-01-01T00:00:00.000Z"),
            ("2026-03-01T12:00Z", "2026-03-01T12:00:00.000Z"),
            ("2026-03-01", "2026-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(time(text).as_deref(), Ok(meant), "{text}");
        }
        assert!(time("yesterday").is_err());
    }
}
