//! One client who follows the event log. It holds no more than a page of it: what comes is read from the store when the
//! client has taken what came before, and a watch of the newest id says when there is more.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;

use auth::Right;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use serving_core::ModelName;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, warn};

use super::super::access::Access;
use super::super::authentication::Credential;
use super::super::caller_watch::CallerWatch;
use super::super::event_stream::{self, Frames, HEARTBEAT};
use super::super::stream_places::StreamPlace;
use super::super::{Refused, event_words};
use super::query::EventsQuery;
use super::status::Statuses;
use crate::store::{EventFilter, LoggedEvent};

/// Entries that are read at a time.
const PAGE: u32 = 50;
/// The same while none of them is for the client.
const LONG_PAGE: u32 = 500;
/// How long a caller whose right was taken away may go on at most.
const CHECK: Duration = Duration::from_secs(5);
/// For clients whose connection broke.
const RETRY: Duration = Duration::from_secs(2);

/// Where a client is.
pub(super) struct Follower {
    caller: CallerWatch,
    filter: EventFilter,
    /// All entries up to the one of this id were told, or are none for it.
    position: i64,
    page: u32,
    newest: watch::Receiver<i64>,
    statuses: Option<Statuses>,
    greeted: bool,
    next_heartbeat: Instant,
    _place: StreamPlace,
}

/// What to do next.
enum Wake {
    Look,
    Status,
    Heartbeat,
    End,
}

impl Follower {
    /// A client that may see `model`.
    pub(super) fn new(
        access: Access,
        credential: Credential,
        model: Option<ModelName>,
        filter: EventFilter,
        query: &EventsQuery,
    ) -> Result<Self, Refused> {
        let newest = access.state.store.newest_event();
        let present = *newest.borrow();
        let position = match query.last_event(credential.header("last-event-id"))? {
            // From another log: all of this one is new to the client.
            Some(id) if id > present => 0,
            Some(id) => id,
            None if filter.since.is_some() => 0,
            None => present,
        };
        Ok(Self {
            statuses: query.wants_status()?.then(|| Statuses::new(&access)),
            _place: access.state.streams.of_events(&access.principal)?,
            caller: CallerWatch::new(access, credential, model, CHECK),
            filter,
            position,
            page: PAGE,
            newest,
            greeted: false,
            next_heartbeat: Instant::now() + HEARTBEAT,
        })
    }

    /// The stream, until the client leaves, loses its right, or the gateway stops.
    pub(super) fn answer(self) -> Response {
        let body = Body::from_stream(stream::unfold(self, async |mut follower| {
            let piece = follower.next().await?;
            Some((Ok::<_, Infallible>(piece), follower))
        }));
        event_stream::answer(body)
    }

    async fn next(&mut self) -> Option<Bytes> {
        let mut frames = Frames::default();
        if !self.greeted {
            self.greeted = true;
            frames.retry(RETRY);
            return Some(frames.into_bytes());
        }
        while !self.caller.is_stopping() {
            let right = match self.checked().await {
                Ok(right) => right,
                Err(reason) => {
                    debug!(reason = %reason.0, "a stream of events ends");
                    return None;
                }
            };
            if let Err(reason) = self.read(&mut frames).await {
                // The client connects again, and goes on where it was.
                warn!(reason = %reason.0, "a stream of events breaks off");
                return None;
            }
            if !frames.is_empty() {
                return Some(frames.into_bytes());
            }
            if self.is_behind() && Instant::now() < self.next_heartbeat {
                // Nothing of this page was for the client, but of the next one may be.
                continue;
            }
            match self.wait().await {
                Wake::End => return None,
                Wake::Look => {}
                Wake::Status => self.tell_status(right, &mut frames).await.ok()?,
                Wake::Heartbeat => {
                    self.next_heartbeat = Instant::now() + HEARTBEAT;
                    frames.heartbeat();
                }
            }
            if !frames.is_empty() {
                return Some(frames.into_bytes());
            }
        }
        None
    }

    /// The caller's right on the one model, asked anew when it is time to; refuses who has none any more.
    async fn checked(&mut self) -> Result<Right, Refused> {
        if self.caller.is_due()
            && let Some(statuses) = &mut self.statuses
        {
            statuses.look_again();
        }
        self.caller.checked().await
    }

    fn is_behind(&self) -> bool {
        self.position < *self.newest.borrow()
    }

    /// What has come to the log since the last call, one page of it.
    async fn read(&mut self, frames: &mut Frames) -> Result<(), Refused> {
        let newest = *self.newest.borrow_and_update();
        if self.position >= newest {
            return Ok(());
        }
        let store = &self.caller.access().state.store;
        let page = store
            .events_after(&self.filter, self.position, newest, self.page)
            .await?;
        let full = page.len() >= self.page as usize;
        let last = page.last().map(|event| event.id).filter(|_| full);
        for event in self.visible(page).await? {
            let event = event_words::shown(event);
            frames.record("event", Some(&event.id), &event);
        }
        self.position = last.unwrap_or(newest);
        self.page = if frames.is_empty() { LONG_PAGE } else { PAGE };
        Ok(())
    }

    async fn visible(&self, mut page: Vec<LoggedEvent>) -> Result<Vec<LoggedEvent>, Refused> {
        if self.caller.model().is_some() {
            return Ok(page);
        }
        let models: BTreeSet<_> = page.iter().map(|event| event.model.clone()).collect();
        let visible = self.caller.access().visible(models).await?;
        let visible: BTreeSet<_> = visible.into_iter().collect();
        page.retain(|event| visible.contains(&event.model));
        Ok(page)
    }

    async fn wait(&mut self) -> Wake {
        let statuses = async {
            match &mut self.statuses {
                Some(statuses) => statuses.due().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.caller.shutdown() => Wake::End,
            changed = self.newest.changed() => match changed {
                Ok(()) => Wake::Look,
                Err(_) => Wake::End,
            },
            () = statuses => Wake::Status,
            () = sleep_until(self.next_heartbeat) => Wake::Heartbeat,
            () = sleep_until(self.caller.next()) => Wake::Look,
        }
    }

    async fn tell_status(&mut self, right: Right, frames: &mut Frames) -> Result<(), Refused> {
        let Some(statuses) = &mut self.statuses else {
            return Ok(());
        };
        let access = self.caller.access();
        match self.caller.model() {
            Some(model) => {
                let headers = self.caller.credential().headers();
                statuses.of_model(access, model, right, headers, frames);
                Ok(())
            }
            None => statuses.of_all(access, frames).await,
        }
    }
}
