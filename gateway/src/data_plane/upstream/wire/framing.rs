//! Where the body of an answer ends, and whether another answer may follow it (RFC 9112, sections 6.3 and 9.3).

use http::StatusCode;

use super::error::Garbled;

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// After so many bytes.
    Length(u64),
    /// After a chunk of no bytes, and what follows that.
    Chunked,
    /// With the connection.
    UntilEnd,
}

/// What an answer's headers say about it, as they are read one by one.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Bytes of the body.
    pub(super) length: Option<u64>,
    /// Whether the last of its codings is chunked.
    coding: Option<bool>,
    close: bool,
    keep_alive: bool,
    /// Whether it names headers that are for this connection only.
    pub(super) names_headers: bool,
}

impl Said {
    /// `Content-Length`: a list of the same number is that number.
    pub(super) fn content_length(&mut self, value: &[u8]) -> Result<(), Garbled> {
        for item in items(value) {
            let length = number(item).ok_or(Garbled::Length)?;
            if self.length.is_some_and(|said| said != length) {
                return Err(Garbled::Length);
            }
            self.length = Some(length);
        }
        Ok(())
    }

    /// `Transfer-Encoding`: it is the last coding that says where the body ends.
    pub(super) fn transfer_encoding(&mut self, value: &[u8]) {
        let last = items(value).last().unwrap_or_default();
        self.coding = Some(last.eq_ignore_ascii_case(b"chunked"));
    }

    /// `Connection`.
    pub(super) fn connection(&mut self, value: &[u8]) {
        for item in items(value) {
            if item.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if item.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if !item.is_empty() {
                self.names_headers = true;
            }
        }
    }

    /// Where the body of an answer in HTTP/1.`minor` to a `POST` ends.
    pub(super) fn framing(&self, status: StatusCode, minor: u8) -> Result<Framing, Garbled> {
        if self.coding.is_some() && minor == 0 {
            return Err(Garbled::Coding);
        }
        let is_empty = has_no_body(status);
        Ok(match (self.coding, self.length) {
            _ if is_empty => Framing::Length(0),
            (Some(true), _) => Framing::Chunked,
            (Some(false), _) | (None, None) => Framing::UntilEnd,
            (None, Some(length)) => Framing::Length(length),
        })
    }

    /// Whether the worker keeps the connection open. One that says twice where its answer ends may mean either: nothing
    /// after it is believed.
    pub(super) fn keeps_open(&self, status: StatusCode, minor: u8) -> bool {
        let says_some = self.coding.is_some() || self.length.is_some_and(|length| length > 0);
        let is_ambiguous =
            (self.coding.is_some() && self.length.is_some()) || (has_no_body(status) && says_some);
        !self.close && !is_ambiguous && (minor > 0 || self.keep_alive)
    }
}

/// Whatever its headers say (RFC 9112, section 6.3).
fn has_no_body(status: StatusCode) -> bool {
    status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED
}

/// The items of a list (RFC 9110, section 5.6.1).
pub(super) fn items(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

/// Digits and nothing else; no sign.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(headers: &[(&str, &str)]) -> Result<Said, Garbled> {
        let mut said = Said::default();
        for (name, value) in headers {
            match *name {
                "length" => said.content_length(value.as_bytes())?,
                "coding" => said.transfer_encoding(value.as_bytes()),
                _ => said.connection(value.as_bytes()),
            }
        }
        Ok(said)
    }

    #[test]
    fn a_body_ends_where_the_standard_says() {
        for (headers, status, minor, expected, open) in [
            (&[][..], 200, 1, Framing::UntilEnd, true),
            (&[("length", "5")], 200, 1, Framing::Length(5), true),
            (&[("length", "5, 5")], 200, 1, Framing::Length(5), true),
            (
                &[("length", "5"), ("length", "5")],
                200,
                1,
                Framing::Length(5),
                true,
            ),
            (&[("length", "5")], 204, 1, Framing::Length(0), false),
            (&[("coding", "chunked")], 304, 1, Framing::Length(0), false),
            (&[("coding", "Chunked")], 200, 1, Framing::Chunked, true),
            (
                &[("coding", "gzip, chunked")],
                200,
                1,
                Framing::Chunked,
                true,
            ),
            (
                &[("coding", "chunked, gzip")],
                200,
                1,
                Framing::UntilEnd,
                true,
            ),
            (
                &[("coding", "chunked"), ("coding", "gzip")],
                200,
                1,
                Framing::UntilEnd,
                true,
            ),
            (
                &[("coding", "identity"), ("length", "5")],
                200,
                1,
                Framing::UntilEnd,
                false,
            ),
            (
                &[("length", "5"), ("coding", "chunked")],
                200,
                1,
                Framing::Chunked,
                false,
            ),
            (
                &[("length", "5"), ("connection", "Close")],
                200,
                1,
                Framing::Length(5),
                false,
            ),
            (&[("length", "5")], 200, 0, Framing::Length(5), false),
            (
                &[("length", "5"), ("connection", "Keep-Alive")],
                200,
                0,
                Framing::Length(5),
                true,
            ),
            (&[("length", "0")], 204, 1, Framing::Length(0), true),
            (
                &[("length", "5"), ("connection", "keep-alive, close")],
                200,
                0,
                Framing::Length(5),
                false,
            ),
        ] {
            let said = said(headers).unwrap();
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(
                said.framing(status, minor).unwrap(),
                expected,
                "{headers:?}"
            );
            assert_eq!(said.keeps_open(status, minor), open, "{headers:?}");
        }
    }

    #[test]
    fn a_length_is_one_number() {
        for value in [
            "",
            "+5",
            "-5",
            "5 5",
            "5, 6",
            "5,",
            "0x5",
            "5.0",
            "99999999999999999999",
        ] {
            let refused = said(&[("length", value)]);
            assert!(matches!(refused, Err(Garbled::Length)), "{value}");
        }
        let refused = said(&[("length", "5"), ("length", "6")]);
        assert!(matches!(refused, Err(Garbled::Length)));
    }

    #[test]
    fn an_old_answer_has_no_codings() {
        let said = said(&[("coding", "chunked")]).unwrap();
        let refused = said.framing(StatusCode::OK, 0);
        assert!(matches!(refused, Err(Garbled::Coding)));
    }

    #[test]
    fn headers_of_the_connection_are_noticed() {
        assert!(
            said(&[("connection", "close, x-hop")])
                .unwrap()
                .names_headers
        );
        assert!(
            !said(&[("connection", "keep-alive, ")])
                .unwrap()
                .names_headers
        );
    }
}
