//! Logs: attempts, last lines, and streams of events that survive a gateway's restart.

use gateway::api::{LogAttempts, LogKind};
use reqwest::{Method, Response};
use serde::Serialize;
use serde_json::Value;

use super::Client;
use super::event_stream::{EventStream, Heard, Record};
use crate::error::CommandError;

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
    stream: EventStream<'a>,
    has_ended: bool,
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
    pub(crate) async fn follow_logs<'a>(
        &'a self,
        name: &'a str,
        version: u64,
        query: LogQuery,
    ) -> Result<LogStream<'a>, CommandError> {
        let version = version.to_string();
        let ask = move || {
            let path = ["models", name, "versions", &version, "logs"];
            self.api(Method::GET, &path).query(&query)
        };
        Ok(LogStream {
            stream: EventStream::open(self, ask, None).await?,
            has_ended: false,
        })
    }
}

impl LogStream<'_> {
    /// What comes next; `None` if nothing can. Waits for it, however long the gateway is away.
    pub(crate) async fn next(&mut self) -> Result<Option<Followed>, CommandError> {
        while !self.has_ended {
            let followed = match self.stream.next().await? {
                Heard::Record(record) => self.taken(record),
                Heard::BrokeOff(note) => Some(Followed::Note(note)),
            };
            if followed.is_some() {
                return Ok(followed);
            }
        }
        Ok(None)
    }

    fn taken(&mut self, record: Record) -> Option<Followed> {
        let about = || serde_json::from_str::<Value>(&record.data).unwrap_or_default();
        match record.kind.as_str() {
            "" => Some(Followed::Text(record.data + "\n")),
            "part" => Some(Followed::Text(record.data)),
            "lost" => {
                let bytes = &about()["bytes"];
                Some(Followed::Note(format!(
                    "{bytes} bytes were removed before they could be read"
                )))
            }
            "attempt" => {
                let about = about();
                let kind = about["kind"].as_str().unwrap_or_default();
                Some(Followed::Note(format!(
                    "{kind} attempt {}:",
                    about["attempt"]
                )))
            }
            "end" => {
                self.has_ended = true;
                None
            }
            _ => None,
        }
    }
}
