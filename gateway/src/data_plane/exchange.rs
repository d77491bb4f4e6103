//! One request in a worker's hands, from its first byte to the answer's last.
//!
//! A worker cannot be told to stop: the thread that computes goes on when the client has gone or the deadline has
//! passed. So an exchange that is dropped unanswered is heard to its end by a task of its own. Until the deadline it
//! keeps its place at work, whether its client has left or not: otherwise clients with little patience could put any
//! number of threads to work. From the deadline on it counts as abandoned, until it is answered after all. A worker that
//! waits for the rest of the request has not begun to compute: the rest ends, and with it the connection.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::Response;
use http::response::Parts;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use serving_core::Entered;
use tokio::time::{Instant, timeout, timeout_at};

use super::admission::Place;
use super::arriving::Arrival;
use super::body::SegmentsBody;
use super::metrics::Counted;
use super::stack::{Chosen, VersionStack};
use super::upstream::{BrokenOff, Outgoing, SendError, WorkerBody};
use crate::telemetry::Leg;

/// How long an abandoned request is listened to. One that takes longer counts as stuck for good.
const LISTENED: Duration = Duration::from_secs(3600);

type Head = Pin<Box<dyn Future<Output = Result<Response<WorkerBody>, SendError>> + Send>>;

/// One request inside a version: from here on it counts.
#[derive(Debug)]
pub(super) struct Call {
    entered: Entered<Arc<VersionStack>>,
    arrival: Instant,
    pub(super) deadline: Instant,
    /// When it got a place at work.
    admitted: Option<Instant>,
    /// Bytes of the worker's answer, once that has begun.
    told: Option<u64>,
    _in_flight: Counted,
}

/// A request that has a place at work, with what a worker owes it.
pub(super) struct Exchange {
    /// `Some` while the worker has said nothing.
    head: Option<Head>,
    /// `Some` while the worker has not said everything.
    body: Option<WorkerBody>,
    /// The request's body, if it is sent while it arrives.
    arrival: Option<Arc<Arrival>>,
    /// Whether some of the body has come.
    is_begun: bool,
    /// What the worker does, for whoever wants to know.
    leg: Option<Leg>,
    // Freed in this order: the worker, the place, the version itself.
    by: Option<Chosen>,
    place: Option<Place>,
    owner: Option<Owner>,
    deadline: Instant,
}

/// For whom a worker works.
#[derive(Debug)]
enum Owner {
    /// One request.
    Call(Call),
    /// Several: so many, of this version. Each counts for itself.
    Batch(Arc<VersionStack>, u32),
}

/// What is left of an exchange that nobody waits for.
struct Remains {
    /// Ends with the worker's next sign of life.
    sign: Pin<Box<dyn Future<Output = ()> + Send>>,
    by: Chosen,
    /// How many requests it was to answer.
    requests: u32,
    max_concurrency: u32,
}

impl Call {
    pub(super) fn begin(entered: Entered<Arc<VersionStack>>, arrival: Instant) -> Self {
        let stack = &entered.target;
        Self {
            deadline: arrival + stack.timeout(),
            _in_flight: Counted::up(&stack.metrics().in_flight),
            admitted: None,
            told: None,
            arrival,
            entered,
        }
    }

    pub(super) fn stack(&self) -> &Arc<VersionStack> {
        &self.entered.target
    }

    /// It was answered together with others, in a call that began at `began`, with so many bytes.
    pub(super) fn was_shared(&mut self, began: Instant, bytes: usize) {
        self.admitted = Some(began);
        self.told = Some(bytes as u64);
    }
}

impl Owner {
    fn stack(&self) -> &Arc<VersionStack> {
        match self {
            Self::Call(call) => call.stack(),
            Self::Batch(stack, _) => stack,
        }
    }

    fn requests(&self) -> u32 {
        match self {
            Self::Call(_) => 1,
            Self::Batch(_, requests) => *requests,
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let (metrics, now) = (self.stack().metrics(), Instant::now());
        metrics.took(now - self.arrival);
        if let Some(admitted) = self.admitted {
            metrics.was_at_work(now - admitted);
        }
        if let Some(bytes) = self.told {
            metrics.was_told(bytes);
        }
    }
}

impl Exchange {
    pub(super) fn new(place: Place, mut call: Call) -> Self {
        call.admitted = Some(Instant::now());
        let deadline = call.deadline;
        Self::owned(place, Owner::Call(call), deadline)
    }

    /// One that answers so many `requests` to `stack`, the last of which waits until `deadline`.
    pub(super) fn of_batch(
        place: Place,
        stack: Arc<VersionStack>,
        requests: u32,
        deadline: Instant,
    ) -> Self {
        Self::owned(place, Owner::Batch(stack, requests), deadline)
    }

    fn owned(place: Place, owner: Owner, deadline: Instant) -> Self {
        Self {
            head: None,
            body: None,
            arrival: None,
            is_begun: false,
            leg: None,
            by: None,
            place: Some(place),
            owner: Some(owner),
            deadline,
        }
    }

    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Sends the request and waits for the head of the answer. After a failure it can be sent again.
    pub(super) async fn send(
        &mut self,
        request: Outgoing,
        body: SegmentsBody,
        by: Chosen,
        leg: Leg,
    ) -> Result<Parts, SendError> {
        self.arrival = body.arrival().cloned();
        let head = Box::pin(by.servable.send(request, body));
        self.by = Some(by);
        let leg = self.leg.insert(leg);
        let answered = self.head.insert(head).await;
        self.head = None;
        match &answered {
            Ok(response) => leg.answered(response.status()),
            Err(_) if is_interrupted(self.arrival.as_deref()) => leg.failed("request_body"),
            Err(SendError::Unanswered(_)) => leg.failed("unanswered"),
            Err(SendError::Garbled(_)) => leg.failed("garbled"),
            Err(SendError::Body(_)) => leg.failed("request_body"),
        }
        match answered {
            Ok(response) => {
                let (parts, body) = response.into_parts();
                self.body = Some(body);
                // Nobody sends the rest, if there is any.
                self.arrival = None;
                if let Some(place) = &mut self.place {
                    place.leave_slot();
                }
                if let Some(Owner::Call(call)) = &mut self.owner {
                    call.told = Some(0);
                }
                Ok(parts)
            }
            Err(reason) => {
                self.leg = None;
                self.by = None;
                self.arrival = None;
                Err(reason)
            }
        }
    }

    /// The next frame of the answer's body. With the last one, all places are free.
    pub(super) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(&mut *body).poll_frame(context));
        self.is_begun = true;
        if let (Some(Ok(frame)), Some(Owner::Call(call))) = (&frame, &mut self.owner) {
            let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
            call.told = call.told.map(|told| told + bytes);
        }
        if !matches!(frame, Some(Ok(_))) || body.is_end_stream() {
            self.end();
        }
        Poll::Ready(frame)
    }

    pub(super) async fn frame(&mut self) -> Option<Result<Frame<Bytes>, BrokenOff>> {
        poll_fn(|context| self.poll_frame(context)).await
    }

    /// Whether the worker owes nothing any more.
    pub(super) fn has_ended(&self) -> bool {
        self.body.is_none()
    }

    /// What is known of the length of the rest of the body.
    pub(super) fn size_hint(&self) -> SizeHint {
        let rest = self.body.as_ref().map(Body::size_hint);
        rest.unwrap_or_else(|| SizeHint::with_exact(0))
    }

    /// The worker has answered that it gives up waiting for its own thread: that one computes on, and nobody will hear
    /// when it ends.
    pub(super) fn leaves_a_thread(&self) {
        if let (Some(by), Some(owner)) = (&self.by, &self.owner) {
            let settings = owner.stack().settings();
            by.abandon(owner.requests(), settings.max_concurrency.get());
        }
    }

    /// The same at a place of its own anew.
    pub(super) fn again(mut self, place: Place) -> Self {
        self.place = Some(place);
        if let Some(Owner::Call(call)) = &mut self.owner {
            call.admitted = Some(Instant::now());
        }
        self
    }

    /// The same, as long as it has to wait for its next place.
    pub(super) fn without_place(mut self) -> Self {
        self.place = None;
        self
    }

    /// All that is left of it, for somebody else to go on with.
    pub(super) fn take(&mut self) -> Self {
        let nothing = Self {
            head: None,
            body: None,
            arrival: None,
            is_begun: false,
            leg: None,
            by: None,
            place: None,
            owner: None,
            deadline: self.deadline,
        };
        std::mem::replace(self, nothing)
    }

    fn end(&mut self) {
        self.body = None;
        self.arrival = None;
        self.leg = None;
        self.by = None;
        self.place = None;
        self.owner = None;
    }
}

/// Waits for the worker's next sign of life: the end of a whole answer, or one more piece of a long one. It is not
/// asked for the rest: the connection is closed, as the worker will notice between two pieces.
async fn sign_of_life(head: Option<Head>, mut body: Option<WorkerBody>) {
    if let Some(head) = head {
        // A connection that has ended is a sign, too: perhaps of death.
        body = head.await.ok().map(Response::into_body);
    }
    if let Some(mut body) = body {
        let _ = body.frame().await;
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if self.head.is_none() && self.body.is_none() {
            return;
        }
        let is_late = Instant::now() >= self.deadline;
        if let Some(leg) = &self.leg {
            leg.failed(if is_late { "timeout" } else { "cancelled" });
        }
        if let Some(arrival) = self.arrival.take() {
            arrival.leave();
        }
        if self.is_begun && !is_late {
            return;
        }
        let (Some(by), Some(owner)) = (self.by.take(), self.owner.take()) else {
            return;
        };
        let stack = Arc::clone(owner.stack());
        let mut remains = Remains {
            sign: Box::pin(sign_of_life(self.head.take(), self.body.take())),
            by: by.unguarded(),
            requests: owner.requests(),
            max_concurrency: stack.settings().max_concurrency.get(),
        };
        let place = self.place.take();
        if is_late {
            drop(place);
            // What is there already is late only because the client did not read.
            if remains.sign.as_mut().now_or_never().is_none() && remains.abandon() {
                stack.run(remains.listen());
            }
            return;
        }
        let deadline = self.deadline;
        stack.run(async move {
            if timeout_at(deadline, remains.sign.as_mut()).await.is_err() {
                drop(place);
                if remains.abandon() {
                    remains.listen().await;
                }
            }
        });
    }
}

/// Whether the request's body ended its sending, and not the worker.
fn is_interrupted(arrival: Option<&Arrival>) -> bool {
    arrival.is_some_and(Arrival::is_interrupted)
}

impl Remains {
    /// Counts it. Whether it is worth listening on: not to more than the worker could work on at a time.
    fn abandon(&self) -> bool {
        let abandoned = self.by.abandon(self.requests, self.max_concurrency);
        abandoned - self.requests < self.max_concurrency
    }

    /// Takes it back if the worker gives a sign after all.
    async fn listen(self) {
        if timeout(LISTENED, self.sign).await.is_ok() {
            self.by.came_back(self.requests);
        }
    }
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Exchange")
            .field("by", &self.by)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
