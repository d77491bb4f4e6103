//! Text and names that pandas may take for dates.
//!
//! pandas (2.0 and later) takes the order of day and month for a whole column from its first row: `13/02/2024` there makes
//! another row's `01/02/2024` the first of February, which alone is the second of January. Only dates of the order year,
//! month, day mean the same in any company.

/// Whether `text` begins like a date of numbers, but is not surely of the order year, month, day. So is `NaT`: it has no unit
/// of its own, and NumPy gives it one in company only.
pub(super) fn is_doubtful_date(text: &[u8]) -> bool {
    if text.eq_ignore_ascii_case(b"NaT") {
        return true;
    }
    let text = text.trim_ascii_start();
    let (first, rest) = number(text);
    let (one, rest) = separators(rest);
    let (second, rest) = number(rest);
    let (two, rest) = separators(rest);
    let (third, rest) = number(rest);
    let dates = (1..=4).contains(&first.len()) && (1..=4).contains(&second.len());
    if !dates || one.is_empty() || two.is_empty() || third.is_empty() {
        return false;
    }
    let ordered = first.len() == 4
        && one == b"-"
        && matches!(second, [b'0', b'1'..=b'9'] | [b'1', b'0'..=b'2'])
        && two == b"-"
        && third.len() == 2
        && matches!(rest.first(), None | Some(b'T' | b' '));
    !ordered
}

/// Whether MLflow 1.x, for a model without a signature, looks at the values of a column of this name to see if they are dates.
pub(super) fn sounds_like_a_date(name: &str) -> bool {
    let name = name.to_lowercase();
    name.ends_with("_at")
        || name.ends_with("_time")
        || name.starts_with("timestamp")
        || matches!(name.as_str(), "modified" | "date" | "datetime")
}

fn number(text: &[u8]) -> (&[u8], &[u8]) {
    split(text, u8::is_ascii_digit)
}

/// A backslash is one: it may stand before a slash.
fn separators(text: &[u8]) -> (&[u8], &[u8]) {
    split(text, |byte| {
        matches!(byte, b'/' | b'.' | b'-' | b'\\' | b' ')
    })
}

/// What the text begins with, and the rest.
fn split(text: &[u8], begins: impl Fn(&u8) -> bool) -> (&[u8], &[u8]) {
    // As long as anything in a date may be: a long text is not read to its end.
    let most = text.len().min(8);
    let end = text[..most].iter().position(|byte| !begins(byte));
    text.split_at(end.unwrap_or(most))
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
            "2024-13-01",
            "2024-1-02",
            "2024/01/02",
            "24-01-02",
            "2024-01-02x",
            "NaT",
        ] {
            assert!(is_doubtful_date(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn other_text_and_ordered_dates_are_not() {
        for text in [
            "2024-01-02",
            "2024-12-31T10:00:00Z",
            "2024-10-02 10:00",
            "setosa",
            "",
            "12",
            "12.5",
            "555-0199",
            "20240102",
            "10:11:12",
            "a 01/02/2024",
        ] {
            assert!(!is_doubtful_date(text.as_bytes()), "{text}");
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
