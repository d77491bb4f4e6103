//! Text and names that pandas may take for dates.
//!
//! pandas (2.0 and later) takes the order of day and month for a whole column from its first row: `13/02/2024` there makes
//! another row's `01/02/2024` the first of February, which alone is the second of January, wherever in the text it stands and whatever
//! stands between the numbers. Only ISO dates mean the same in any company, and of those only equally detailed ones: a date
//! beside a date with a time is an error, and two offsets from UTC in one column are another type than one.

use super::row_type::unescape;

/// Bytes of a text that are looked into. A longer date says more than any needs.
const LOOKED_INTO: usize = 64;
/// Fewer numbers, names and zones leave no doubt about their order.
const DOUBTFUL_PARTS: usize = 3;

/// What a text is to pandas, as far as company matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Text {
    /// Surely no date, or one that means the same in any company.
    Plain,
    /// An ISO date, and how detailed it is: a few bits.
    Date(u8),
    /// It may mean something else in company.
    Doubtful,
}

/// What is in the text of a date besides year, month and day.
const TIME: u8 = 1;
const SPACE: u8 = 2;
const SECONDS: u8 = 4;
const FRACTION: u8 = 8;
const UTC: u8 = 16;

/// Looks at a text as it was sent, with its escapes.
pub(super) fn look(text: &[u8]) -> Text {
    // It has no unit of its own, and NumPy gives it one in company only.
    if text.eq_ignore_ascii_case(b"NaT") {
        return Text::Doubtful;
    }
    if let Some(details) = iso(text) {
        return Text::Date(details);
    }
    let looked_into = &text[..text.len().min(LOOKED_INTO)];
    let is_doubtful = if looked_into.contains(&b'\\') {
        // It may stand for anything: a digit, too.
        unescape(text).is_none_or(|text| is_doubtful(&text))
    } else {
        is_doubtful(&String::from_utf8_lossy(looked_into))
    };
    if is_doubtful {
        return Text::Doubtful;
    }
    Text::Plain
}

/// Whether so many parts of a date, in whatever digits, and no word that no date has: pandas knows them in English only.
fn is_doubtful(text: &str) -> bool {
    let (mut numbers, mut words) = (0, 0);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_number = first.is_numeric();
        let run = if is_number {
            rest.trim_start_matches(char::is_numeric)
        } else {
            rest.trim_start_matches(char::is_alphabetic)
        };
        let length = (rest.len() - run.len()).max(first.len_utf8());
        let (word, after) = rest.split_at(length);
        if is_number {
            numbers += 1;
        } else if first.is_alphabetic() {
            if !is_in_dates(word.as_bytes()) {
                return false;
            }
            words += 1;
        }
        rest = after;
    }
    numbers > 0 && numbers + words >= DOUBTFUL_PARTS
}

/// Whether a date may have such a word: of months, days and hours, between them, or for a time zone.
fn is_in_dates(word: &[u8]) -> bool {
    const SHORT: [&[u8]; 17] = [
        b"t", b"z", b"a", b"p", b"am", b"pm", b"h", b"m", b"s", b"d", b"st", b"nd", b"rd", b"th",
        b"of", b"at", b"on",
    ];
    const BEGINNINGS: [&[u8]; 24] = [
        b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov",
        b"dec", b"mon", b"tue", b"wed", b"thu", b"fri", b"sat", b"sun", b"hou", b"min", b"sec",
        b"and", b"utc",
    ];
    let is = |known: &&[u8]| word.eq_ignore_ascii_case(known);
    match word.get(..3) {
        None => SHORT.iter().any(is) || word.eq_ignore_ascii_case(b"ad"),
        Some(begins) => {
            let is_zone = word.len() <= 5 && word.iter().all(u8::is_ascii_uppercase);
            let begins_so = |known: &&[u8]| begins.eq_ignore_ascii_case(known);
            is_zone || BEGINNINGS.iter().any(begins_so)
        }
    }
}

/// The details of an ISO date: `2024-01-02`, `2024-01-02 10:00`, `2024-01-02T10:00:00.5Z`. Other offsets than `Z` may not be
/// those of the next row.
fn iso(text: &[u8]) -> Option<u8> {
    let rest = digits(text, 4)?;
    let rest = digits(rest.strip_prefix(b"-")?, 2)?;
    if !matches!(text.get(5..7)?, [b'0', b'1'..=b'9'] | [b'1', b'0'..=b'2']) {
        return None;
    }
    let rest = digits(rest.strip_prefix(b"-")?, 2)?;
    let (mut details, rest) = match rest.first() {
        None => return Some(0),
        Some(b'T') => (TIME, &rest[1..]),
        Some(b' ') => (TIME | SPACE, &rest[1..]),
        Some(_) => return None,
    };
    let rest = digits(rest, 2)?.strip_prefix(b":")?;
    let mut rest = digits(rest, 2)?;
    if let Some(seconds) = rest.strip_prefix(b":") {
        details |= SECONDS;
        rest = digits(seconds, 2)?;
        if let Some(fraction) = rest.strip_prefix(b".") {
            details |= FRACTION;
            let length = length(fraction, u8::is_ascii_digit);
            if !(1..=9).contains(&length) {
                return None;
            }
            rest = &fraction[length..];
        }
    }
    match rest {
        b"" => Some(details),
        b"Z" => Some(details | UTC),
        _ => None,
    }
}

/// What follows so many digits.
fn digits(text: &[u8], count: usize) -> Option<&[u8]> {
    let (digits, rest) = text.split_at_checked(count)?;
    digits.iter().all(u8::is_ascii_digit).then_some(rest)
}

/// How many bytes of the beginning are such.
fn length(text: &[u8], is: impl Fn(&u8) -> bool) -> usize {
    text.iter().position(|byte| !is(byte)).unwrap_or(text.len())
}

/// Whether MLflow 1.x, for a model without a signature, looks at the values of a column of this name to see if they are dates.
pub(super) fn sounds_like_a_date(name: &str) -> bool {
    let name = name.to_lowercase();
    name.ends_with("_at")
        || name.ends_with("_time")
        || name.starts_with("timestamp")
        || matches!(name.as_str(), "modified" | "date" | "datetime")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_any_other_order_are_doubtful() {
        for text in [
            "01/02/2024",
            "13.2.24",
            " 1-2-2024 10:00",
            "01\\/02\\/2024",
            "01\\u002f02\\u002f2024",
            "\\u0030\\u0031\\u002f02\\u002f2024",
            "\u{ff11}\u{ff13}/\u{ff10}\u{ff12}/2024",
            "2024-13-01",
            "2024-1-02",
            "2024/01/02",
            "24-01-02",
            "Mon 01/02/2024",
            "Tuesday, 13/02/2024",
            "10:00 01/02/2024",
            "10 AM EST 01/02/2024",
            "01th 02th 2024",
            "01T02T2024",
            "2024-01-02T10:00:00+01:00",
            " 2024-01-02",
            "10:11:12",
            "10.0.0.1",
            "01 Feb 02",
            "1:02Z Jan",
            "NaT",
        ] {
            assert_eq!(look(text.as_bytes()), Text::Doubtful, "{text}");
        }
    }

    #[test]
    fn other_text_is_not() {
        for text in [
            "setosa",
            "",
            "12",
            "12.5",
            "555-0199",
            "20240102",
            "10:11",
            "01/2024",
            "12 Main Street, 1234 Springfield, 5th floor",
            "31 d\u{e9}cembre 2024, 10 h",
            "8f3a2b1c-11d0-42a1-9c3e-000102030405",
            "v1.2.3-beta",
        ] {
            assert_eq!(look(text.as_bytes()), Text::Plain, "{text}");
        }
    }

    #[test]
    fn dates_of_equal_detail_are_alike() {
        let details = |text: &str| match look(text.as_bytes()) {
            Text::Date(details) => details,
            other => panic!("{text}: {other:?}"),
        };
        let kinds = [
            ["2024-01-02", "1999-12-31"],
            ["2024-01-02T10:00", "1999-12-31T23:59"],
            ["2024-01-02 10:00", "1999-12-31 23:59"],
            ["2024-01-02T10:00:00", "1999-12-31T23:59:59"],
            ["2024-01-02T10:00:00.5", "1999-12-31T23:59:59.123456789"],
            ["2024-01-02T10:00:00Z", "1999-12-31T23:59:59Z"],
        ];
        let mut seen = std::collections::HashSet::new();
        for [one, other] in kinds {
            assert_eq!(details(one), details(other));
            assert!(seen.insert(details(one)), "{one}");
        }
    }

    #[test]
    fn names_sound_like_dates_as_pandas_has_it() {
        for name in [
            "Created_At",
            "time_stamp_time",
            "date",
            "TIMESTAMP2",
            "modified",
        ] {
            assert!(sounds_like_a_date(name), "{name}");
        }
        for name in ["update", "dates", "at", "a_timestamp", "flat"] {
            assert!(!sounds_like_a_date(name), "{name}");
        }
    }
}
