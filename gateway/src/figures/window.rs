//! How far back somebody looks.

use std::str::FromStr;
use std::time::Duration;

use crate::api::{HumaneDuration, InvalidDuration};

/// Between two samples.
pub(crate) const STEP: Duration = Duration::from_secs(10);
/// Samples that are kept: an hour.
pub(super) const KEPT: usize = 360;
const HOUR: Duration = Duration::from_secs(3600);

/// A whole number of samples, an hour at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window(usize);

/// What is no time to look back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWindow {
    /// No duration at all.
    #[error(transparent)]
    Unreadable(#[from] InvalidDuration),
    /// Nothing, or more than is kept.
    #[error("figures are kept for an hour: more than 0s, and at most 1h")]
    OutOfRange,
}

impl Window {
    /// All that is kept.
    pub const HOUR: Self = Self(KEPT);
    /// What a small chart shows.
    pub const TEN_MINUTES: Self = Self(60);

    pub(super) const fn samples(self) -> usize {
        self.0
    }
}

/// Begun samples count.
impl TryFrom<Duration> for Window {
    type Error = InvalidWindow;

    fn try_from(time: Duration) -> Result<Self, InvalidWindow> {
        if time.is_zero() || time > HOUR {
            return Err(InvalidWindow::OutOfRange);
        }
        let samples = time.as_millis().div_ceil(STEP.as_millis());
        Ok(Self(usize::try_from(samples).unwrap_or(KEPT).max(1)))
    }
}

impl FromStr for Window {
    type Err = InvalidWindow;

    fn from_str(text: &str) -> Result<Self, InvalidWindow> {
        let time: HumaneDuration = text.parse()?;
        time.0.try_into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_whole_samples_within_the_hour() {
        for (text, samples) in [
            ("1", 1),
            ("1us", 1),
            ("10s", 1),
            ("11s", 2),
            ("10m", 60),
            ("1h", KEPT),
        ] {
            assert_eq!(text.parse(), Ok(Window(samples)), "{text}");
        }
        for text in ["0", "0s", "61m", "1h 1ms", "1d"] {
            assert_eq!(
                text.parse::<Window>(),
                Err(InvalidWindow::OutOfRange),
                "{text}"
            );
        }
        for text in ["", "-1", "an hour", "NaN", "inf", "1e400"] {
            let refused = text.parse::<Window>();
            assert!(
                matches!(refused, Err(InvalidWindow::Unreadable(_))),
                "{text}"
            );
        }
    }
}
