//! Puts one request to a worker, and to the next one if the first died with it in hand.

use std::sync::Arc;
use std::time::Duration;

use http::response::Parts;
use http::{HeaderMap, HeaderName, header};
use serving_core::ReplicaId;
use tokio::time::{Instant, timeout_at};
use tracing::debug;

use super::body::SegmentsBody;
use super::body_memory::Held;
use super::exchange::Exchange;
use super::intake::Read;
use super::stack::VersionStack;
use super::upstream::{Connection, Outgoing, RequestHead, Reuse, SendError};
use crate::error::{ApiError, ErrorCode};
use crate::protocol::{
    AnswerShape, Dialect, MediaType, Rejection, Segments, Translation, translate,
};
use crate::request_id::{RequestId, X_REQUEST_ID};
use crate::telemetry::{Leg, Trail};

/// A request is put to this many more workers after the first died with it. A request that kills workers must not
/// go through all of them.
const RETRIES: usize = 2;
/// One of several callers' rows is put to one more worker only, for the first may have closed a connection as it was used:
/// then each caller's go alone, and the one that kills workers does so in its own name.
const RETRIES_TOGETHER: usize = 1;
/// Between two tries to connect to a worker that still counts as live.
const CONNECT_PAUSE: Duration = Duration::from_millis(50);

/// Of the client's headers, what a worker is told besides the type and length of the body.
const PASSED_ON: [HeaderName; 3] = [header::ACCEPT, TRACEPARENT, TRACESTATE];
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// One request, read and ready to be put to any worker.
#[derive(Debug)]
pub(super) struct Question {
    asked: Asked,
    /// Of the first, if several ask.
    id: RequestId,
    /// How many ask, if several do.
    several: Option<usize>,
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

/// The head of a worker's answer; the rest comes through its exchange.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) head: Parts,
    pub(super) shape: AnswerShape,
}

impl Question {
    pub(super) fn new(media_type: MediaType, from: &HeaderMap, body: Read, id: &RequestId) -> Self {
        let mut headers = HeaderMap::new();
        for name in PASSED_ON {
            for value in from.get_all(&name) {
                headers.append(&name, value.clone());
            }
        }
        headers.insert(X_REQUEST_ID, id.header());
        Self {
            asked: Asked::Alone {
                media_type,
                body: body.segments,
            },
            id: id.clone(),
            several: None,
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
        headers: HeaderMap,
        requests: usize,
        memory: Held,
    ) -> Self {
        Self {
            id: RequestId::take_or_make(&headers),
            several: Some(requests),
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
        &self,
        stack: &VersionStack,
        exchange: &mut Exchange,
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
            let request = self.request(connection, translation.content_type, &body, &leg);
            let sending = exchange.send(request, body, chosen, leg);
            let Ok(sent) = timeout_at(deadline, sending).await else {
                return Err(no_answer_in_time(stack));
            };
            match sent {
                Ok(head) => {
                    return Ok(Answered {
                        head,
                        shape: translation.answer,
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
                Err(reason @ SendError::Body(_)) => {
                    return Err(ApiError::new(ErrorCode::BadRequest, reason.to_string()));
                }
            }
        }
    }

    /// The request as bytes, in the connection's own buffer: another try costs nothing but writing it again.
    pub(super) fn request(
        &self,
        connection: Connection,
        content_type: &'static str,
        body: &SegmentsBody,
        leg: &Leg,
    ) -> Outgoing {
        let several = self.several.map(|requests| format!("&requests={requests}"));
        // MLflow's servers look at no query, but show it in the line that they print for each request.
        let target = std::iter::once("/invocations?request_id=")
            .chain(self.id.in_a_query())
            .chain(several.as_deref());
        // Where there are traces, what the client said of them is replaced; otherwise this stays empty.
        let mut traced = HeaderMap::new();
        leg.tell(&mut traced);
        let write = |head: &mut RequestHead<'_>| {
            for (name, value) in &self.headers {
                if traced.is_empty() || (*name != TRACEPARENT && *name != TRACESTATE) {
                    head.header(name, value);
                }
            }
            for (name, value) in &traced {
                head.header(name, value);
            }
        };
        connection.post(target, write, content_type, body.len())
    }
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
