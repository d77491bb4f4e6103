//! The bytes of a stream of events: <https://html.spec.whatwg.org/multipage/server-sent-events.html>

use std::time::Duration;

use serde::Serialize;

/// Pieces of a stream, put together to one.
#[derive(Debug, Default)]
pub(super) struct Frames(String);

impl Frames {
    /// How long a client waits before it connects again.
    pub(super) fn retry(&mut self, pause: Duration) {
        self.push(&["retry: ", &pause.as_millis().to_string(), "\n\n"]);
    }

    /// Something that no client looks at: it keeps the connection in use.
    pub(super) fn heartbeat(&mut self) {
        self.push(&[": still here\n\n"]);
    }

    /// One record. The id is what a client hands back when it connects again.
    pub(super) fn record(&mut self, kind: &str, id: Option<i64>, body: &impl Serialize) {
        // JSON has no line ends between its values: one line of data. What cannot be written cannot be, in any form.
        let Ok(body) = serde_json::to_string(body) else {
            return;
        };
        self.json(kind, id, &body);
    }

    /// The same with a body that is written already.
    pub(super) fn json(&mut self, kind: &str, id: Option<i64>, body: &str) {
        if let Some(id) = id {
            self.push(&["id: ", &id.to_string(), "\n"]);
        }
        self.push(&["event: ", kind, "\ndata: ", body, "\n\n"]);
    }

    fn push(&mut self, parts: &[&str]) {
        self.0.extend(parts.iter().copied());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_bytes(self) -> bytes::Bytes {
        self.0.into()
    }
}
