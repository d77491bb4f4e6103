//! One score, from a request that may be made to an answer that has begun.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderMap, Response, StatusCode, header};
use http_body_util::BodyExt;
use serving_core::{Entered, Phase, Reference, Unrouted, Version};
use tokio::time::{Instant, timeout_at};

use super::DataPlane;
use super::answer::{self, CutShort};
use super::arriving::{self, Arrival, Arriving};
use super::attempt::{Answered, Question, no_answer_in_time};
use super::batching::Turn;
use super::body::{Body, BodyError};
use super::caller::Caller;
use super::decode::Encoding;
use super::exchange::{Call, Exchange};
use super::intake;
use super::reply::Refusal;
use super::stack::VersionStack;
use super::target::Target;
use super::worker_error;
use crate::error::{ApiError, ErrorCode};
use crate::protocol::MediaType;
use crate::request_id::RequestId;

/// Longer error messages of a worker are not repeated. They may echo the request.
const LONGEST_ERROR: usize = 4 << 20;
/// When to ask again for a version that is being built. Nobody knows how long that takes.
pub(super) const BUILD_PAUSE: Duration = Duration::from_secs(5);

impl DataPlane {
    /// Scores. An error means that the request reached no version.
    pub(super) async fn score<B>(
        &self,
        head: &Parts,
        body: B,
        target: &Target,
        references: &[Reference],
        caller: &Caller<'_>,
    ) -> Result<Response<Body>, Refusal>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BodyError>,
    {
        let entered = self.enter(target, references)?;
        caller.trail.reached(&entered.id);
        let stack = Arc::clone(&entered.target);
        let scored = self.scored(head, body, entered, caller).await;
        let mut response = scored.unwrap_or_else(|refusal| refusal.into_response(&caller.id));
        stack.signed().put(response.headers_mut());
        stack.metrics().answered(response.status());
        Ok(response)
    }

    fn enter(
        &self,
        target: &Target,
        references: &[Reference],
    ) -> Result<Entered<Arc<VersionStack>>, Refusal> {
        let entered = self.router.enter(&target.model, references);
        entered.map_err(|unrouted| match unrouted {
            Unrouted::UnknownModel => unknown_model(target),
            Unrouted::UnknownReference => unknown_reference(target),
            // Outside callers poll this URL for a new version and expect 200 or 404.
            Unrouted::NotReady { version, phase } => {
                not_ready(ErrorCode::ResourceDoesNotExist, target, version, &phase)
            }
        })
    }

    async fn scored<B>(
        &self,
        head: &Parts,
        body: B,
        entered: Entered<Arc<VersionStack>>,
        caller: &Caller<'_>,
    ) -> Result<Response<Body>, Refusal>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BodyError>,
    {
        let Caller {
            id, trail, cutoff, ..
        } = caller;
        let mut call = Call::begin(entered, caller.arrival);
        let stack = Arc::clone(call.stack());
        // A body that will be refused anyway is not worth its memory.
        stack.refuses_now()?;
        let (media_type, encoding) = spoken(&head.headers)?;
        let limit = self.config.max_body;
        if let Some(length) = arriving::large(&head.headers, encoding, limit) {
            let body = body.map_err(Into::into).boxed_unsync();
            let counted_by = Some(Arc::clone(&stack));
            let arrival = Arrival::new(body, length, limit, &self.memory, counted_by);
            let arriving = Arriving::new(media_type, &head.headers, id, arrival, &self.memory);
            // Boxed: other requests are not to make room for it.
            let (answered, mut exchange) = Box::pin(arriving.ask(&stack, call, trail)).await?;
            return self.respond(answered, &mut exchange, &stack, caller).await;
        }
        let read = intake::read(&head.headers, body, encoding, limit, &self.memory);
        let read = timeout_at(call.deadline, read).await;
        let read = read.map_err(|_| intake::late())??;
        let question = Question::new(media_type, &head.headers, read, id);
        stack.metrics().was_asked(question.size());
        let since = Instant::now();
        let turn = stack.turn(&question, trail, call.deadline).await;
        let began = match &turn {
            Ok(Turn::Shared(answer)) => answer.began(),
            _ => Instant::now(),
        };
        stack
            .metrics()
            .waited(began.saturating_duration_since(since));
        let place = match turn? {
            Turn::Alone(place) => place,
            Turn::Shared(answer) => {
                call.was_shared(answer.began(), answer.size());
                return Ok(answer.into_response(call.deadline, *cutoff));
            }
        };
        let mut exchange = Exchange::new(place, call);
        let trails = std::slice::from_ref(trail);
        let answered = question.ask(&stack, &mut exchange, trails).await?;
        // What it holds of the memory is free from here on.
        drop(question);
        self.respond(answered, &mut exchange, &stack, caller).await
    }

    /// The answer as its client gets it.
    async fn respond(
        &self,
        answered: Answered,
        exchange: &mut Exchange,
        stack: &VersionStack,
        caller: &Caller<'_>,
    ) -> Result<Response<Body>, Refusal> {
        let Answered { head, shape } = answered;
        if !head.status.is_success() {
            if head.status == StatusCode::GATEWAY_TIMEOUT {
                // The worker's own deadline: its thread computes on (MLflow 3.17).
                exchange.leaves_a_thread();
            }
            let body = read_error(stack, exchange).await?;
            let refusal = worker_error::translate(head.status, body.as_deref());
            return Err(self.without_traces(refusal, stack, &caller.id));
        }
        let body = answer::open(exchange, shape, caller.cutoff).await;
        let mut response = Response::new(body.map_err(|reason| lost(stack, &reason))?);
        *response.status_mut() = head.status;
        *response.headers_mut() = answer::headers(head.headers, shape);
        Ok(response)
    }

    /// Puts a stack trace into the version's log instead of the answer, unless it is wanted there too.
    fn without_traces(
        &self,
        mut refusal: Refusal,
        stack: &VersionStack,
        id: &RequestId,
    ) -> Refusal {
        if let Some(trace) = &refusal.stack_trace {
            let text = format!("request {}: {}\n", id.as_str(), trace.trim_end());
            self.files.note(stack.id(), &text);
        }
        if !self.config.show_stack_traces {
            refusal.stack_trace = None;
        }
        refusal
    }
}

/// What the head says of the body.
fn spoken(headers: &HeaderMap) -> Result<(MediaType, Encoding), Refusal> {
    let unsupported = |message| Refusal::new(ErrorCode::UnsupportedMediaType, message);
    let content_type = headers.get(header::CONTENT_TYPE);
    let media_type = MediaType::parse(content_type.map(http::HeaderValue::as_bytes))
        .map_err(|reason| unsupported(reason.to_string()))?;
    let encoding = Encoding::of(headers).map_err(|reason| unsupported(reason.to_string()))?;
    Ok((media_type, encoding))
}

/// Nothing of that name, or nothing that the caller may see: the two must not differ.
pub(super) fn unknown_model(target: &Target) -> Refusal {
    let message = format!("no model {:?} is served here", target.model);
    Refusal::new(ErrorCode::ResourceDoesNotExist, message)
}

pub(super) fn unknown_reference(target: &Target) -> Refusal {
    let Target {
        model, reference, ..
    } = target;
    let message =
        format!("model {model:?} has no version, stage or alias {reference:?} that is served");
    Refusal::new(ErrorCode::ResourceDoesNotExist, message)
}

/// What a version that was never ready waits for, or why it failed.
pub(super) fn not_ready(
    code: ErrorCode,
    target: &Target,
    version: Version,
    phase: &Phase,
) -> Refusal {
    let name = format!("version {version} of model {:?}", target.model);
    let (message, pause) = match phase {
        Phase::Failed(failure) => (
            format!("{name} failed: {}", failure.message),
            failure.retry_after(SystemTime::now()),
        ),
        Phase::Pending => (format!("{name} waits to be built"), Some(BUILD_PAUSE)),
        Phase::Building => (format!("{name} is being built"), Some(BUILD_PAUSE)),
        Phase::Starting => (format!("{name} is starting"), Some(BUILD_PAUSE)),
        Phase::Ready | Phase::Draining | Phase::Retired => {
            (format!("{name} is {}", phase.name()), Some(BUILD_PAUSE))
        }
    };
    let mut refusal = Refusal::new(code, message);
    refusal.retry_after = pause;
    refusal
}

/// The body of a worker's error; `None` if it is too long.
async fn read_error(
    stack: &VersionStack,
    exchange: &mut Exchange,
) -> Result<Option<BytesMut>, Refusal> {
    let mut body = BytesMut::new();
    loop {
        let Ok(frame) = timeout_at(exchange.deadline(), exchange.frame()).await else {
            return Err(no_answer_in_time(stack).into());
        };
        let Some(frame) = frame
            .transpose()
            .map_err(|reason| lost(stack, &reason.into()))?
        else {
            return Ok(Some(body));
        };
        body.extend_from_slice(&frame.into_data().unwrap_or_default());
        if body.len() > LONGEST_ERROR {
            return Ok(None);
        }
    }
}

/// The answer began and broke off before the client had any of it.
fn lost(stack: &VersionStack, reason: &BodyError) -> Refusal {
    if reason.is::<CutShort>() {
        return no_answer_in_time(stack).into();
    }
    let message = format!("the worker of {} broke off its answer", stack.name());
    ApiError::new(ErrorCode::WorkerDied, message).into()
}
