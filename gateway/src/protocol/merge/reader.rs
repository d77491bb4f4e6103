//! Strict JSON (RFC 8259), token by token: stricter than the workers are, so that what is read here means one thing only.
//!
//! Nothing is unescaped or converted. `None` always means: not surely understood.

use super::super::segments::is_whitespace;

/// A place in a text.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    /// Bytes looked at so far, some of them twice.
    #[cfg(test)]
    pub(super) looked: usize,
}

/// What pandas will make of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    /// Fits in 64 bits with a sign.
    Integer,
    /// Has a fraction or an exponent.
    Fraction,
}

/// Deeper values are not looked into. Python's own limit is far beyond.
pub(super) const DEEPEST: usize = 32;

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            at: 0,
            #[cfg(test)]
            looked: 0,
        }
    }

    /// Bytes read so far.
    pub(super) fn offset(&self) -> usize {
        self.at
    }

    /// The text from `begin` to here.
    pub(super) fn since(&self, begin: usize) -> &'a [u8] {
        &self.text[begin..self.at]
    }

    /// The next byte that is not whitespace, not yet read.
    pub(super) fn peek(&mut self) -> Option<u8> {
        while let Some(&byte) = self.text.get(self.at) {
            if !is_whitespace(byte) {
                return Some(byte);
            }
            self.advance(1);
        }
        None
    }

    /// Reads `byte`, which must come next after whitespace.
    pub(super) fn take(&mut self, byte: u8) -> Option<()> {
        if self.peek()? != byte {
            return None;
        }
        self.advance(1);
        Some(())
    }

    /// Reads what stands between two items of a list or an object: true at a comma, false at `end`.
    pub(super) fn goes_on(&mut self, end: u8) -> Option<bool> {
        let byte = self.peek()?;
        self.advance(1);
        match byte {
            b',' => Some(true),
            _ if byte == end => Some(false),
            _ => None,
        }
    }

    /// Whether only whitespace is left.
    pub(super) fn is_at_end(&mut self) -> bool {
        self.peek().is_none()
    }

    /// Reads a string: what is between its quotes, valid but still escaped.
    pub(super) fn string(&mut self) -> Option<&'a [u8]> {
        self.take(b'"')?;
        let begin = self.at;
        let mut is_ascii = true;
        loop {
            self.advance(plain_length(&self.text[self.at..]));
            let byte = *self.text.get(self.at)?;
            match byte {
                b'"' => break,
                b'\\' => self.escape()?,
                0x80.. => {
                    is_ascii = false;
                    self.advance(1);
                }
                0..0x20 => return None,
                _ => self.advance(1),
            }
        }
        let content = self.since(begin);
        self.advance(1);
        if !is_ascii {
            self.look(content.len());
            std::str::from_utf8(content).ok()?;
        }
        Some(content)
    }

    /// Reads a key and the colon after it.
    pub(super) fn key(&mut self) -> Option<&'a [u8]> {
        let key = self.string()?;
        self.take(b':')?;
        Some(key)
    }

    /// Reads a number.
    pub(super) fn number(&mut self) -> Option<Number> {
        self.peek()?;
        let begin = self.at;
        if self.text.get(self.at) == Some(&b'-') {
            self.advance(1);
        }
        let whole = self.digits()?;
        if whole.len() > 1 && whole[0] == b'0' {
            return None;
        }
        let mut kind = Number::Integer;
        if self.text.get(self.at) == Some(&b'.') {
            self.advance(1);
            self.digits()?;
            kind = Number::Fraction;
        }
        if matches!(self.text.get(self.at), Some(b'e' | b'E')) {
            self.advance(1);
            if matches!(self.text.get(self.at), Some(b'+' | b'-')) {
                self.advance(1);
            }
            self.digits()?;
            kind = Number::Fraction;
        }
        // Up to 18 digits always fit.
        if kind == Number::Integer && whole.len() > 18 {
            let text = std::str::from_utf8(self.since(begin)).ok()?;
            text.parse::<i64>().ok()?;
        }
        Some(kind)
    }

    /// Reads `word`, which must come next.
    pub(super) fn word(&mut self, word: &'static [u8]) -> Option<()> {
        self.peek()?;
        if !self.text[self.at..].starts_with(word) {
            return None;
        }
        self.advance(word.len());
        Some(())
    }

    /// Reads any value and gives its text.
    pub(super) fn any(&mut self) -> Option<&'a [u8]> {
        self.peek()?;
        let begin = self.at;
        self.skip(DEEPEST)?;
        Some(self.since(begin))
    }

    fn skip(&mut self, depth: usize) -> Option<()> {
        match self.peek()? {
            b'"' => self.string().map(drop),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            open @ (b'[' | b'{') => {
                let depth = depth.checked_sub(1)?;
                // The closing one comes two characters after the opening one.
                let close = open + 2;
                self.advance(1);
                if self.peek()? == close {
                    self.advance(1);
                    return Some(());
                }
                loop {
                    if open == b'{' {
                        self.key()?;
                    }
                    self.skip(depth)?;
                    if !self.goes_on(close)? {
                        return Some(());
                    }
                }
            }
            _ => self.number().map(drop),
        }
    }

    fn digits(&mut self) -> Option<&'a [u8]> {
        let begin = self.at;
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.advance(1);
        }
        let digits = self.since(begin);
        (!digits.is_empty()).then_some(digits)
    }

    /// Reads a backslash and what it escapes.
    fn escape(&mut self) -> Option<()> {
        match *self.text.get(self.at + 1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.advance(2),
            b'u' => {
                let is_half = match self.code_unit()? {
                    0xd800..0xdc00 => !matches!(self.code_unit()?, 0xdc00..0xe000),
                    unit => (0xdc00..0xe000).contains(&unit),
                };
                // Half a pair cannot be stored by every kind of string that pandas has.
                if is_half {
                    return None;
                }
            }
            _ => return None,
        }
        Some(())
    }

    fn code_unit(&mut self) -> Option<u16> {
        let [b'\\', b'u', digits @ ..] = self.text.get(self.at..self.at + 6)? else {
            return None;
        };
        let mut unit = 0;
        for digit in digits {
            let digit = char::from(*digit).to_digit(16)?;
            unit = unit << 4 | u16::try_from(digit).ok()?;
        }
        self.advance(6);
        Some(unit)
    }

    fn advance(&mut self, bytes: usize) {
        self.at += bytes;
        self.look(bytes);
    }

    #[cfg_attr(
        not(test),
        expect(clippy::unused_self, reason = "counts in tests only")
    )]
    pub(super) fn look(&mut self, bytes: usize) {
        #[cfg(test)]
        {
            self.looked += bytes;
        }
        #[cfg(not(test))]
        let _ = bytes;
    }
}

/// How many bytes at the beginning of `text` are plain for sure: ASCII, no quote, no backslash, no control character. Looks
/// at eight bytes at a time and may stop a little early.
fn plain_length(text: &[u8]) -> usize {
    let mut plain = 0;
    for chunk in text.chunks_exact(8) {
        let Ok(chunk) = <[u8; 8]>::try_from(chunk) else {
            break;
        };
        let special = special_bytes(u64::from_le_bytes(chunk));
        if special != 0 {
            return plain + special.trailing_zeros() as usize / 8;
        }
        plain += 8;
    }
    plain
}

/// The highest bit of each byte that is special; after the first such byte perhaps of others too.
fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGHEST: u64 = ONES << 7;
    let is_zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let quote = is_zero(word ^ (ONES * u64::from(b'"')));
    let backslash = is_zero(word ^ (ONES * u64::from(b'\\')));
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (quote | backslash | control | word) & HIGHEST
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(text: &str) -> Option<&str> {
        let mut reader = Reader::new(text.as_bytes());
        let value = reader.any()?;
        reader
            .is_at_end()
            .then(|| std::str::from_utf8(value).unwrap())
    }

    #[test]
    fn what_python_and_others_read_differently_is_not_read() {
        for text in [
            "",
            "01",
            "-",
            "+1",
            "1.",
            ".5",
            "1e",
            "0x1",
            "NaN",
            "Infinity",
            "-Infinity",
            "nul",
            "9223372036854775808",
            "-9223372036854775809",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\" 1}",
            "[1}",
            "\"a",
            "\"\\x\"",
            "\"\\ud800\"",
            "\"\\udc00\"",
            "\"\\ud800\\u0041\"",
            "\"\u{1}\"",
            "\"a\nb\"",
            "1 2",
            "\u{feff}1",
            "'a'",
        ] {
            assert_eq!(value(text), None, "{text:?}");
        }
        for text in [
            "\"a\u{1}bcdefghijk\"",
            "\"abcdefgh\u{1f}ijk\"",
            "\"abcdefgh\n\"",
        ] {
            assert_eq!(value(text), None, "{text:?}");
        }
        assert!(Reader::new(b"\"abcdefgh\xff\"").any().is_none());
        assert!(Reader::new(b"\"\xc3\"").any().is_none());
    }

    #[test]
    fn integers_are_those_of_64_bits() {
        for (text, number) in [
            ("0", Some(Number::Integer)),
            ("-0", Some(Number::Integer)),
            ("9223372036854775807", Some(Number::Integer)),
            ("-9223372036854775808", Some(Number::Integer)),
            ("9223372036854775808", None),
            ("1.0", Some(Number::Fraction)),
            ("1e2", Some(Number::Fraction)),
            ("9223372036854775808.5", Some(Number::Fraction)),
            ("1E-400", Some(Number::Fraction)),
        ] {
            assert_eq!(Reader::new(text.as_bytes()).number(), number, "{text}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(value(&nested(DEEPEST)).is_some());
        assert!(value(&nested(DEEPEST + 1)).is_none());
        assert!(value(&nested(1_000_000)).is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn plain_bytes_are_counted_up_to_the_first_special_one(text in prop::collection::vec(
            prop_oneof![8 => 0x20_u8..0x7f, 1 => any::<u8>()], 0..40,
        )) {
            let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20 | 0x80..);
            let first = text.iter().position(special).unwrap_or(text.len());
            let whole = text.len() / 8 * 8;
            prop_assert_eq!(plain_length(&text), first.min(whole));
        }

        #[test]
        fn what_is_read_is_what_serde_reads(text in "[\\[\\]{}\":,\\\\ a1e.\\-0u]{0,24}|\\PC{0,8}|[0-9.eE+-]{1,6}") {
            if value(&text).is_some() {
                prop_assert!(serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok(), "{}", text);
            }
        }
    }
}
