//! Server-sent events on their way to a client: <https://html.spec.whatwg.org/multipage/server-sent-events.html>

use std::fmt::{Display, Write};
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::Serialize;

/// Silence after which a stream shows that it is alive: proxies close connections on which nothing comes.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(15);

/// Pieces of a stream, put together to one.
#[derive(Debug, Default)]
pub(super) struct Frames(String);

/// An answer whose body is such a stream.
pub(super) fn answer(body: Body) -> Response {
    let headers = [
        (CONTENT_TYPE.as_str(), "text/event-stream"),
        (CACHE_CONTROL.as_str(), "no-store"),
        // For nginx, which holds answers back otherwise.
        ("x-accel-buffering", "no"),
    ];
    (headers, body).into_response()
}

impl Frames {
    /// How long a client waits before it connects again. What comes first: the head of the answer goes out with it, and
    /// clients see that they are connected.
    pub(super) fn retry(&mut self, pause: Duration) {
        self.field("retry", &pause.as_millis());
        self.0.push('\n');
    }

    /// Keeps the connection in use. An event, and no comment: scripts of a browser see nothing of those, and could not tell a
    /// quiet stream from a dead one.
    pub(super) fn heartbeat(&mut self) {
        self.line(Some("heartbeat"), None, "{}");
    }

    /// One record. The id is what a client hands back when it connects again.
    pub(super) fn record(&mut self, kind: &str, id: Option<&dyn Display>, body: &impl Serialize) {
        // JSON has no line ends between its values: one line of data. What cannot be written cannot be, in any form.
        if let Ok(body) = serde_json::to_string(body) {
            self.line(Some(kind), id, &body);
        }
    }

    /// One record, of the plain kind without `kind`, whose data is one line that was written already.
    pub(super) fn line(&mut self, kind: Option<&str>, id: Option<&dyn Display>, data: &str) {
        if let Some(id) = id {
            self.field("id", id);
        }
        if let Some(kind) = kind {
            self.field("event", &kind);
        }
        self.field("data", &data);
        self.0.push('\n');
    }

    fn field(&mut self, name: &str, value: &dyn Display) {
        // Writing to a text cannot fail.
        let _ = writeln!(self.0, "{name}: {value}");
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_bytes(self) -> Bytes {
        self.0.into()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_stream_is_written_as_the_standard_has_it() {
        let mut frames = Frames::default();
        assert!(frames.is_empty());
        frames.retry(Duration::from_secs(2));
        frames.heartbeat();
        frames.record("event", Some(&7), &json!({"text": "two\nlines"}));
        frames.line(None, Some(&"3:9"), " printed");
        frames.line(Some("status"), None, "{}");
        let expected = [
            "retry: 2000\n\n",
            "event: heartbeat\ndata: {}\n\n",
            "id: 7\nevent: event\ndata: {\"text\":\"two\\nlines\"}\n\n",
            "id: 3:9\ndata:  printed\n\n",
            "event: status\ndata: {}\n\n",
        ];
        assert_eq!(frames.into_bytes(), expected.concat());
    }
}
