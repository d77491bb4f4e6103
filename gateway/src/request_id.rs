//! The id by which people find one request again: the caller's, if it is sane, or a new one.

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};

/// `X-Request-Id`.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longer ids are somebody's mistake.
const LONGEST: usize = 128;

/// What is not written as it is in a query: all that could end it, or a quoted text around it.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// One request's id: visible ASCII, so that it fits into a header, a log line and JSON as it is.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    pub(crate) fn take_or_make(headers: &HeaderMap) -> Self {
        let sane = |value: &&HeaderValue| {
            let bytes = value.as_bytes();
            (1..=LONGEST).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
        };
        let taken = headers.get(X_REQUEST_ID).filter(sane).cloned();
        Self(taken.unwrap_or_else(|| {
            let made = hexadecimal(rand::random());
            HeaderValue::from_bytes(&made).unwrap_or_else(|_| HeaderValue::from_static("-"))
        }))
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }

    /// As a value in a query; most ids are the same there.
    pub(crate) fn in_a_query(&self) -> PercentEncode<'_> {
        utf8_percent_encode(self.as_str(), ENCODED)
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or("-")
    }
}

fn hexadecimal(bits: u128) -> [u8; 32] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let bytes = bits.to_be_bytes();
    std::array::from_fn(|place| {
        let byte = bytes[place / 2];
        let half = if place % 2 == 0 { byte >> 4 } else { byte & 15 };
        DIGITS[usize::from(half)]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(sent: &[u8]) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(X_REQUEST_ID, HeaderValue::from_bytes(sent).unwrap());
        RequestId::take_or_make(&headers).as_str().to_owned()
    }

    #[test]
    fn an_id_in_a_query_ends_neither_it_nor_the_line_that_shows_it() {
        let mut headers = HeaderMap::new();
        for (sent, shown) in [
            ("01HX-a_b.c~d", "01HX-a_b.c~d"),
            ("a&b#c\"d%e", "a%26b%23c%22d%25e"),
        ] {
            headers.insert(X_REQUEST_ID, HeaderValue::from_static(sent));
            let id = RequestId::take_or_make(&headers);
            assert_eq!(id.in_a_query().to_string(), shown);
        }
    }

    #[test]
    fn an_id_of_ours_is_written_as_a_number_in_32_digits() {
        for bits in [0, 0x0123_4567_89ab_cdef, u128::MAX] {
            assert_eq!(hexadecimal(bits), format!("{bits:032x}").as_bytes());
        }
    }

    #[test]
    fn a_sane_id_is_taken_and_any_other_replaced() {
        let longest = "x".repeat(128);
        assert_eq!(id(b"abc-{1}"), "abc-{1}");
        assert_eq!(id(longest.as_bytes()), longest);
        for sent in [
            &b""[..],
            b"two words",
            b"caf\xc3\xa9",
            "x".repeat(129).as_bytes(),
        ] {
            let made = id(sent);
            assert_eq!(made.len(), 32, "{sent:?}");
            assert!(made.bytes().all(|byte| byte.is_ascii_hexdigit()));
        }
        assert_ne!(id(b""), id(b""));
    }
}
