//! The two ends of a trail: it begins when a request's head is there, and becomes an entry of the access log and a span
//! when the answer has ended, or nobody waits for it any more.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use http::{Method, Request, Response, header};
use opentelemetry::trace::TraceContextExt;
use opentelemetry::{Context, KeyValue};
use tokio::time::Instant;

use super::access_log::AccessLog;
use super::access_record::{Entry, Outcome};
use super::trace_context;
use super::traces::{Traces, trace_id as trace_id_of};
use super::trail::{Facts, Notes, Tracing, Trail, cut, fail};
use super::watched::Watched;
use crate::data_plane::{Body, Caller};
use crate::error::ToldCode;
use crate::request_id::RequestId;

/// Longer names of programs are cut.
const LONGEST_USER_AGENT: usize = 256;
/// Longer paths are cut, in spans.
const LONGEST_PATH: usize = 1024;
/// Error codes of workers may be any text.
const LONGEST_ERROR_CODE: usize = 64;

/// Who wants to know what requests did. By default nobody.
#[derive(Clone, Debug, Default)]
pub struct Trails {
    access_log: Option<Arc<AccessLog>>,
    traces: Option<Traces>,
}

/// Which part of the gateway a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plane {
    /// Scores.
    Data,
    /// Everything else that people and programs ask for.
    Control,
    /// Questions after health and figures, asked every few seconds: nobody wants to know.
    Probe,
    /// The same question, shown a credential for: only if it was refused somebody wants to know.
    Guarded,
}

/// A request under way. Dropping it tells what it did.
#[derive(Debug)]
pub(crate) struct UnderWay {
    notes: Arc<Notes>,
    plane: Plane,
    access_log: Option<Arc<AccessLog>>,
    arrived: SystemTime,
    since: Instant,
    request_id: RequestId,
    peer: SocketAddr,
    method: Method,
    path: Option<String>,
    user_agent: Option<String>,
    status: Option<u16>,
    error_code: Option<Cow<'static, str>>,
    pub(super) bytes_out: u64,
    pub(super) outcome: Outcome,
}

impl Trails {
    /// For these.
    pub fn new(access_log: Option<AccessLog>, traces: Option<Traces>) -> Self {
        Self {
            access_log: access_log.map(Arc::new),
            traces,
        }
    }

    /// Lays a trail for `request`, if somebody wants to know.
    pub(crate) fn begin<B>(
        &self,
        request: &Request<B>,
        caller: &Caller<'_>,
        plane: Plane,
    ) -> Option<UnderWay> {
        if self.access_log.is_none() && self.traces.is_none() || plane == Plane::Probe {
            return None;
        }
        let access_log = self
            .access_log
            .as_ref()
            .filter(|log| plane == Plane::Data || log.tells_of_the_control_plane());
        let traces = self.traces.as_ref().filter(|_| plane != Plane::Guarded);
        if access_log.is_none() && traces.is_none() {
            return None;
        }
        let arrived = SystemTime::now();
        let headers = request.headers();
        let tracing = traces.map(|traces| Tracing {
            traces: traces.clone(),
            parent: trace_context::of_the_caller(headers),
            arrived,
            span: OnceLock::new(),
        });
        let user_agent = headers.get(header::USER_AGENT).map(|text| {
            let text = String::from_utf8_lossy(text.as_bytes());
            cut(&text, LONGEST_USER_AGENT)
        });
        Some(UnderWay {
            access_log: access_log.cloned(),
            plane,
            arrived,
            since: caller.arrival,
            request_id: caller.id.clone(),
            peer: caller.peer,
            method: request.method().clone(),
            path: traces.map(|_| cut(request.uri().path(), LONGEST_PATH)),
            user_agent,
            status: None,
            error_code: None,
            bytes_out: 0,
            outcome: Outcome::ClientGone,
            notes: Arc::new(Notes::new(tracing)),
        })
    }
}

impl UnderWay {
    /// What the modules that the request goes through write on.
    pub(crate) fn trail(&self) -> Trail {
        Trail::new(Arc::clone(&self.notes))
    }

    /// Follows the answer to its end.
    pub(crate) fn answered(mut self, response: Response<Body>) -> Response<Body> {
        self.status = Some(response.status().as_u16());
        if let Some(ToldCode(code)) = response.extensions().get() {
            self.error_code = Some(code.clone());
        }
        if self.method == Method::HEAD {
            // Its body is never sent.
            self.outcome = Outcome::Answered;
            return response;
        }
        response.map(|body| Watched::over(body, self))
    }

    fn log(&self, log: &AccessLog, facts: &Facts) {
        let error_code = self.error_code.as_deref();
        let error_code = error_code.map(|code| cut(code, LONGEST_ERROR_CODE));
        let trace_id = self.span();
        let trace_id = trace_id.and_then(|span| trace_id_of(span.span().span_context()));
        log.put(&Entry {
            arrived: self.arrived,
            request_id: self.request_id.as_str(),
            peer: self.peer,
            principal: facts.principal.as_ref(),
            method: &self.method,
            route: facts.route.as_ref(),
            model: facts.model.as_deref(),
            reference: facts.reference.as_deref(),
            version: facts.version,
            status: self.status,
            error_code: error_code.as_deref(),
            outcome: self.outcome,
            bytes_in: self.notes.bytes_in(),
            bytes_out: self.bytes_out,
            queued: facts.queued,
            worked: facts.worked,
            attempts: facts.attempts,
            took: self.since.elapsed(),
            user_agent: self.user_agent.as_deref(),
            trace_id: trace_id.as_deref(),
        });
    }

    fn span(&self) -> Option<&Context> {
        self.notes.span()
    }

    /// Ends the span, with the attributes of OpenTelemetry's conventions for HTTP servers, and our own.
    fn end_span(&self, facts: &Facts) {
        let Some(context) = self.span() else {
            return;
        };
        let span = context.span();
        if span.is_recording() {
            let method = known_method(&self.method);
            let name = match &facts.route {
                Some(route) => format!("{method} {route}"),
                None => method.to_owned(),
            };
            span.update_name(name);
            let texts = [
                ("http.request.method", Some(method.to_owned())),
                ("url.scheme", Some("http".to_owned())),
                ("url.path", self.path.clone()),
                ("http.route", facts.route.as_deref().map(str::to_owned)),
                ("client.address", Some(self.peer.ip().to_string())),
                ("user_agent.original", self.user_agent.clone()),
                (
                    "sluicegate.request_id",
                    Some(self.request_id.as_str().to_owned()),
                ),
                (
                    "sluicegate.model",
                    facts.model.as_deref().map(str::to_owned),
                ),
                (
                    "sluicegate.reference",
                    facts.reference.as_deref().map(str::to_owned),
                ),
                ("sluicegate.outcome", Some(self.outcome.as_str().to_owned())),
            ];
            let numbers = [
                ("sluicegate.version", facts.version),
                ("http.response.status_code", self.status.map(u64::from)),
                ("http.request.body.size", Some(self.notes.bytes_in())),
                ("http.response.body.size", Some(self.bytes_out)),
            ];
            let texts = texts
                .into_iter()
                .filter_map(|(key, value)| Some(KeyValue::new(key, value?)));
            let numbers = numbers.into_iter().filter_map(|(key, value)| {
                Some(KeyValue::new(
                    key,
                    i64::try_from(value?).unwrap_or(i64::MAX),
                ))
            });
            span.set_attributes(texts.chain(numbers));
            // A refusal is the client's error, not ours.
            match self.status {
                Some(status) if status >= 500 => {
                    let code = self.error_code.as_deref();
                    fail(
                        context,
                        code.map_or_else(|| status.to_string(), str::to_owned),
                    );
                }
                // A client that has enough is no error at all.
                _ if self.outcome == Outcome::BrokenOff => {
                    fail(context, self.outcome.as_str().to_owned());
                }
                _ => {}
            }
        }
        span.end();
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        // Nobody reads what is noted from here on.
        let facts = std::mem::take(&mut *self.notes.facts());
        self.end_span(&facts);
        let is_refused = self.status.is_none_or(|status| status >= 400);
        if let Some(log) = self.access_log.take()
            && (is_refused || self.plane != Plane::Guarded)
        {
            self.log(&log, &facts);
        }
    }
}

/// Anybody can invent methods; a name of a span must not be invented.
fn known_method(method: &Method) -> &str {
    match *method {
        Method::GET
        | Method::HEAD
        | Method::POST
        | Method::PUT
        | Method::DELETE
        | Method::OPTIONS
        | Method::PATCH => method.as_str(),
        _ => "_OTHER",
    }
}
