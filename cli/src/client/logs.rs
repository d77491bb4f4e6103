//! Logs: attempts, last lines, and streams of events that survive a gateway's restart.

use std::time::Duration;

use gateway::api::{LogAttempts, LogKind};
use reqwest::header::{ACCEPT, HeaderName, HeaderValue};
use reqwest::{Method, Response, StatusCode};
use serde::Serialize;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::{Client, LONGEST_ANSWER, failure};
use crate::error::CommandError;

/// Silence after which a stream counts as broken: the gateway shows every 15 seconds that it is alive.
const SILENCE: Duration = Duration::from_secs(60);
/// Before a broken stream is asked for again, the first time and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));
/// A longer event is none of a gateway's: it cuts lines.
const LONGEST_EVENT: usize = 4 << 20;
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Which part of a log.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LogQuery {
    pub(crate) kind: LogKind,
    /// A number, `last` or `last-failed`; all of them without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) attempt: Option<String>,
    /// So many lines at most; the gateway decides without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tail: Option<u32>,
    /// Only lines that contain it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) contains: Option<String>,
    /// Whether to go on with what is written from now on.
    pub(crate) follow: bool,
}

/// What a followed log tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Followed {
    /// Text that was printed, with its line end if the line has ended.
    Text(String),
    /// Something about the log.
    Note(String),
}

/// A log that is followed.
pub(crate) struct LogStream<'a> {
    client: &'a Client,
    path: [String; 5],
    query: LogQuery,
    response: Option<Response>,
    events: Events,
    /// Of the last event: where to go on.
    last: Option<String>,
    has_ended: bool,
    /// Whether it is known that the stream broke off.
    is_broken: bool,
    pause: Duration,
}

/// Server-sent events that arrive in pieces.
#[derive(Debug, Default)]
struct Events(Vec<u8>);

/// One of them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Event {
    name: String,
    id: Option<String>,
    data: String,
}

impl Client {
    /// The attempts of a version that are kept, to build it and of its workers.
    pub(crate) async fn log_attempts(
        &self,
        name: &str,
        version: u64,
    ) -> Result<LogAttempts, CommandError> {
        let version = version.to_string();
        let path = ["models", name, "versions", &version, "logs", "attempts"];
        self.get(&path, &()).await
    }

    /// The last lines of a version's log.
    pub(crate) async fn logs(
        &self,
        name: &str,
        version: u64,
        query: &LogQuery,
    ) -> Result<Response, CommandError> {
        let version = version.to_string();
        let path = ["models", name, "versions", &version, "logs"];
        self.send(self.api(Method::GET, &path).query(query)).await
    }

    /// The same, and all that is written from now on.
    pub(crate) async fn follow_logs(
        &self,
        name: &str,
        version: u64,
        query: LogQuery,
    ) -> Result<LogStream<'_>, CommandError> {
        let version = version.to_string();
        let path = ["models", name, "versions", &version, "logs"].map(str::to_owned);
        let mut stream = LogStream {
            client: self,
            path,
            query,
            response: None,
            events: Events::default(),
            last: None,
            has_ended: false,
            is_broken: false,
            pause: PAUSES.0,
        };
        let response = stream.ask().await?;
        stream.response = Some(self.accept(response).await?);
        Ok(stream)
    }
}

impl LogStream<'_> {
    /// What comes next; `None` if nothing can. Waits for it, however long the gateway is away.
    pub(crate) async fn next(&mut self) -> Result<Option<Followed>, CommandError> {
        loop {
            while let Some(event) = self.events.next() {
                self.pause = PAUSES.0;
                if let Some(followed) = self.taken(event) {
                    return Ok(Some(followed));
                }
            }
            if self.has_ended {
                return Ok(None);
            }
            if self.receive().await? {
                continue;
            }
            self.events = Events::default();
            self.response = None;
            if !self.is_broken {
                self.is_broken = true;
                let note = "the gateway broke off; going on where it did as soon as it answers";
                return Ok(Some(Followed::Note(note.to_owned())));
            }
            self.ask_again().await?;
        }
    }

    fn taken(&mut self, event: Event) -> Option<Followed> {
        if event.id.is_some() {
            self.last = event.id;
        }
        match event.name.as_str() {
            "" => Some(Followed::Text(event.data + "\n")),
            "part" => Some(Followed::Text(event.data)),
            "lost" => {
                let about: Value = serde_json::from_str(&event.data).unwrap_or_default();
                let bytes = &about["bytes"];
                Some(Followed::Note(format!(
                    "{bytes} bytes were removed before they could be read"
                )))
            }
            "attempt" => {
                let about: Value = serde_json::from_str(&event.data).unwrap_or_default();
                let (attempt, kind) = (&about["attempt"], about["kind"].as_str());
                Some(Followed::Note(format!(
                    "{} attempt {attempt}:",
                    kind.unwrap_or_default()
                )))
            }
            "end" => {
                self.has_ended = true;
                None
            }
            _ => None,
        }
    }

    /// Whether something arrived.
    async fn receive(&mut self) -> Result<bool, CommandError> {
        let Some(response) = &mut self.response else {
            return Ok(false);
        };
        match timeout(SILENCE, response.chunk()).await {
            Ok(Ok(Some(piece))) => {
                self.is_broken = false;
                self.events.0.extend_from_slice(&piece);
                if self.events.0.len() > LONGEST_EVENT {
                    let what = "what answers is no gateway: its events have no end";
                    return Err(CommandError::failed(what));
                }
                Ok(true)
            }
            Ok(Ok(None) | Err(_)) | Err(_) => Ok(false),
        }
    }

    async fn ask(&self) -> Result<Response, CommandError> {
        let path = self.path.each_ref().map(String::as_str);
        let mut request = self
            .client
            .api(Method::GET, &path)
            .query(&self.query)
            .header(ACCEPT, HeaderValue::from_static("text/event-stream"))
            .timeout(LONGEST_ANSWER);
        if let Some(last) = self
            .last
            .as_ref()
            .and_then(|last| HeaderValue::try_from(last).ok())
        {
            request = request.header(LAST_EVENT_ID, last);
        }
        self.client.answer(request).await
    }

    /// Until it answers. What it refuses for good ends the stream.
    async fn ask_again(&mut self) -> Result<(), CommandError> {
        loop {
            sleep(self.pause).await;
            self.pause = (self.pause * 2).min(PAUSES.1);
            let Ok(response) = self.ask().await else {
                continue;
            };
            let status = response.status();
            if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
                continue;
            }
            if !status.is_success() {
                return Err(failure::refusal(response, self.client.has_token()).await);
            }
            self.response = Some(response);
            return Ok(());
        }
    }
}

impl Events {
    /// The next one that is whole.
    fn next(&mut self) -> Option<Event> {
        loop {
            let end = self.0.windows(2).position(|two| two == b"\n\n")?;
            let rest = self.0.split_off(end + 2);
            let text = std::mem::replace(&mut self.0, rest);
            let text = String::from_utf8_lossy(&text);
            let mut event = Event::default();
            let mut is_event = false;
            for line in text.lines() {
                let (field, value) = line.split_once(':').unwrap_or((line, ""));
                let value = value.strip_prefix(' ').unwrap_or(value);
                match field {
                    "event" => value.clone_into(&mut event.name),
                    "id" => event.id = Some(value.to_owned()),
                    "data" => {
                        is_event = true;
                        value.clone_into(&mut event.data);
                    }
                    _ => {}
                }
            }
            if is_event {
                return Some(event);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_taken_out_of_pieces() {
        let text = "retry: 1000\n\n: still here\n\nevent: attempt\ndata: {\"attempt\":1}\n\nid: 1:4\ndata:  a: b\n\n";
        let expected = [
            Event {
                name: "attempt".into(),
                id: None,
                data: "{\"attempt\":1}".into(),
            },
            Event {
                name: String::new(),
                id: Some("1:4".into()),
                data: " a: b".into(),
            },
        ];
        let mut events = Events::default();
        let mut seen = Vec::new();
        for byte in text.bytes() {
            events.0.push(byte);
            seen.extend(std::iter::from_fn(|| events.next()));
        }
        assert_eq!(seen, expected);
        assert!(events.0.is_empty());
    }
}
