//! A stream of server-sent events that goes on where it broke off, however long the gateway is away.

mod records;

use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{RequestBuilder, Response, StatusCode};
use tokio::time::{sleep, timeout};

use super::{Client, LONGEST_ANSWER, failure};
use crate::error::CommandError;
pub(super) use records::Record;
use records::Records;

/// Silence after which a stream counts as broken: the gateway shows every 15 seconds that it is alive.
const SILENCE: Duration = Duration::from_secs(45);
/// Before a broken stream is asked for again, the first time and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// What is followed.
pub(super) struct EventStream<'a> {
    client: &'a Client,
    ask: Box<dyn Fn() -> RequestBuilder + 'a>,
    /// The id of the last record: where to go on.
    last: Option<String>,
    open: Option<Open>,
    /// Whether it is known that the stream broke off.
    is_told: bool,
    pause: Duration,
}

/// What a stream tells.
pub(super) enum Heard {
    Record(Record),
    /// It has broken off, and goes on as soon as the gateway answers; told once.
    BrokeOff(String),
}

struct Open {
    response: Response,
    records: Records,
}

/// Why a stream is over.
enum Over {
    /// It may go on later.
    ForNow(CommandError),
    /// It will not.
    ForGood(CommandError),
}

impl<'a> EventStream<'a> {
    /// Of what `ask` asks for, from the record after the one of the id `last` on. Refused if the gateway does not
    /// answer: nobody waits for a wrong address.
    pub(super) async fn open(
        client: &'a Client,
        ask: impl Fn() -> RequestBuilder + 'a,
        last: Option<String>,
    ) -> Result<Self, CommandError> {
        let mut stream = Self {
            client,
            ask: Box::new(ask),
            last,
            open: None,
            is_told: false,
            pause: PAUSES.0,
        };
        match stream.connect().await {
            Ok(open) => stream.open = Some(open),
            Err(Over::ForNow(error) | Over::ForGood(error)) => return Err(error),
        }
        Ok(stream)
    }

    /// What comes next; an error if nothing can.
    pub(super) async fn next(&mut self) -> Result<Heard, CommandError> {
        loop {
            match self.record().await {
                Ok(record) => {
                    self.pause = PAUSES.0;
                    if record.id.is_some() {
                        self.last.clone_from(&record.id);
                    }
                    return Ok(Heard::Record(record));
                }
                Err(Over::ForGood(error)) => return Err(error),
                Err(Over::ForNow(error)) => {
                    if !std::mem::replace(&mut self.is_told, true) {
                        return Ok(Heard::BrokeOff(format!(
                            "{}; going on where it stopped as soon as it answers",
                            error.message()
                        )));
                    }
                }
            }
        }
    }

    async fn record(&mut self) -> Result<Record, Over> {
        let mut open = if let Some(open) = self.open.take() {
            open
        } else {
            sleep(self.pause).await;
            self.pause = (self.pause * 2).min(PAUSES.1);
            self.connect().await?
        };
        loop {
            if let Some(record) = open.records.next() {
                self.open = Some(open);
                return record.map_err(Over::ForGood);
            }
            let piece = match timeout(SILENCE, open.response.chunk()).await {
                Ok(Ok(Some(piece))) => piece,
                Ok(Ok(None)) => return Err(for_now("the gateway broke off")),
                Ok(Err(error)) => {
                    return Err(Over::ForNow(failure::no_answer(&self.client.url, error)));
                }
                Err(_) => return Err(for_now("the gateway is silent")),
            };
            self.is_told = false;
            open.records.push(&piece);
        }
    }

    async fn connect(&self) -> Result<Open, Over> {
        let mut request = (self.ask)()
            .timeout(LONGEST_ANSWER)
            .header(ACCEPT, "text/event-stream");
        if let Some(last) = &self.last {
            request = request.header("last-event-id", last);
        }
        let response = self.client.answer(request).await.map_err(Over::ForNow)?;
        let status = response.status();
        if !status.is_success() {
            let error = self.client.refusal(response).await;
            let is_passing = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
            return Err(if is_passing {
                Over::ForNow(error)
            } else {
                Over::ForGood(error)
            });
        }
        if !streams(&response) {
            return Err(Over::ForGood(
                CommandError::failed("what answers does not stream events")
                    .next("the versions of gateway and command line should be equal"),
            ));
        }
        Ok(Open {
            response,
            records: Records::default(),
        })
    }
}

fn for_now(what: &str) -> Over {
    Over::ForNow(CommandError::failed(what))
}

fn streams(response: &Response) -> bool {
    let content_type = response.headers().get(CONTENT_TYPE);
    content_type.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}
