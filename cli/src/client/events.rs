//! Calls about what happened: pages of the event log, the log as it grows, and the history of labels.

use std::time::Duration;

use gateway::api::{Event, EventPage, LabelHistory, LabelInterval, Timestamp};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use tokio::time::{sleep, timeout};

use super::event_stream::Records;
use super::{Client, failure};
use crate::error::CommandError;
use crate::output;

/// Events that are asked for at a time.
const EVENTS_A_PAGE: usize = 500;

/// More events at once are of no use to anybody; a gateway keeps 10,000 of each model.
const MOST_EVENTS: usize = 10 * EVENTS_A_PAGE;

/// Before a gateway that broke off is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// A gateway is heard every 15 seconds, also when nothing happens.
const SILENCE: Duration = Duration::from_secs(45);

/// Which events.
#[derive(Clone, Debug)]
pub(crate) struct EventWish<'a> {
    /// Of this model.
    pub(crate) model: &'a str,
    /// Of this version.
    pub(crate) version: Option<u64>,
    /// Of these types; empty for all.
    pub(crate) types: &'a [String],
    /// From this time on.
    pub(crate) since: Option<Timestamp>,
    /// Before this time.
    pub(crate) until: Option<Timestamp>,
}

/// What happened, oldest first.
#[derive(Debug)]
pub(crate) struct Events {
    pub(crate) events: Vec<Event>,
    /// Whether older ones were left out.
    pub(crate) cut: bool,
}

/// Why a stream is over.
enum Over {
    /// It may go on later.
    ForNow(CommandError),
    /// It will not.
    ForGood(CommandError),
}

impl Client {
    /// What is in the log, oldest first; the newest [`MOST_EVENTS`] of it.
    pub(crate) async fn events(&self, wish: &EventWish<'_>) -> Result<Events, CommandError> {
        let mut events = Vec::new();
        let mut page_token: Option<String> = None;
        let cut = loop {
            let mut request = self
                .events_request(wish)
                .query(&[("max_results", EVENTS_A_PAGE)]);
            if let Some(token) = &page_token {
                request = request.query(&[("page_token", token)]);
            }
            let page: EventPage = self.receive(request).await?;
            events.extend(page.events);
            page_token = page.next_page_token;
            if page_token.is_none() {
                break false;
            }
            if events.len() >= MOST_EVENTS {
                break true;
            }
        };
        events.reverse();
        Ok(Events { events, cut })
    }

    /// Every event after the one of the id `after`, once and in order, for as long as the caller likes; a gateway that
    /// breaks off is asked again for what came after the last one. Returns only when that is of no use.
    pub(crate) async fn follow_events(
        &self,
        wish: &EventWish<'_>,
        mut after: i64,
        mut on_event: impl FnMut(&Event) -> Result<(), CommandError>,
    ) -> Result<(), CommandError> {
        let mut is_told = false;
        loop {
            let over = self.stream(wish, &mut after, &mut is_told, &mut on_event);
            match over.await {
                Over::ForGood(error) => return Err(error),
                Over::ForNow(error) => {
                    if !std::mem::replace(&mut is_told, true) {
                        output::note(&format!(
                            "{}; going on as soon as it answers",
                            error.message()
                        ));
                    }
                }
            }
            sleep(PAUSE).await;
        }
    }

    /// The times in which a label pointed at each version, newest first; with `at` only the one that holds that time.
    pub(crate) async fn label_history(
        &self,
        model: &str,
        label: &str,
        at: Option<Timestamp>,
    ) -> Result<LabelHistory, CommandError> {
        let path = ["models", model, "labels", label, "history"];
        let at = at.map(|at| ("at", at.to_string()));
        let mut intervals: Vec<LabelInterval> = Vec::new();
        let mut page_token = None;
        loop {
            let token = page_token.map(|token| ("page_token", token));
            let query: Vec<_> = at.iter().cloned().chain(token).collect();
            let mut page: LabelHistory = self.get(&path, &query).await?;
            intervals.append(&mut page.intervals);
            page_token = page.next_page_token.take();
            if page_token.is_none() {
                return Ok(LabelHistory { intervals, ..page });
            }
        }
    }

    fn events_request(&self, wish: &EventWish<'_>) -> RequestBuilder {
        let version = wish.version.map(|version| version.to_string());
        let path = match &version {
            Some(version) => vec!["models", wish.model, "versions", version, "events"],
            None => vec!["models", wish.model, "events"],
        };
        let types = (!wish.types.is_empty()).then(|| ("type", wish.types.join(",")));
        let since = wish.since.map(|time| ("since", time.to_string()));
        let until = wish.until.map(|time| ("until", time.to_string()));
        let query: Vec<_> = [types, since, until].into_iter().flatten().collect();
        self.api(Method::GET, &path).query(&query)
    }

    /// Follows until the connection breaks.
    async fn stream(
        &self,
        wish: &EventWish<'_>,
        after: &mut i64,
        is_told: &mut bool,
        on_event: &mut impl FnMut(&Event) -> Result<(), CommandError>,
    ) -> Over {
        let request = self
            .events_request(wish)
            .timeout(super::LONGEST_ANSWER)
            .header(ACCEPT, "text/event-stream")
            .header("last-event-id", *after);
        let mut response = match self.answer(request).await {
            Ok(response) => response,
            Err(error) => return Over::ForNow(error),
        };
        let status = response.status();
        if !status.is_success() {
            let error = self.refusal(response).await;
            return if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
                Over::ForNow(error)
            } else {
                Over::ForGood(error)
            };
        }
        if !streams(&response) {
            return Over::ForGood(
                CommandError::failed("what answers does not stream events")
                    .next("the versions of gateway and command line should be equal"),
            );
        }
        let mut records = Records::default();
        loop {
            let chunk = match timeout(SILENCE, response.chunk()).await {
                Ok(Ok(Some(chunk))) => chunk,
                Ok(Ok(None)) => return Over::ForNow(broke_off()),
                Ok(Err(error)) => return Over::ForNow(failure::no_answer(&self.url, error)),
                Err(_) => return Over::ForNow(CommandError::failed("the gateway is silent")),
            };
            *is_told = false;
            records.push(&chunk);
            while let Some(record) = records.next() {
                let event: Event = match record.map(|data| serde_json::from_str(&data)) {
                    Ok(Ok(event)) => event,
                    Ok(Err(error)) => return Over::ForGood(failure::not_ours(&self.url, &error)),
                    Err(error) => return Over::ForGood(error),
                };
                if event.id <= *after {
                    continue;
                }
                if let Err(error) = on_event(&event) {
                    return Over::ForGood(error);
                }
                *after = event.id;
            }
        }
    }
}

fn streams(response: &Response) -> bool {
    let content_type = response.headers().get(CONTENT_TYPE);
    content_type.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

fn broke_off() -> CommandError {
    CommandError::failed("the gateway broke off")
}
