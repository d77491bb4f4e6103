//! Times as the database keeps them: milliseconds since the epoch.

use std::time::{Duration, SystemTime};

/// `time` in milliseconds; what is before the epoch counts as the epoch.
pub(super) fn to_millis(time: SystemTime) -> i64 {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The time that `millis` stands for.
pub(super) fn from_millis(millis: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}
