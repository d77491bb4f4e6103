//! Reads an answer out of bytes as they arrive.

use std::borrow::Cow;

/// Headers of an answer that are looked at; more are an error.
const MAX_HEADERS: usize = 64;
/// Bytes of an answer's head.
const MAX_HEAD: usize = 64 * 1024;

/// One whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// Its status.
    pub status: u16,
    /// Its body, whatever it was transferred as.
    pub body: Cow<'a, [u8]>,
    /// Whether the connection can be used again.
    pub(super) reusable: bool,
    /// Bytes of the buffer that were this answer's.
    pub(super) length: usize,
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
    UntilClosed,
}

/// The head of an answer whose body is still arriving, so that it is read once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    status: u16,
    length: usize,
    framing: Framing,
    reusable: bool,
}

impl Answer<'_> {
    /// The beginning of its body, for people.
    pub fn text(&self) -> String {
        let start = &self.body[..self.body.len().min(500)];
        String::from_utf8_lossy(start).into_owned()
    }
}

impl Head {
    /// The head at the beginning of `bytes`; `None` if it has not arrived yet.
    pub(super) fn read(bytes: &[u8]) -> Result<Option<Self>, String> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let length = match response.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if bytes.len() > MAX_HEAD => {
                return Err("an answer's head that does not end".to_owned());
            }
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(error) => return Err(format!("an answer that is no HTTP: {error}")),
        };
        let status = response.code.unwrap_or_default();
        let mut framing = Framing::UntilClosed;
        let mut reusable = true;
        for header in response.headers.iter() {
            let value = header.value;
            if header.name.eq_ignore_ascii_case("content-length") {
                let length = std::str::from_utf8(value)
                    .ok()
                    .and_then(|text| text.trim().parse().ok());
                let length = length.ok_or("a Content-Length that is no number")?;
                framing = Framing::Length(length);
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                framing = Framing::Chunked;
            } else if header.name.eq_ignore_ascii_case("connection") {
                reusable = !value.eq_ignore_ascii_case(b"close");
            }
        }
        if matches!(status, 204 | 304) {
            framing = Framing::Length(0);
        }
        Ok(Some(Self {
            status,
            length,
            framing,
            reusable: reusable && framing != Framing::UntilClosed,
        }))
    }

    /// The whole answer, if `bytes` hold it; `closed` says that no more will come.
    pub(super) fn answer<'a>(
        &self,
        bytes: &'a [u8],
        closed: bool,
    ) -> Result<Option<Answer<'a>>, String> {
        let rest = &bytes[self.length..];
        let (body, taken) = match self.framing {
            Framing::Length(length) => match rest.get(..length) {
                Some(body) => (Cow::Borrowed(body), length),
                None => return Ok(None),
            },
            Framing::Chunked => match chunks(rest)? {
                Some((body, taken)) => (Cow::Owned(body), taken),
                None => return Ok(None),
            },
            Framing::UntilClosed if closed => (Cow::Borrowed(rest), rest.len()),
            Framing::UntilClosed => return Ok(None),
        };
        Ok(Some(Answer {
            status: self.status,
            body,
            reusable: self.reusable,
            length: self.length + taken,
        }))
    }
}

/// The chunks at the beginning of `bytes` as one, with how many bytes they took; `None` if the last has not arrived.
fn chunks(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, String> {
    let mut body = Vec::new();
    let mut place = 0;
    loop {
        let (start, size) = match httparse::parse_chunk_size(&bytes[place..]) {
            Ok(httparse::Status::Complete(found)) => found,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err("a chunk without a size".to_owned()),
        };
        let size = usize::try_from(size).map_err(|_| "a chunk that is too large")?;
        place += start;
        // The last one is empty; trailers, which nobody here sends, would be taken for the next answer.
        let Some(chunk) = bytes.get(place..place + size + 2) else {
            return Ok(None);
        };
        body.extend_from_slice(&chunk[..size]);
        place += size + 2;
        if size == 0 {
            return Ok(Some((body, place)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], closed: bool) -> Option<(u16, String, bool, usize)> {
        let head = Head::read(bytes).unwrap()?;
        let answer = head.answer(bytes, closed).unwrap()?;
        Some((answer.status, answer.text(), answer.reusable, answer.length))
    }

    #[test]
    fn an_answer_is_whole_only_with_its_last_byte() {
        for whole in [
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
        ] {
            let bytes = whole.as_bytes();
            for end in 0..bytes.len() {
                assert_eq!(read(&bytes[..end], false), None, "{end} bytes of {whole}");
            }
            let more = [bytes, b"HTTP"].concat();
            assert_eq!(
                read(&more, false),
                Some((200, "hello".into(), true, bytes.len()))
            );
        }
    }

    #[test]
    fn an_answer_without_a_length_ends_with_its_connection() {
        let bytes = b"HTTP/1.1 503 Busy\r\n\r\nno";
        assert_eq!(read(bytes, false), None);
        assert_eq!(
            read(bytes, true),
            Some((503, "no".into(), false, bytes.len()))
        );
    }

    #[test]
    fn what_announces_its_end_is_not_used_again() {
        let bytes = b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n";
        assert!(!read(bytes, false).unwrap().2);
        assert!(Head::read(b"garbage\r\n\r\n").is_err());
    }
}
