//! The head of an answer: its status, the headers that are kept of it, and how its body is to be read.

use std::mem::MaybeUninit;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use httparse::{Header, ParserConfig, Response, Status};

use super::decoder::Decoder;
use super::error::Garbled;
use super::framing::{Framing, Said, items};
use super::kept_headers::kept;

/// Bytes of a head, with those of its status line.
pub(super) const LONGEST_HEAD: usize = 64 * 1024;
/// Headers of one answer.
pub(super) const MOST_HEADERS: usize = 100;
/// Headers that there is room for at once: what nearly all answers have, and what the gateway adds.
const ROOM: usize = 12;
/// What nearly all answers are.
const JSON: &str = "application/json";

/// An answer without its body.
#[derive(Debug)]
pub(in crate::data_plane::upstream) struct AnswerHead {
    pub(in crate::data_plane::upstream) status: StatusCode,
    /// Those that describe the answer; its length, if it says one and that is where it ends.
    pub(in crate::data_plane::upstream) headers: HeaderMap,
    pub(in crate::data_plane::upstream) body: Decoder,
    /// Whether the worker keeps the connection for another request.
    pub(in crate::data_plane::upstream) keeps_open: bool,
}

/// What some bytes begin with.
#[derive(Debug)]
pub(super) enum Parsed {
    /// Something that can become a head.
    Part,
    /// An announcement of so many bytes (RFC 9110, section 15.2).
    Interim(usize),
    /// A head of so many bytes.
    Whole(AnswerHead, usize),
}

/// Reads the head at the beginning of `bytes`.
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, Garbled> {
    let mut headers = [const { MaybeUninit::uninit() }; MOST_HEADERS];
    let mut response = Response::new(&mut []);
    let parsed = ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        bytes,
        &mut headers,
    )?;
    let length = match parsed {
        Status::Complete(length) if length <= LONGEST_HEAD => length,
        Status::Partial if bytes.len() <= LONGEST_HEAD => return Ok(Parsed::Part),
        _ => return Err(Garbled::LongHead),
    };
    let code = response.code.unwrap_or_default();
    let status = StatusCode::from_u16(code).map_err(|_| Garbled::Status(code))?;
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Garbled::Upgrade);
    }
    if status.is_informational() {
        return Ok(Parsed::Interim(length));
    }
    let minor = response.version.unwrap_or_default();
    let head = head(status, minor, response.headers)?;
    Ok(Parsed::Whole(head, length))
}

fn head(status: StatusCode, minor: u8, all: &[Header<'_>]) -> Result<AnswerHead, Garbled> {
    let mut said = Said::default();
    let mut headers = HeaderMap::with_capacity(ROOM);
    for Header { name, value } in all {
        if name.eq_ignore_ascii_case("content-length") {
            said.content_length(value)?;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            said.transfer_encoding(value);
        } else if name.eq_ignore_ascii_case("connection") {
            said.connection(value);
        } else if let Some(kept) = kept(name) {
            headers.append(kept, value_of(name, value)?);
        }
    }
    let framing = said.framing(status, minor)?;
    let is_told = status != StatusCode::NO_CONTENT && matches!(framing, Framing::Length(_));
    if let (true, Some(length)) = (is_told, said.length) {
        // As we understand it: whoever reads it next may not know that a list of the same number is that number.
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    if said.names_headers {
        leave_behind(all, &mut headers);
    }
    Ok(AnswerHead {
        status,
        headers,
        body: Decoder::new(framing),
        keeps_open: said.keeps_open(status, minor) && framing != Framing::UntilEnd,
    })
}

/// Takes out what the worker says is for this connection only (RFC 9110, section 7.6.1).
fn leave_behind(all: &[Header<'_>], headers: &mut HeaderMap) {
    let of_connection = |header: &&Header<'_>| header.name.eq_ignore_ascii_case("connection");
    for header in all.iter().filter(of_connection) {
        for name in items(header.value) {
            if let Ok(name) = std::str::from_utf8(name) {
                headers.remove(name);
            }
        }
    }
}

fn value_of(name: &str, value: &[u8]) -> Result<HeaderValue, Garbled> {
    if value == JSON.as_bytes() {
        return Ok(HeaderValue::from_static(JSON));
    }
    HeaderValue::from_bytes(value).map_err(|_| Garbled::Value(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> AnswerHead {
        match parse(text.as_bytes()).unwrap() {
            Parsed::Whole(head, length) => {
                assert_eq!(length, text.len());
                head
            }
            other => panic!("{other:?}"),
        }
    }

    fn refused(text: &str) -> Garbled {
        parse(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn a_head_is_read_with_what_is_kept_of_it() {
        let head = whole(
            "HTTP/1.1 418 I am\r\nDate: now\r\nServer: uvicorn\r\nContent-Type: application/json\r\n\
            X-Own: 1\r\nx-own: 2\r\nContent-Length: 007\r\nSet-Cookie: a=b\r\n\r\n",
        );
        assert_eq!(head.status, 418);
        assert!(head.keeps_open);
        assert_eq!(head.body.size_hint().exact(), Some(7));
        let mut kept: Vec<_> = head
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        kept.sort();
        assert_eq!(
            kept,
            [
                "content-length: 7",
                "content-type: application/json",
                "x-own: 1",
                "x-own: 2"
            ]
        );
    }

    #[test]
    fn headers_that_the_connection_names_stay_behind() {
        let head = whole(
            "HTTP/1.1 200 OK\r\nX-Hop: 1\r\nConnection: keep-alive, X-Hop\r\nVary: a\r\n\
            connection: vary\r\nX-Own: 2\r\nContent-Length: 0\r\n\r\n",
        );
        let mut names: Vec<_> = head.headers.keys().map(http::HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-length", "x-own"]);
    }

    #[test]
    fn a_length_is_told_once_and_only_where_it_ends_the_body() {
        for (text, length) in [
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
                None,
            ),
            ("HTTP/1.1 204 None\r\ncontent-length: 5\r\n\r\n", None),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\n",
                Some("5"),
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 5, 05\r\n\r\n",
                Some("5"),
            ),
        ] {
            let told = whole(text).headers;
            let told = told.get(header::CONTENT_LENGTH);
            assert_eq!(told.map(|value| value.to_str().unwrap()), length, "{text}");
        }
    }

    #[test]
    fn whatever_is_no_answer_is_refused_with_what_is_wrong() {
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(101));
        let long = format!("HTTP/1.1 200 OK\r\na: {}", "b".repeat(LONGEST_HEAD));
        let whole_but_long = format!("{long}\r\n\r\n");
        for (text, expected) in [
            ("SSH-2.0-OpenSSH\r\n", "invalid HTTP version"),
            ("HTTP/2 200\r\n\r\n", "invalid HTTP version"),
            ("HTTP/1.1 20x OK\r\n\r\n", "invalid response status"),
            ("HTTP/1.1 000 OK\r\n\r\n", "0 is no status"),
            ("HTTP/1.1 200 OK\r\na b: c\r\n\r\n", "invalid header name"),
            ("HTTP/1.1 200 OK\r\na: b\0\r\n\r\n", "invalid header value"),
            (
                "HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n",
                "invalid header name",
            ),
            (
                "HTTP/1.1 101 Other\r\nupgrade: x\r\n\r\n",
                "changes the protocol",
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 1, 2\r\n\r\n",
                "content-length",
            ),
            (
                "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
                "HTTP/1.0",
            ),
            (many.as_str(), "more than 100 headers"),
            (long.as_str(), "longer than 65536 bytes"),
            (whole_but_long.as_str(), "longer than 65536 bytes"),
        ] {
            let reason = refused(text).to_string();
            let shown = &text[..text.len().min(60)];
            assert!(reason.contains(expected), "{shown}: {reason}");
        }
    }

    #[test]
    fn an_announcement_is_no_answer_yet() {
        let text = b"HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 200";
        assert!(matches!(parse(text).unwrap(), Parsed::Interim(37)));
    }
}
