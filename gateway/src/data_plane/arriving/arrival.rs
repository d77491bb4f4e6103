//! A body on its way in, which may be sent on while it comes: what came is kept, so that it can be sent again.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use http_body::Body as _;

use super::super::body::Body;
use super::super::body_memory::{BodyMemory, Reserved};
use super::super::decode::Sink;
use super::super::intake::{self, Read};
use super::super::stack::VersionStack;
use crate::error::{ApiError, ErrorCode};
use crate::protocol::Segments;

/// Bytes that have come before a worker gets any.
const LEAST: usize = 128 << 10;
/// Bytes that are sent on in one step, but for the last: each step may have to wake the worker, which costs more than a copy of
/// some 10 KiB.
const STEP: usize = 256 << 10;

/// A body of a known length, asked for by one at a time: who reads it whole, or the connection that sends it on.
#[derive(Debug)]
pub(in crate::data_plane) struct Arrival {
    /// Bytes of the whole body, as its head says.
    length: usize,
    /// Bytes that any body may have.
    limit: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// `None` once it is whole, or no more of it is wanted.
    body: Option<Body>,
    sink: Sink,
    /// Bytes that have come.
    came: usize,
    /// Where its size is counted when it is whole.
    counted_by: Option<Arc<VersionStack>>,
    /// Whether who asked last has to wait for the client.
    waits: bool,
    interrupted: Option<Interruption>,
}

/// Why its sending ended before it did.
#[derive(Debug)]
enum Interruption {
    /// The client is told this.
    Refused(ApiError),
    /// It may come yet, but no worker waits for it.
    Slow,
}

/// What a worker was given of a body.
#[derive(Debug, Default)]
pub(super) struct Given {
    parts: usize,
    bytes: usize,
    /// Bytes that may be given now.
    until: usize,
    /// Whether those have been given, and nobody was told yet.
    pauses: bool,
}

/// The next of a body that is sent on.
#[derive(Debug)]
pub(super) enum Next {
    Part(bytes::Bytes),
    /// What was given is to be sent before more is asked for.
    Pause,
    End,
    /// There will be none.
    Missing,
}

impl Arrival {
    /// Of `body`, nothing of which has been read. When it is whole, its size is counted by `counted_by`.
    pub(in crate::data_plane) fn new(
        body: Body,
        length: usize,
        limit: usize,
        memory: &Arc<BodyMemory>,
        counted_by: Option<Arc<VersionStack>>,
    ) -> Self {
        Self {
            length,
            limit,
            state: Mutex::new(State {
                body: Some(body),
                sink: Sink::new(limit, memory.reserve()),
                came: 0,
                counted_by,
                waits: false,
                interrupted: None,
            }),
        }
    }

    /// Bytes of the whole body, as its head says.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// What is given first: all that has come so far.
    pub(super) fn given_first(&self) -> Given {
        let mut state = self.state();
        state.sink.close_chunk();
        Given {
            until: state.came,
            ..Given::default()
        }
    }

    /// What has come so far.
    pub(super) fn beginning(&self) -> Segments {
        let mut state = self.state();
        state.sink.close_chunk();
        state.sink.segments().clone()
    }

    /// Waits until so much of it is there that a worker may have it. An error is for the client.
    pub(super) async fn enough_to_begin(&self) -> Result<(), ApiError> {
        self.at_least((self.length / 8).max(LEAST)).await
    }

    /// Waits until all of it is there, and takes it. An error is for the client.
    pub(super) async fn whole(&self) -> Result<Read, ApiError> {
        self.at_least(usize::MAX).await?;
        let (segments, reserved): (Segments, Reserved) = self.state().sink.take();
        Ok(Read { segments, reserved })
    }

    async fn at_least(&self, bytes: usize) -> Result<(), ApiError> {
        poll_fn(|context| {
            let mut state = self.state();
            while state.body.is_some() && state.came < bytes {
                ready!(self.poll_more(&mut state, context));
            }
            Poll::Ready(())
        })
        .await;
        self.refusal().map_or(Ok(()), Err)
    }

    /// Whether nothing more is to come.
    pub(in crate::data_plane) fn is_whole(&self) -> bool {
        self.state().came == self.length
    }

    /// Whether a worker that was sent it waits for its client now.
    pub(super) fn is_awaited(&self) -> bool {
        self.state().waits
    }

    /// What the client is told whose body failed.
    pub(super) fn refusal(&self) -> Option<ApiError> {
        match &self.state().interrupted {
            Some(Interruption::Refused(error)) => Some(error.clone()),
            Some(Interruption::Slow) | None => None,
        }
    }

    /// Whether it ended the sending of it: nothing about that says anything of the worker.
    pub(in crate::data_plane) fn is_interrupted(&self) -> bool {
        self.state().interrupted.is_some()
    }

    /// Whether no worker waits for it any longer.
    pub(super) fn is_slow(&self) -> bool {
        matches!(self.state().interrupted, Some(Interruption::Slow))
    }

    /// Nobody wants its rest. A worker that reads on finds that it is missing.
    pub(in crate::data_plane) fn leave(&self) {
        let mut state = self.state();
        state.body = None;
        state.counted_by = None;
    }

    /// The part that follows those that were `given`. What comes is gathered until it is worth a step.
    pub(super) fn poll_part(&self, given: &mut Given, context: &mut Context<'_>) -> Poll<Next> {
        let mut state = self.state();
        if std::mem::take(&mut given.pauses) && state.body.is_some() {
            return Poll::Ready(Next::Pause);
        }
        loop {
            if state.body.is_none() || state.came >= given.bytes + STEP {
                state.sink.close_chunk();
                given.until = state.came;
            }
            if given.bytes < given.until
                && let Some(part) = state.sink.segments().parts().get(given.parts)
            {
                given.parts += 1;
                given.bytes += part.len();
                given.pauses = given.bytes == given.until;
                return Poll::Ready(Next::Part(part.clone()));
            }
            if state.body.is_none() {
                let is_whole = state.came == self.length;
                return Poll::Ready(if is_whole { Next::End } else { Next::Missing });
            }
            ready!(self.poll_more(&mut state, context));
        }
    }

    /// A worker has waited long enough for the client.
    pub(super) fn is_too_slow(&self) {
        self.state().interrupted = Some(Interruption::Slow);
    }

    /// Takes what comes next, or learns that it is the end or the client's failure.
    fn poll_more(&self, state: &mut State, context: &mut Context<'_>) -> Poll<()> {
        let Some(body) = &mut state.body else {
            return Poll::Ready(());
        };
        let polled = std::pin::Pin::new(body).poll_frame(context);
        state.waits = polled.is_pending();
        let taken = match ready!(polled) {
            None => Err(self.unlike(state.came)),
            Some(Err(reason)) => Err(intake::broken_off(&reason)),
            Some(Ok(frame)) => self.take(state, frame.into_data().unwrap_or_default()),
        };
        if let Err(refusal) = taken {
            state.interrupted = Some(Interruption::Refused(refusal));
            state.body = None;
        } else if state.came == self.length {
            state.body = None;
            if let Some(stack) = state.counted_by.take() {
                stack.metrics().was_asked(state.came);
            }
        }
        Poll::Ready(())
    }

    fn take(&self, state: &mut State, piece: bytes::Bytes) -> Result<(), ApiError> {
        let came = state.came + piece.len();
        if came > self.length {
            return Err(self.unlike(came));
        }
        let pushed = state.sink.push(piece);
        pushed.map_err(|reason| intake::refused(reason, self.limit))?;
        state.came = came;
        Ok(())
    }

    /// No HTTP/1.1 server gives a body of another length than its head says; others that call the data plane may.
    fn unlike(&self, came: usize) -> ApiError {
        let message = format!(
            "the request's body should have {} bytes and has {came}",
            self.length
        );
        ApiError::new(ErrorCode::BadRequest, message)
    }

    /// Held while it is polled, never across a wait.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
