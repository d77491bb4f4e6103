//! Puts one request to a worker, and to the next one if the first died with it in hand.

use std::sync::Arc;
use std::time::Duration;

use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use tokio::time::{Instant, timeout_at};
use tracing::debug;

use super::body::SegmentsBody;
use super::body_memory::Reserved;
use super::exchange::Exchange;
use super::intake::Read;
use super::stack::VersionStack;
use super::upstream::{Reuse, SendError};
use crate::error::{ApiError, ErrorCode};
use crate::protocol::{AnswerShape, MediaType, Rejection, Segments, Translation, translate};
use crate::request_id::{RequestId, X_REQUEST_ID};
use crate::telemetry::Trail;

/// A request is put to this many more workers after the first died with it. A request that kills workers must not
/// go through all of them.
const RETRIES: usize = 2;
/// Between two tries to connect to a worker that still counts as live.
const CONNECT_PAUSE: Duration = Duration::from_millis(50);

/// Of the client's headers, what a worker is told besides the type and length of the body.
const PASSED_ON: [HeaderName; 3] = [
    header::ACCEPT,
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
];

/// One request, read and ready to be put to any worker.
#[derive(Debug)]
pub(super) struct Question {
    media_type: MediaType,
    uri: Uri,
    headers: HeaderMap,
    body: Segments,
    memory: Arc<Reserved>,
}

/// The head of a worker's answer, and the rest to come.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) head: Parts,
    pub(super) shape: AnswerShape,
    pub(super) exchange: Exchange,
}

impl Question {
    pub(super) fn new(media_type: MediaType, from: &HeaderMap, body: Read, id: &RequestId) -> Self {
        let mut headers = HeaderMap::new();
        for name in PASSED_ON {
            for value in from.get_all(&name) {
                headers.append(&name, value.clone());
            }
        }
        headers.insert(header::HOST, HeaderValue::from_static("localhost"));
        headers.insert(X_REQUEST_ID, id.header());
        Self {
            media_type,
            uri: invocations(id),
            headers,
            body: body.segments,
            memory: Arc::new(body.reserved),
        }
    }

    /// Bytes of its body, decoded.
    pub(super) fn size(&self) -> usize {
        self.body.len()
    }

    /// Asks until there is an answer, the deadline has passed, or too many workers died. A worker that cannot be reached
    /// does not count: it has not seen the request.
    pub(super) async fn ask(
        self,
        stack: &VersionStack,
        mut exchange: Exchange,
        trail: &Trail,
    ) -> Result<Answered, ApiError> {
        let deadline = exchange.deadline();
        let mut deaths = 0;
        let mut avoid = None;
        let mut reuse = Reuse::Allowed;
        loop {
            let seen = stack.replicas();
            let chosen = stack.choose(deadline, avoid).await?;
            let replica = chosen.id;
            let translation = translate(
                self.media_type,
                chosen.servable.dialect(),
                self.body.clone(),
            )?;
            let leg = trail.goes_to(replica);
            let Ok(connected) = timeout_at(deadline, chosen.servable.connect(reuse)).await else {
                leg.failed("timeout");
                return Err(no_answer_in_time(stack));
            };
            reuse = Reuse::Never;
            avoid = Some(replica);
            let connection = match connected {
                Ok(connection) => connection,
                Err(reason) => {
                    debug!(%replica, %reason, "cannot connect, trying another worker");
                    leg.failed("connect");
                    drop((leg, chosen));
                    let _ = timeout_at(deadline, stack.changed(&seen, CONNECT_PAUSE)).await;
                    if Instant::now() >= deadline {
                        return Err(stack
                            .unavailable()
                            .unwrap_or_else(|| stack.between_workers()));
                    }
                    continue;
                }
            };
            let mut request = self.request(&translation);
            leg.tell(request.headers_mut());
            let sending = exchange.send(request, connection, chosen, leg);
            let Ok(sent) = timeout_at(deadline, sending).await else {
                return Err(no_answer_in_time(stack));
            };
            match sent {
                Ok(head) => {
                    return Ok(Answered {
                        head,
                        shape: translation.answer,
                        exchange,
                    });
                }
                Err(reason @ SendError::Unanswered(_)) => {
                    deaths += 1;
                    debug!(%replica, %reason, deaths, "a worker left a request unanswered");
                    if deaths > RETRIES {
                        return Err(died(stack, deaths));
                    }
                }
                Err(reason @ SendError::Garbled(_)) => {
                    return Err(ApiError::new(ErrorCode::BadGateway, reason.to_string()));
                }
            }
        }
    }

    fn request(&self, translation: &Translation) -> Request<SegmentsBody> {
        let mut request = Request::new(SegmentsBody::holding(&translation.body, &self.memory));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        let content_type = HeaderValue::from_static(translation.content_type);
        let length = HeaderValue::from(translation.body.len());
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, content_type);
        headers.insert(header::CONTENT_LENGTH, length);
        request
    }
}

/// MLflow's servers look at no query, but show it in the line that they print for each request.
fn invocations(id: &RequestId) -> Uri {
    let uri = format!("/invocations?request_id={}", id.in_a_query());
    Uri::try_from(uri).unwrap_or_else(|_| Uri::from_static("/invocations"))
}

impl From<Rejection> for ApiError {
    fn from(rejection: Rejection) -> Self {
        let code = match rejection {
            Rejection::UnsupportedMediaType(_) | Rejection::ParquetForV1 => {
                ErrorCode::UnsupportedMediaType
            }
            Rejection::ParamsForV1 | Rejection::SeveralInputs => ErrorCode::BadRequest,
        };
        Self::new(code, rejection.to_string())
    }
}

pub(super) fn no_answer_in_time(stack: &VersionStack) -> ApiError {
    let seconds = stack.settings().timeout.as_secs_f64();
    let message = format!("{} did not answer within {seconds} s", stack.name());
    ApiError::new(ErrorCode::DeadlineExceeded, message)
}

fn died(stack: &VersionStack, deaths: usize) -> ApiError {
    let message = format!(
        "the worker of {} died with the request in hand, {deaths} times in a row; it is not tried again",
        stack.name()
    );
    ApiError::new(ErrorCode::WorkerDied, message)
}
