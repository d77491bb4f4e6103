//! A request as the bytes that are sent.

use std::fmt::Write;

use bytes::Bytes;

/// One HTTP/1.1 request, made once and sent many times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    bytes: Bytes,
}

impl Request {
    /// `POST path` with a body of JSON and these further headers.
    pub fn post(path: &str, headers: &[(&str, &str)], body: &[u8]) -> Self {
        Self::new("POST", path, headers, Some(("application/json", body)))
    }

    /// `GET path` with these headers.
    pub fn get(path: &str, headers: &[(&str, &str)]) -> Self {
        Self::new("GET", path, headers, None)
    }

    /// `method path` with these headers, and a body with its content type.
    pub fn new(
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<(&str, &[u8])>,
    ) -> Self {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n");
        for (name, value) in headers {
            // Writing to a string does not fail.
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if let Some((content_type, body)) = body {
            let length = body.len();
            let _ = write!(
                head,
                "Content-Type: {content_type}\r\nContent-Length: {length}\r\n"
            );
        }
        head.push_str("\r\n");
        let body = body.map(|(_, body)| body).unwrap_or_default();
        let bytes = [head.as_bytes(), body].concat().into();
        Self { bytes }
    }

    /// Head and body.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_how_long_its_body_is() {
        let request = Request::post("/invocations", &[("Authorization", "Bearer x")], b"{}");
        let expected = "POST /invocations HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer x\r\n\
            Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(request.as_bytes(), expected.as_bytes());
    }
}
