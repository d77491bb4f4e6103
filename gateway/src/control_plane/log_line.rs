//! A printed line as inert text: what a terminal or a page would obey is taken out or spelled out.

use std::fmt::Write;

/// `line` without colours and cursor movements, and with every other control character written as an escape.
pub fn inert(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut inert = String::with_capacity(text.len());
    let mut rest = text.as_ref();
    while let Some(first) = rest.chars().next() {
        if let Some(after) = after_sequence(rest) {
            rest = after;
            continue;
        }
        rest = &rest[first.len_utf8()..];
        match first {
            '\t' => inert.push('\t'),
            '\r' => inert.push_str("\\r"),
            _ if is_obeyed(first) => {
                // Writing to a text cannot fail.
                let _ = write!(inert, "\\u{{{:x}}}", u32::from(first));
            }
            _ => inert.push(first),
        }
    }
    inert
}

/// What follows a control sequence (CSI) that `text` begins with, if it is a whole one.
fn after_sequence(text: &str) -> Option<&str> {
    let body = text
        .strip_prefix("\u{1b}[")
        .or_else(|| text.strip_prefix('\u{9b}'))?;
    let end = body.find(|letter| !matches!(letter, '\u{20}'..='\u{3f}'))?;
    let last = body[end..].chars().next()?;
    matches!(last, '\u{40}'..='\u{7e}').then(|| &body[end + last.len_utf8()..])
}

/// Control characters, and those that change the order or the lines of what is around them.
fn is_obeyed(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{61c}'
        )
        || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Where to cut a line that is too long for one piece, so that no character is cut in two.
pub(super) fn cut(piece: &[u8]) -> usize {
    let longest = piece.len().min(3);
    let begins = |byte: &u8| *byte >= 0xc0;
    let tail = &piece[piece.len() - longest..];
    let Some(at) = tail.iter().rposition(begins) else {
        return piece.len();
    };
    match std::str::from_utf8(&tail[at..]) {
        // Nothing wrong but the missing end.
        Err(error) if error.error_len().is_none() => piece.len() - (longest - at),
        _ => piece.len(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn colours_go_and_other_controls_are_spelled_out() {
        for (line, shown) in [
            (&b"plain \xc3\xbc\tline"[..], "plain ü\tline"),
            (b"\x1b[1;31mred\x1b[0m", "red"),
            (b"\x1b[2J\x1b[H", ""),
            (b"\x1b]0;title\x07", "\\u{1b}]0;title\\u{7}"),
            (b"\x1b[31", "\\u{1b}[31"),
            (b"10%\r20%", "10%\\r20%"),
            (b"\x00\x7f\xc2\x9b", "\\u{0}\\u{7f}\\u{9b}"),
            ("a\u{202e}b\u{2028}c".as_bytes(), "a\\u{202e}b\\u{2028}c"),
            (b"\xff\xfe", "\u{fffd}\u{fffd}"),
        ] {
            assert_eq!(inert(line), shown);
        }
    }

    #[test]
    fn a_long_line_is_not_cut_within_a_character() {
        assert_eq!(cut("aü".as_bytes()), 3);
        assert_eq!(cut(&"aü".as_bytes()[..2]), 1);
        assert_eq!(cut(&"a😀".as_bytes()[..4]), 1);
        assert_eq!(cut(b"a\xff"), 2);
        assert_eq!(cut(b""), 0);
    }

    proptest! {
        #[test]
        fn whatever_is_printed_is_one_inert_line(line in prop::collection::vec(any::<u8>(), 0..60)) {
            let shown = inert(&line);
            prop_assert!(!shown.chars().any(|letter| letter != '\t' && is_obeyed(letter)));
        }
    }
}
