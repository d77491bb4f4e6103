//! The head of a request, written as the bytes that it is sent as.

use http::{HeaderName, HeaderValue};

/// A head under way, in a buffer that is used again and again.
///
/// Names and values are typed: neither can hold the end of a line. What else is written is of this program.
#[derive(Debug)]
pub(in crate::data_plane) struct RequestHead<'a> {
    bytes: &'a mut Vec<u8>,
}

impl<'a> RequestHead<'a> {
    /// A `POST` to `target`, which is made of pieces of a path and a query. Begins anew whatever was in `bytes`.
    pub(in crate::data_plane::upstream) fn post<'t>(
        bytes: &'a mut Vec<u8>,
        target: impl IntoIterator<Item = &'t str>,
    ) -> Self {
        bytes.clear();
        bytes.extend_from_slice(b"POST ");
        for piece in target {
            let sendable = piece.bytes().filter(u8::is_ascii_graphic);
            bytes.extend(sendable);
        }
        // A worker refuses a request without a host (RFC 9112, section 3.2), and looks at none.
        bytes.extend_from_slice(b" HTTP/1.1\r\nhost: localhost\r\n");
        Self { bytes }
    }

    /// One more header.
    pub(in crate::data_plane) fn header(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.line(name.as_str(), value.as_bytes());
    }

    /// What the body is, and how many bytes; with that, the head ends.
    pub(in crate::data_plane::upstream) fn end(mut self, content_type: &'static str, length: u64) {
        self.line("content-type", content_type.as_bytes());
        let mut digits = [0; 20];
        self.line("content-length", decimal(length, &mut digits));
        self.bytes.extend_from_slice(b"\r\n");
    }

    fn line(&mut self, name: &str, value: &[u8]) {
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.extend_from_slice(b": ");
        self.bytes.extend_from_slice(value);
        self.bytes.extend_from_slice(b"\r\n");
    }
}

/// A number without a formatter.
fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut first = digits.len();
    for digit in digits.iter_mut().rev() {
        // A remainder of ten fits.
        *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        first -= 1;
        if number == 0 {
            break;
        }
    }
    digits.get(first..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use http::header;

    use super::*;

    #[test]
    fn a_head_is_these_bytes_whatever_was_in_the_buffer() {
        let mut bytes = b"what was sent before".to_vec();
        let mut head = RequestHead::post(&mut bytes, ["/invocations?request_id=", "a%26b"]);
        head.header(&header::ACCEPT, &HeaderValue::from_static("text/csv"));
        head.header(&header::ACCEPT, &HeaderValue::from_static("*/*"));
        head.end("application/json", 1234);
        let expected = "POST /invocations?request_id=a%26b HTTP/1.1\r\nhost: localhost\r\naccept: text/csv\r\n\
            accept: */*\r\ncontent-type: application/json\r\ncontent-length: 1234\r\n\r\n";
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }

    #[test]
    fn a_target_cannot_end_its_line() {
        let mut bytes = Vec::new();
        RequestHead::post(&mut bytes, ["/a\r\nx: y", " HTTP/1.0"]).end("text/csv", 0);
        assert!(bytes.starts_with(b"POST /ax:yHTTP/1.0 HTTP/1.1\r\n"));
    }

    #[test]
    fn numbers_are_written_as_a_formatter_writes_them() {
        for number in [0, 9, 10, 65_536, u64::MAX] {
            let mut digits = [0; 20];
            assert_eq!(decimal(number, &mut digits), number.to_string().as_bytes());
        }
    }
}
