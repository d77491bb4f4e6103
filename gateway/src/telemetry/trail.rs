//! What one request did, noted by the modules that it goes through. A trail without anybody who reads it takes no notes.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use auth::Principal;
use http::{Extensions, HeaderMap, StatusCode};
use opentelemetry::trace::{SpanKind, Status, TraceContextExt};
use opentelemetry::{Context, KeyValue};
use serving_core::{ReplicaId, ServableId};
use tokio::time::Instant;

use super::trace_context;
use super::traces::Traces;

/// Longer names are nobody's model.
const LONGEST_NAME: usize = 256;

/// One request's trail. Cheap to clone; most often nobody reads it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trail(Option<Arc<Notes>>);

/// What is written on a trail.
#[derive(Debug)]
pub(super) struct Notes {
    facts: Mutex<Facts>,
    bytes_in: AtomicU64,
    tracing: Option<Tracing>,
}

/// The request's own span. It begins when it is known who calls: what a stranger says about traces decides nothing here.
#[derive(Debug)]
pub(super) struct Tracing {
    pub(super) traces: Traces,
    /// The span that the caller named.
    pub(super) parent: Context,
    /// When the request's head was there.
    pub(super) arrived: SystemTime,
    pub(super) span: OnceLock<Context>,
}

/// What is known so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub(super) principal: Option<Arc<str>>,
    pub(super) route: Option<Cow<'static, str>>,
    pub(super) model: Option<Arc<str>>,
    pub(super) reference: Option<Arc<str>>,
    pub(super) version: Option<u64>,
    pub(super) queued: Option<Duration>,
    pub(super) worked: Option<Duration>,
    pub(super) attempts: u32,
}

/// Where something is noted, and its span where there are traces.
type Noted = (Arc<Notes>, Option<Context>);

/// A wait in the queue, until this is dropped.
#[derive(Debug)]
pub(crate) struct Queued {
    since: Instant,
    notes: Option<Noted>,
}

/// A request in the hands of one worker, until this is dropped.
#[derive(Debug)]
pub(crate) struct Leg {
    since: Instant,
    /// Of each request that the worker was given at once: mostly there is only one.
    first: Option<Noted>,
    others: Vec<Noted>,
}

impl Trail {
    /// The one of the request with these extensions, as the control plane finds it.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        extensions.get::<Self>().cloned().unwrap_or_default()
    }

    pub(super) fn new(notes: Arc<Notes>) -> Self {
        Self(Some(notes))
    }

    fn note(&self, write: impl FnOnce(&mut Facts)) {
        if let Some(notes) = &self.0 {
            write(&mut notes.facts());
        }
    }

    /// Bytes of the request's body have been read.
    pub(crate) fn took_in(&self, bytes: usize) {
        if let Some(notes) = &self.0 {
            notes.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    /// The path is of this pattern.
    pub(crate) fn matched(&self, route: impl Into<Cow<'static, str>>) {
        self.note(|facts| facts.route = Some(route.into()));
    }

    /// The path is of this pattern, and names this model and this reference.
    pub(crate) fn asked_for(&self, route: &'static str, model: &Arc<str>, reference: &Arc<str>) {
        self.note(|facts| {
            facts.route = Some(route.into());
            facts.model = Some(shared(model));
            facts.reference = Some(shared(reference));
        });
    }

    /// It is known who calls.
    pub(crate) fn called_by(&self, principal: &Principal) {
        self.note(|facts| facts.principal = Some(Arc::clone(&principal.name)));
        if let Some(tracing) = self.0.as_ref().and_then(|notes| notes.tracing.as_ref()) {
            tracing.begin(&tracing.parent);
        }
    }

    /// The reference means this version now.
    pub(crate) fn reached(&self, servable: &ServableId) {
        self.note(|facts| facts.version = Some(servable.version.0));
    }

    /// The wait for a free place begins.
    pub(crate) fn queues(&self) -> Queued {
        let begin = |notes: &Arc<Notes>| {
            let span = notes.begin("queue", SpanKind::Internal, Vec::new);
            (Arc::clone(notes), span)
        };
        Queued {
            since: Instant::now(),
            notes: self.0.as_ref().map(begin),
        }
    }

    /// A worker gets the requests, all of them at once.
    pub(crate) fn go_to(trails: &[Self], replica: ReplicaId) -> Leg {
        let begin = |notes: &Arc<Notes>| {
            let before = {
                let mut facts = notes.facts();
                facts.attempts += 1;
                facts.attempts - 1
            };
            let attributes = || {
                let mut attributes = vec![KeyValue::new("sluicegate.replica", replica.to_string())];
                if before > 0 {
                    let count = KeyValue::new("http.request.resend_count", i64::from(before));
                    attributes.push(count);
                }
                attributes
            };
            let span = notes.begin("worker", SpanKind::Client, attributes);
            (Arc::clone(notes), span)
        };
        let mut notes = trails
            .iter()
            .filter_map(|trail| trail.0.as_ref())
            .map(begin);
        Leg {
            since: Instant::now(),
            first: notes.next(),
            others: notes.collect(),
        }
    }
}

impl Notes {
    pub(super) fn new(tracing: Option<Tracing>) -> Self {
        Self {
            facts: Mutex::default(),
            bytes_in: AtomicU64::new(0),
            tracing,
        }
    }

    /// The request's span; of a caller that was never known, one of a trace of its own.
    pub(super) fn span(&self) -> Option<&Context> {
        let tracing = self.tracing.as_ref()?;
        Some(tracing.begin(&Context::new()))
    }

    /// No lock of it is held across a wait: the parts of one request seldom meet here.
    pub(super) fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn bytes_in(&self) -> u64 {
        self.bytes_in.load(Ordering::Relaxed)
    }

    /// `about` is asked only where there are traces.
    fn begin(
        &self,
        name: &'static str,
        kind: SpanKind,
        about: impl FnOnce() -> Vec<KeyValue>,
    ) -> Option<Context> {
        let (tracing, parent) = (self.tracing.as_ref()?, self.span()?);
        let now = SystemTime::now();
        Some(tracing.traces.begin(name, kind, about(), parent, now))
    }
}

impl Tracing {
    /// The span, below `parent` if it had not begun.
    fn begin(&self, parent: &Context) -> &Context {
        self.span.get_or_init(|| {
            let (kind, about) = (SpanKind::Server, Vec::new());
            let traces = &self.traces;
            traces.begin("HTTP", kind, about, parent, self.arrived)
        })
    }
}

impl Leg {
    /// Tells the worker which span it works for, the first if there are several. Where there are no traces, what the client
    /// said stays.
    pub(crate) fn tell(&self, headers: &mut HeaderMap) {
        if let Some(span) = self.spans().next() {
            trace_context::tell(span.span().span_context(), headers);
        }
    }

    /// The worker has begun to answer.
    pub(crate) fn answered(&self, status: StatusCode) {
        for span in self.spans() {
            let code = KeyValue::new("http.response.status_code", i64::from(status.as_u16()));
            span.span().set_attribute(code);
            if status.is_client_error() || status.is_server_error() {
                fail(span, status.as_str().to_owned());
            }
        }
    }

    /// The worker did not answer.
    pub(crate) fn failed(&self, how: &'static str) {
        for span in self.spans() {
            fail(span, how.to_owned());
        }
    }

    fn spans(&self) -> impl Iterator<Item = &Context> {
        let noted = self.first.iter().chain(&self.others);
        noted.filter_map(|(_, span)| span.as_ref())
    }
}

/// Marks a span as one of something that went wrong.
pub(super) fn fail(span: &Context, how: String) {
    let span = span.span();
    span.set_attribute(KeyValue::new("error.type", how));
    span.set_status(Status::error(""));
}

impl Drop for Queued {
    fn drop(&mut self) {
        if let Some((notes, span)) = self.notes.take() {
            notes.facts().queued = Some(self.since.elapsed());
            if let Some(span) = span {
                span.span().end();
            }
        }
    }
}

impl Drop for Leg {
    fn drop(&mut self) {
        let took = self.since.elapsed();
        for (notes, span) in self.first.iter().chain(&self.others) {
            let mut facts = notes.facts();
            facts.worked = Some(facts.worked.unwrap_or_default() + took);
            drop(facts);
            if let Some(span) = span {
                span.span().end();
            }
        }
    }
}

/// The same name, unless it is too long.
fn shared(name: &Arc<str>) -> Arc<str> {
    if name.len() <= LONGEST_NAME {
        return Arc::clone(name);
    }
    cut(name, LONGEST_NAME).into()
}

/// The first characters of a text that somebody sent.
pub(super) fn cut(text: &str, longest: usize) -> String {
    if text.len() <= longest {
        return text.to_owned();
    }
    text.chars().take(longest).collect()
}
