//! Calls about what happened: pages of the event log, the log as it grows, and the history of labels.

use gateway::api::{Event, EventPage, LabelHistory, LabelInterval, Timestamp};
use reqwest::{Method, RequestBuilder};

use super::event_stream::{EventStream, Heard};
use super::{Client, failure};
use crate::error::CommandError;
use crate::output;

/// Events that are asked for at a time.
const EVENTS_A_PAGE: usize = 500;

/// More events at once are of no use to anybody; a gateway keeps 10,000 of each model.
const MOST_EVENTS: usize = 10 * EVENTS_A_PAGE;

/// The name of the records that are events.
const WANTED: &str = "event";

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
        let ask = || self.events_request(wish);
        let mut stream = EventStream::open(self, ask, Some(after.to_string())).await?;
        loop {
            let record = match stream.next().await? {
                Heard::Record(record) if record.kind == WANTED => record,
                Heard::Record(_) => continue,
                Heard::BrokeOff(note) => {
                    output::note(&note);
                    continue;
                }
            };
            let event: Event = serde_json::from_str(&record.data)
                .map_err(|error| failure::not_ours(&self.url, &error))?;
            if event.id > after {
                on_event(&event)?;
                after = event.id;
            }
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
}
