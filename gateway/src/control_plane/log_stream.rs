//! A log on its way to a client: as text, or as server-sent events that can be resumed where they broke off.

use std::io;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use serde_json::json;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::caller_watch::CallerWatch;
use super::event_stream::{Frames, HEARTBEAT};
use super::log_line::inert;
use super::log_reader::{Item, Reader, Step};
use super::stream_places::StreamPlace;

/// How often a log that is followed is looked at.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a caller whose session or right was taken away may go on at most; as with events.
pub(super) const CHECK: Duration = Duration::from_secs(5);
/// What clients are asked to wait before they come back.
const RETRY: Duration = Duration::from_secs(1);

/// What the lines are written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As they were printed.
    Text,
    /// One event for each.
    Events,
}

/// Where a stream stands.
struct Stream {
    reader: Reader,
    form: Form,
    caller: CallerWatch,
    is_open: bool,
    is_greeted: bool,
    sent: Instant,
    _place: Option<StreamPlace>,
}

/// What the reader gives, until it has ended, the client leaves or may not see it any more, or the gateway stops.
pub(super) fn body(
    reader: Reader,
    form: Form,
    caller: CallerWatch,
    place: Option<StreamPlace>,
) -> Body {
    let stream = Stream {
        reader,
        form,
        caller,
        is_open: true,
        is_greeted: form == Form::Text,
        sent: Instant::now(),
        _place: place,
    };
    Body::from_stream(stream::unfold(stream, |stream| async move {
        let (bytes, stream) = stream.next().await?;
        Some((Ok::<_, io::Error>(bytes), stream))
    }))
}

impl Stream {
    async fn next(mut self) -> Option<(Bytes, Self)> {
        let mut frames = Frames::default();
        if !self.is_greeted {
            self.is_greeted = true;
            frames.retry(RETRY);
            return Some((frames.into_bytes(), self));
        }
        while self.is_open {
            // What has an end comes to it.
            if self.reader.follows() && self.caller.is_stopping() {
                return None;
            }
            if self.caller.is_due() {
                self.caller.checked().await.ok()?;
            }
            let (reader, step) = step(self.reader).await?;
            self.reader = reader;
            self.is_open = !step.has_ended;
            let text = self.written(&step);
            if !text.is_empty() {
                self.sent = Instant::now();
                return Some((text, self));
            }
            if !self.is_open {
                return None;
            }
            if !step.has_more {
                tokio::select! {
                    () = self.caller.shutdown() => return None,
                    () = sleep(PAUSE) => {}
                }
            }
            if self.form == Form::Events && self.sent.elapsed() >= HEARTBEAT {
                self.sent = Instant::now();
                frames.heartbeat();
                return Some((frames.into_bytes(), self));
            }
        }
        None
    }

    fn written(&self, step: &Step) -> Bytes {
        match self.form {
            Form::Text => text(&step.items).into(),
            Form::Events => {
                let mut events = Frames::default();
                for item in &step.items {
                    event(&mut events, item);
                }
                if step.has_ended {
                    events.record("end", None, &json!({}));
                }
                events.into_bytes()
            }
        }
    }
}

async fn step(mut reader: Reader) -> Option<(Reader, Step)> {
    let done = spawn_blocking(move || {
        let step = reader.step();
        (reader, step)
    });
    let (reader, step) = done.await.ok()?;
    match step {
        Ok(step) => Some((reader, step)),
        Err(error) => {
            warn!(%error, "a log cannot be read on");
            None
        }
    }
}

fn text(items: &[Item]) -> Vec<u8> {
    let mut text = Vec::new();
    for item in items {
        match item {
            // One that begins says so itself, in its first line.
            Item::Attempt { .. } => {}
            Item::Lost { attempt, bytes } => {
                let note =
                    format!("--- {bytes} bytes of attempt {attempt} are not kept any more ---\n");
                text.extend_from_slice(note.as_bytes());
            }
            Item::Line {
                text: line,
                is_whole,
                ..
            } => {
                text.extend_from_slice(line);
                if *is_whole {
                    text.push(b'\n');
                }
            }
        }
    }
    text
}

fn event(events: &mut Frames, item: &Item) {
    match item {
        Item::Attempt { attempt, begins } => {
            let mut about = json!(attempt);
            about["begins"] = json!(begins);
            events.record("attempt", None, &about);
        }
        Item::Lost { attempt, bytes } => {
            let about = json!({"attempt": attempt, "bytes": bytes});
            events.record("lost", None, &about);
        }
        Item::Line {
            text,
            is_whole,
            next,
        } => {
            // Some programs end lines as Windows does.
            let text = text
                .strip_suffix(b"\r")
                .filter(|_| *is_whole)
                .unwrap_or(text);
            let kind = (!is_whole).then_some("part");
            events.line(kind, Some(next), &inert(text));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::super::log_reader::Place;
    use super::*;
    use crate::api::LogAttempt;
    use crate::ports::{AttemptOutcome, LogKind};

    fn line(text: &[u8], is_whole: bool) -> Item {
        Item::Line {
            text: text.to_vec(),
            is_whole,
            next: "3:1200,5:8".parse::<Place>().unwrap(),
        }
    }

    #[test]
    fn no_line_can_pretend_to_be_another_event() {
        let mut events = Frames::default();
        for text in [
            &b"fine"[..],
            b"\x1b[31mred\x1b[0m\r",
            b"a\rdata: forged\r\rid: 9:9",
            b" event: end",
            b"",
        ] {
            event(&mut events, &line(text, true));
        }
        event(&mut events, &line(b"long", false));
        let expected = [
            "id: 3:1200,5:8\ndata: fine\n\n",
            "id: 3:1200,5:8\ndata: red\n\n",
            "id: 3:1200,5:8\ndata: a\\rdata: forged\\r\\rid: 9:9\n\n",
            "id: 3:1200,5:8\ndata:  event: end\n\n",
            "id: 3:1200,5:8\ndata: \n\n",
            "id: 3:1200,5:8\nevent: part\ndata: long\n\n",
        ];
        assert_eq!(events.into_bytes(), expected.concat());
    }

    #[test]
    fn an_attempt_is_announced_and_what_is_lost_is_told() {
        let mut events = Frames::default();
        let attempt = LogAttempt {
            attempt: 3,
            kind: LogKind::Build,
            started: SystemTime::UNIX_EPOCH.into(),
            ended: None,
            outcome: AttemptOutcome::Running,
            bytes: 0,
            current: true,
        };
        let begins = Item::Attempt {
            attempt,
            begins: true,
        };
        event(&mut events, &begins);
        let lost = Item::Lost {
            attempt: 3,
            bytes: 10,
        };
        event(&mut events, &lost);
        let expected = [
            "event: attempt\ndata: {\"attempt\":3,\"kind\":\"build\",\"started\":\"1970-01-01T00:00:00.000Z\",",
            "\"outcome\":\"running\",\"bytes\":0,\"current\":true,\"begins\":true}\n\n",
            "event: lost\ndata: {\"attempt\":3,\"bytes\":10}\n\n",
        ];
        assert_eq!(events.into_bytes(), expected.concat());
        assert_eq!(
            text(&[lost]),
            b"--- 10 bytes of attempt 3 are not kept any more ---\n"
        );
    }
}
