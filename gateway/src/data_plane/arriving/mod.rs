//! Large bodies go to a worker while they arrive: reading from the client and sending to the worker overlap.
//!
//! The law: a body says that it is large, is not encoded, and goes to the worker as it is ([`passes_as_it_is`]). It is read
//! until an eighth of it is there, so that nobody gets a worker for one byte, and within [`QUICK`], so that nobody slow gets one. If a
//! place at work is free then, which it is only when nobody waits, it takes that place and goes to the worker: first what is
//! there, then what comes. In every other case it is read whole before it asks for a place, as all other bodies are.
//!
//! - Everything that comes is kept and paid for ([`BodyMemory`]) as if it was read whole: no byte is copied, and all can be sent again.
//! - It is tried once. If the worker dies or cannot be reached, the rest is read whole and the request goes on as any that lost a
//!   worker: to the end of the queue, however full that is, since it was let in before.
//! - A client that lets the worker wait ([`live`] says how long it may) loses the worker and its place: the rest is read whole
//!   and queues as if it had only come now. So a slow client costs a worker some seconds of waiting for a socket, once.
//! - A body that breaks off, or finds no memory, ends the worker's connection. The client hears what it would have heard otherwise,
//!   and nothing of it counts against the worker. The same when the client leaves, unless it is the worker that does not read: one
//!   that waits for the rest has not begun to compute.
//! - A worker whose server would compute on half a body gets none before it is whole.
//! - Such bodies are over what is looked into for rows by far: they never share a call, and need no slot.

mod arrival;
mod live;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use serving_core::ReplicaId;
use tokio::time::{Instant, timeout_at};
use tracing::debug;

use super::admission::Place;
use super::attempt::{Answered, Question, no_answer_in_time};
use super::batching;
use super::body::SegmentsBody;
use super::body_memory::BodyMemory;
use super::decode::Encoding;
use super::exchange::{Call, Exchange};
use super::intake;
use super::metrics::Sharing;
use super::stack::{Chosen, VersionStack};
use super::upstream::{Reuse, SendError};
use crate::error::{ApiError, ErrorCode};
use crate::protocol::{AnswerShape, MediaType, passes_as_it_is};
use crate::request_id::RequestId;
use crate::telemetry::Trail;

pub(super) use arrival::Arrival;
pub(super) use live::Live;

/// Bytes from which on a body is worth it. A shorter one is in the buffers of the sockets nearly as a whole.
const LARGE: usize = 256 << 10;
// Otherwise one could share a call, and would need a slot.
const _: () = assert!(LARGE > batching::LARGEST);
/// How long that beginning may take.
const QUICK: Duration = Duration::from_secs(2);

/// A request whose body is large, and has yet to be read.
#[derive(Debug)]
pub(super) struct Arriving {
    media_type: MediaType,
    /// Without its body so far.
    question: Question,
    arrival: Arc<Arrival>,
}

/// What it takes to begin before all is there.
#[derive(Debug)]
struct Start {
    place: Place,
    chosen: Chosen,
    content_type: &'static str,
}

/// How the one try before all was there ended.
enum Tried {
    Answered(Answered, Exchange),
    Refused(ApiError),
    /// Everything has to be sent again.
    InVain(Exchange, Lost),
}

/// Why a request has to go to a worker again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    /// The client was too slow.
    Slow,
    /// The worker could not be reached.
    Unreached,
    /// It died.
    Died(ReplicaId),
}

/// The length of a body that is worth it, of those that may have `limit` bytes.
pub(super) fn large(headers: &HeaderMap, encoding: Encoding, limit: usize) -> Option<usize> {
    let length = usize::try_from(intake::announced(headers)?).ok()?;
    (encoding == Encoding::Identity && (LARGE..=limit).contains(&length)).then_some(length)
}

impl Arriving {
    /// The request with `headers` and `id`, whose body is on its way in.
    pub(super) fn new(
        media_type: MediaType,
        headers: &HeaderMap,
        id: &RequestId,
        arrival: Arrival,
        memory: &Arc<BodyMemory>,
    ) -> Self {
        let nothing = intake::Read::nothing(memory);
        Self {
            media_type,
            question: Question::new(media_type, headers, nothing, id),
            arrival: Arc::new(arrival),
        }
    }

    /// Reads it and puts it to a worker, at the same time where that can be.
    pub(super) async fn ask(
        self,
        stack: &Arc<VersionStack>,
        call: Call,
        trail: &Trail,
    ) -> Result<(Answered, Exchange), ApiError> {
        let (deadline, begun) = (call.deadline, Instant::now());
        let begun_in_time = timeout_at(deadline, self.arrival.enough_to_begin()).await;
        begun_in_time.map_err(|_| intake::late())??;
        let trails = std::slice::from_ref(trail);
        if begun.elapsed() > QUICK {
            return self.ask_when_whole(stack, call, trail).await;
        }
        let Some(start) = self.start(stack) else {
            return self.ask_when_whole(stack, call, trail).await;
        };
        stack.metrics().went(Sharing::Alone);
        drop(trail.queues());
        let tried = self.try_now(stack, start, call, trails).await;
        if !matches!(tried, Tried::InVain(..)) {
            stack.metrics().waited(Duration::ZERO);
        }
        let (exchange, lost) = match tried {
            Tried::InVain(exchange, lost) => (exchange, lost),
            Tried::Answered(answered, exchange) => return Ok((answered, exchange)),
            Tried::Refused(error) => return Err(error),
        };
        debug!(
            ?lost,
            "a body that was sent while it came has to be sent again"
        );
        let question = self.whole(deadline).await?;
        let since = Instant::now();
        let queued = trail.queues();
        let permit = match lost {
            Lost::Slow => stack.admit(deadline).await,
            Lost::Unreached | Lost::Died(_) => stack.admit_again(deadline).await,
        };
        drop(queued);
        stack.metrics().waited(since.elapsed());
        let mut exchange = exchange.again(Place::new(permit?, None));
        let question = match lost {
            Lost::Died(replica) => question.left_by(replica),
            Lost::Slow | Lost::Unreached => question,
        };
        let answered = question.ask(stack, &mut exchange, trails).await?;
        Ok((answered, exchange))
    }

    /// As any other body: it is read whole, and then waits for a place.
    async fn ask_when_whole(
        self,
        stack: &Arc<VersionStack>,
        call: Call,
        trail: &Trail,
    ) -> Result<(Answered, Exchange), ApiError> {
        let deadline = call.deadline;
        let question = self.whole(deadline).await?;
        let since = Instant::now();
        let place = stack.place(trail, deadline).await;
        stack.metrics().waited(since.elapsed());
        let mut exchange = Exchange::new(place?, call);
        let trails = std::slice::from_ref(trail);
        let answered = question.ask(stack, &mut exchange, trails).await?;
        Ok((answered, exchange))
    }

    async fn whole(self, deadline: Instant) -> Result<Question, ApiError> {
        let read = timeout_at(deadline, self.arrival.whole()).await;
        Ok(self.question.with(read.map_err(|_| intake::late())??))
    }

    /// Takes a place and a worker, if that can be now and is of use.
    fn start(&self, stack: &VersionStack) -> Option<Start> {
        if self.arrival.is_whole() {
            return None;
        }
        // What keeps a request from having a place is said where it waits for one.
        stack.resize().ok()?;
        let place = Place::new(stack.admission().enter_now()?, None);
        let chosen = stack.choose_now(None).ok()??;
        if !chosen.servable.wants_whole_bodies() {
            return None;
        }
        let dialect = chosen.servable.dialect();
        let content_type = passes_as_it_is(self.media_type, dialect, &self.arrival.beginning())?;
        Some(Start {
            place,
            chosen,
            content_type,
        })
    }

    /// Puts it to one worker while it comes.
    async fn try_now(
        &self,
        stack: &VersionStack,
        start: Start,
        call: Call,
        trails: &[Trail],
    ) -> Tried {
        let Start {
            place,
            chosen,
            content_type,
        } = start;
        let deadline = call.deadline;
        let mut exchange = Exchange::new(place, call);
        let replica = chosen.id;
        let leg = Trail::go_to(trails, replica);
        let connecting = chosen.servable.connect(Reuse::Allowed);
        let connection = match timeout_at(deadline, connecting).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(reason)) => {
                debug!(%replica, %reason, "cannot connect");
                leg.failed("connect");
                return Tried::InVain(exchange.without_place(), Lost::Unreached);
            }
            Err(_) => {
                leg.failed("timeout");
                return Tried::Refused(no_answer_in_time(stack));
            }
        };
        let body =
            SegmentsBody::arriving(Live::new(Arc::clone(&self.arrival)), self.arrival.length());
        let request = self.question.request(connection, content_type, &body, &leg);
        let sending = exchange.send(request, body, chosen, leg);
        let Ok(sent) = timeout_at(deadline, sending).await else {
            return Tried::Refused(if self.arrival.is_awaited() {
                intake::late()
            } else {
                no_answer_in_time(stack)
            });
        };
        let reason = match sent {
            Ok(head) => {
                let shape = AnswerShape::AsItIs;
                return Tried::Answered(Answered { head, shape }, exchange);
            }
            Err(reason) => reason,
        };
        if let Some(refusal) = self.arrival.refusal() {
            return Tried::Refused(refusal);
        }
        let lost = match reason {
            _ if self.arrival.is_slow() => Lost::Slow,
            SendError::Unanswered(_) => Lost::Died(replica),
            SendError::Garbled(_) => {
                let error = ApiError::new(ErrorCode::BadGateway, reason.to_string());
                return Tried::Refused(error);
            }
            // Without a refusal of its own, it is of another length than it says.
            SendError::Body(_) => {
                let error = ApiError::new(ErrorCode::BadRequest, reason.to_string());
                return Tried::Refused(error);
            }
        };
        debug!(%replica, %reason, "a worker left a request unanswered");
        Tried::InVain(exchange.without_place(), lost)
    }
}
