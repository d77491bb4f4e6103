//! A body that is sent to a worker while it arrives.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, Sleep, sleep_until};

use super::arrival::{Arrival, Given, Next};
use crate::data_plane::body::BodyError;

/// How long a worker waits for the next step.
const STRETCH: Duration = Duration::from_secs(2);
/// How long it waits for all of them together: otherwise a part now and then would hold its place until the deadline.
const IN_ALL: Duration = Duration::from_secs(5);

/// From its first byte to its last, first what has come and then what comes. It waits for its client, but not for long.
#[derive(Debug)]
pub(in crate::data_plane) struct Live {
    arrival: Arc<Arrival>,
    given: Given,
    patience: Patience,
}

/// What is left of the time for which a worker may wait for its client. How long the client waits for the worker does not count.
#[derive(Debug)]
struct Patience {
    left: Duration,
    waits_since: Option<Instant>,
    over: Option<Pin<Box<Sleep>>>,
}

/// The rest does not come, or not soon.
#[derive(Debug, thiserror::Error)]
#[error("the rest of the request's body does not come")]
struct Missing;

impl Live {
    pub(super) fn new(arrival: Arc<Arrival>) -> Self {
        Self {
            given: arrival.given_first(),
            arrival,
            patience: Patience {
                left: IN_ALL,
                waits_since: None,
                over: None,
            },
        }
    }

    /// What it is of.
    pub(in crate::data_plane) fn arrival(&self) -> &Arc<Arrival> {
        &self.arrival
    }

    /// The next part. An empty one says that those before are to be sent before the next is asked for: while a worker does
    /// not take what is there, nobody waits for the client.
    pub(in crate::data_plane) fn poll_part(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        let next = self.arrival.poll_part(&mut self.given, context);
        Poll::Ready(match next {
            Poll::Ready(Next::Part(part)) => {
                self.patience.rests();
                Some(Ok(part))
            }
            // No bytes.
            Poll::Ready(Next::Pause) => Some(Ok(Bytes::new())),
            Poll::Ready(Next::End) => None,
            Poll::Ready(Next::Missing) => Some(Err(Missing.into())),
            Poll::Pending => {
                ready!(self.patience.poll_over(context));
                self.arrival.is_too_slow();
                Some(Err(Missing.into()))
            }
        })
    }
}

impl Patience {
    /// Something has come.
    fn rests(&mut self) {
        if let Some(since) = self.waits_since.take() {
            self.left = self.left.saturating_sub(since.elapsed());
        }
    }

    /// Nothing has. Ready when that was so for too long.
    fn poll_over(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let is_new = self.waits_since.is_none();
        let since = *self.waits_since.get_or_insert_with(Instant::now);
        let until = since + self.left.min(STRETCH);
        let over = self
            .over
            .get_or_insert_with(|| Box::pin(sleep_until(until)));
        if is_new {
            over.as_mut().reset(until);
        }
        over.as_mut().poll(context)
    }
}
