//! Points in time as lines of the log have them, RFC 3339 in UTC: what stands before the point is worked out once a second.

use std::cell::Cell;
use std::time::{Duration, SystemTime};

use crate::api::Timestamp;

/// Bytes of `2026-03-01T12:00:00`.
const SECOND: usize = 19;
/// Bytes of the longest form, `2026-03-01T12:00:00.000000Z`.
const LONGEST: usize = SECOND + 8;

thread_local! {
    /// The last second that was written, counted from the epoch, and as it was written.
    static LAST: Cell<(u64, [u8; SECOND])> = const { Cell::new((u64::MAX, [0; SECOND])) };
}

/// A point in time, to be written to the millisecond or to the microsecond.
#[derive(Clone, Copy, Debug)]
pub(super) enum LineTime {
    Milliseconds(SystemTime),
    Microseconds(SystemTime),
}

impl LineTime {
    /// Appends its text to a line.
    pub(super) fn append(self, line: &mut Vec<u8>) {
        let mut place = [0; LONGEST];
        if let Some(text) = self.write(&mut place).and_then(|end| place.get(..end)) {
            return line.extend_from_slice(text);
        }
        let (Self::Milliseconds(time) | Self::Microseconds(time)) = self;
        line.extend_from_slice(Timestamp(time).to_string().as_bytes());
    }

    /// Its text, in the first so many bytes of `place`. `None` outside of the years 1970 to 9999.
    fn write(self, place: &mut [u8; LONGEST]) -> Option<usize> {
        let (time, digits) = match self {
            Self::Milliseconds(time) => (time, 3),
            Self::Microseconds(time) => (time, 6),
        };
        let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        place[..SECOND].copy_from_slice(&second(since.as_secs())?);
        place[SECOND] = b'.';
        let mut fraction = since.subsec_nanos() / 10_u32.pow(9 - digits);
        let end = SECOND + 1 + digits as usize;
        for digit in place[SECOND + 1..end].iter_mut().rev() {
            *digit = b'0' + (fraction % 10) as u8;
            fraction /= 10;
        }
        place[end] = b'Z';
        Some(end + 1)
    }
}

/// A second since the epoch as text.
fn second(number: u64) -> Option<[u8; SECOND]> {
    let (last, text) = LAST.get();
    if last == number {
        return Some(text);
    }
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(number))?;
    let shown = Timestamp(time).to_string();
    let text: [u8; SECOND] = shown.as_bytes().get(..SECOND)?.try_into().ok()?;
    LAST.set((number, text));
    Some(text)
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::fmt::format::Writer;
    use tracing_subscriber::fmt::time::{FormatTime, SystemTime as Now};

    use super::*;

    fn shown(time: LineTime) -> String {
        let mut line = Vec::new();
        time.append(&mut line);
        String::from_utf8(line).unwrap()
    }

    fn at(seconds: u64, nanoseconds: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds)
    }

    #[test]
    fn times_look_as_everywhere_else() {
        for seconds in [
            0,
            59,
            951_782_399,
            951_782_400,
            1_700_000_000,
            253_402_300_798,
        ] {
            for nanoseconds in [0, 999, 1_000, 7_089_999, 123_456_789, 999_999_999] {
                let time = at(seconds, nanoseconds);
                let expected = Timestamp(time).to_string();
                assert_eq!(shown(LineTime::Milliseconds(time)), expected);
                let before = &expected[..SECOND];
                let micros = format!("{before}.{:06}Z", nanoseconds / 1_000);
                assert_eq!(shown(LineTime::Microseconds(time)), micros);
            }
        }
        // Twice in the same second, and back.
        assert_eq!(
            shown(LineTime::Milliseconds(at(1, 0))),
            "1970-01-01T00:00:01.000Z"
        );
        assert_eq!(
            shown(LineTime::Milliseconds(at(0, 0))),
            "1970-01-01T00:00:00.000Z"
        );
    }

    #[test]
    fn what_no_year_of_ours_has_is_written_somehow() {
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        assert!(shown(LineTime::Milliseconds(before)).starts_with("1970-"));
        let after = at(253_402_300_800, 5_000_000);
        assert!(shown(LineTime::Microseconds(after)).starts_with("9999-12-31T23:59:59"));
    }

    #[test]
    fn microseconds_are_those_of_all_records() {
        let mut text = String::new();
        Now.format_time(&mut Writer::new(&mut text)).unwrap();
        let ours = shown(LineTime::Microseconds(SystemTime::now()));
        assert_eq!(text.len(), ours.len());
        assert_eq!(text[..10], ours[..10]);
    }
}
