//! Puts one request to a worker, and to the next one if the first died with it in hand.

use std::sync::Arc;
use std::time::Duration;

use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use serving_core::ReplicaId;
use tokio::time::{Instant, timeout_at};
use tracing::debug;

use super::body::SegmentsBody;
use super::body_memory::Held;
use super::exchange::Exchange;
use super::intake::Read;
use super::stack::VersionStack;
use super::upstream::{Reuse, SendError};
use crate::error::{ApiError, ErrorCode};
use crate::protocol::{
    AnswerShape, Dialect, MediaType, Rejection, Segments, Translation, translate,
};
use crate::request_id::{RequestId, X_REQUEST_ID};
use crate::telemetry::Trail;

/// A request is put to this many more workers after the first died with it. A request that kills workers must not
/// go through all of them.
const RETRIES: usize = 2;
/// One of several callers' rows is put to one more worker only, for the first may have closed a connection as it was used:
/// then each caller's go alone, and the one that kills workers does so in its own name.
const RETRIES_TOGETHER: usize = 1;
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
    asked: Asked,
    uri: Uri,
    headers: HeaderMap,
    memory: Held,
    /// The worker that died with it in hand, before it was put to any by [`Self::ask`].
    left_by: Option<ReplicaId>,
}

/// What is asked.
#[derive(Debug)]
enum Asked {
    /// By one client, in its words.
    Alone {
        media_type: MediaType,
        body: Segments,
    },
    /// By several, in the words of such workers.
    Together {
        dialect: Dialect,
        translation: Translation,
    },
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
            asked: Asked::Alone {
                media_type,
                body: body.segments,
            },
            uri: invocations(id),
            headers,
            memory: Arc::new(body.reserved),
            left_by: None,
        }
    }

    /// The same with `body`, if it is one client's.
    pub(super) fn with(mut self, read: Read) -> Self {
        if let Asked::Alone { body, .. } = &mut self.asked {
            *body = read.segments;
            self.memory = Arc::new(read.reserved);
        }
        self
    }

    /// The same, which a worker has died with.
    pub(super) fn left_by(mut self, replica: ReplicaId) -> Self {
        self.left_by = Some(replica);
        self
    }

    /// The rows of several requests in one, which a worker of `dialect` understands; with the headers of the first of them.
    pub(super) fn together(
        dialect: Dialect,
        translation: Translation,
        mut headers: HeaderMap,
        requests: usize,
        memory: Held,
    ) -> Self {
        // What nobody asked for has none yet, and a worker refuses a request without (RFC 9112, section 3.2).
        headers.insert(header::HOST, HeaderValue::from_static("localhost"));
        Self {
            uri: invocations_of_several(&headers, requests),
            asked: Asked::Together {
                dialect,
                translation,
            },
            headers,
            memory,
            left_by: None,
        }
    }

    /// Bytes of its body, decoded.
    pub(super) fn size(&self) -> usize {
        match &self.asked {
            Asked::Alone { body, .. } => body.len(),
            Asked::Together { translation, .. } => translation.body.len(),
        }
    }

    /// What a worker is told besides type, length and body.
    pub(super) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// What it holds of the memory.
    pub(super) fn memory(&self) -> &Held {
        &self.memory
    }

    /// What a worker of `dialect` is sent.
    pub(super) fn translated(&self, dialect: Dialect) -> Result<Translation, ApiError> {
        match &self.asked {
            Asked::Alone { media_type, body } => Ok(translate(*media_type, dialect, body.clone())?),
            Asked::Together {
                dialect: joined_for,
                translation,
            } if *joined_for == dialect => Ok(translation.clone()),
            Asked::Together { .. } => {
                let message = "the rows were joined for a worker of another MLflow version";
                Err(ApiError::new(ErrorCode::BadGateway, message))
            }
        }
    }

    fn retries(&self) -> usize {
        match self.asked {
            Asked::Alone { .. } => RETRIES,
            Asked::Together { .. } => RETRIES_TOGETHER,
        }
    }

    /// Asks until there is an answer, the deadline has passed, or too many workers died. A worker that cannot be reached
    /// does not count: it has not seen the request.
    pub(super) async fn ask(
        self,
        stack: &VersionStack,
        mut exchange: Exchange,
        trails: &[Trail],
    ) -> Result<Answered, ApiError> {
        let deadline = exchange.deadline();
        let mut deaths = usize::from(self.left_by.is_some());
        let mut avoid = self.left_by;
        let mut reuse = match avoid {
            Some(_) => Reuse::Never,
            None => Reuse::Allowed,
        };
        loop {
            let seen = stack.replicas();
            let chosen = stack.choose(deadline, avoid).await?;
            let replica = chosen.id;
            let translation = self.translated(chosen.servable.dialect())?;
            let leg = Trail::go_to(trails, replica);
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
            let body = SegmentsBody::holding(&translation.body, &self.memory);
            let mut request = self.request(translation.content_type, body);
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
                    if deaths > self.retries() {
                        return Err(died(stack, deaths));
                    }
                }
                Err(reason @ SendError::Garbled(_)) => {
                    return Err(ApiError::new(ErrorCode::BadGateway, reason.to_string()));
                }
            }
        }
    }

    /// Its head, for a worker that is sent `body`.
    pub(super) fn request(
        &self,
        content_type: &'static str,
        body: SegmentsBody,
    ) -> Request<SegmentsBody> {
        let length = HeaderValue::from(body.len());
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        let content_type = HeaderValue::from_static(content_type);
        // A clone has room for nothing more, and would be made anew for the two that follow.
        let headers = request.headers_mut();
        headers.reserve(self.headers.len() + 2);
        headers.extend(self.headers.clone());
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

/// The first one's id, and how many there are.
fn invocations_of_several(headers: &HeaderMap, requests: usize) -> Uri {
    let id = RequestId::take_or_make(headers);
    let uri = format!(
        "/invocations?request_id={}&requests={requests}",
        id.in_a_query()
    );
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
