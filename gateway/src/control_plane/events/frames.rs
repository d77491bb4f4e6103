//! The bytes of a stream of events: https://html.spec.whatwg.org/multipage/server-sent-events.html

use std::time::Duration;

use serde::Serialize;

/// Pieces of a stream, put together to one.
#[derive(Debug, Default)]
pub(super) struct Frames(String);

impl Frames {
    /// How long a client waits before it connects again.
    pub(super) fn retry(&mut self, pause: Duration) {
        self.0
            .push_str(&format!("retry: {}\n\n", pause.as_millis()));
    }

    /// Something that no client looks at: it keeps the connection in use.
    pub(super) fn heartbeat(&mut self) {
        self.0.push_str(": still here\n\n");
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
            self.0.push_str(&format!("id: {id}\n"));
        }
        self.0.push_str(&format!("event: {kind}\ndata: {body}\n\n"));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_bytes(self) -> bytes::Bytes {
        self.0.into()
    }
}
