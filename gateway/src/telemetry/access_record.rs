//! One entry of the access log: what is told of a request, and nothing else. No body, query or header has a place in it.
//! An entry is made where the request ends, of what is at hand there; a record is an entry that is kept.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::Method;
use tracing::{Level, enabled, info};

use super::access_line;
use super::records;
use super::standard_error::StandardError;
use crate::api::Timestamp;

/// The target of the records, for `log.level`.
pub(super) const TARGET: &str = "access";
/// What every entry says.
pub(super) const MESSAGE: &str = "request";

/// What is told of one request.
#[derive(Clone, Debug)]
pub struct AccessRecord {
    /// When its head had arrived.
    pub arrived: SystemTime,
    /// The caller's id for it, or ours.
    pub request_id: String,
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// The caller's name, once that was known.
    pub principal: Option<Arc<str>>,
    /// Its method.
    pub method: Method,
    /// The path's pattern; `None` where nothing is.
    pub route: Option<Cow<'static, str>>,
    /// The model that was asked for, cut where it is too long to be one.
    pub model: Option<Arc<str>>,
    /// The reference to a version as it was written, cut likewise.
    pub reference: Option<Arc<str>>,
    /// The version that it meant.
    pub version: Option<u64>,
    /// The answer's status; `None` if there was none.
    pub status: Option<u16>,
    /// The answer's error code.
    pub error_code: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// Bytes of the request's body that were read, as they came.
    pub bytes_in: u64,
    /// Bytes of the answer's body that were given to the connection.
    pub bytes_out: u64,
    /// In the queue for a free place.
    pub queued: Option<Duration>,
    /// In the hands of workers, all attempts together.
    pub worked: Option<Duration>,
    /// How many workers had it.
    pub attempts: u32,
    /// From its head to the end of its answer.
    pub took: Duration,
    /// What the client says that it is, cut after 256 characters.
    pub user_agent: Option<String>,
    /// The trace that it belongs to.
    pub trace_id: Option<String>,
}

/// The same of a request that ends now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub(super) arrived: SystemTime,
    pub(super) request_id: &'a str,
    pub(super) peer: SocketAddr,
    pub(super) principal: Option<&'a Arc<str>>,
    pub(super) method: &'a Method,
    pub(super) route: Option<&'a Cow<'static, str>>,
    pub(super) model: Option<&'a str>,
    pub(super) reference: Option<&'a str>,
    pub(super) version: Option<u64>,
    pub(super) status: Option<u16>,
    /// As the answer had it: it may be long.
    pub(super) error_code: Option<&'a str>,
    pub(super) outcome: Outcome,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) queued: Option<Duration>,
    pub(super) worked: Option<Duration>,
    pub(super) attempts: u32,
    pub(super) took: Duration,
    pub(super) user_agent: Option<&'a str>,
    pub(super) trace_id: Option<&'a str>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of the answer was given to the connection.
    Answered,
    /// The answer broke off, and the connection was cut.
    BrokenOff,
    /// The connection was gone first: closed by the client, or cut because the client did not read.
    ClientGone,
}

impl AccessRecord {
    /// Whether it was answered as the client wished. A client may close an answer that it has enough of: many streams end
    /// in no other way.
    pub fn is_success(&self) -> bool {
        self.as_entry().is_success()
    }

    pub(super) fn as_entry(&self) -> Entry<'_> {
        Entry {
            arrived: self.arrived,
            request_id: &self.request_id,
            peer: self.peer,
            principal: self.principal.as_ref(),
            method: &self.method,
            route: self.route.as_ref(),
            model: self.model.as_deref(),
            reference: self.reference.as_deref(),
            version: self.version,
            status: self.status,
            error_code: self.error_code.as_deref(),
            outcome: self.outcome,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            queued: self.queued,
            worked: self.worked,
            attempts: self.attempts,
            took: self.took,
            user_agent: self.user_agent.as_deref(),
            trace_id: self.trace_id.as_deref(),
        }
    }
}

impl Entry<'_> {
    pub(super) fn is_success(&self) -> bool {
        self.outcome != Outcome::BrokenOff && self.status.is_some_and(|status| status < 400)
    }

    pub(super) fn to_record(self) -> AccessRecord {
        AccessRecord {
            arrived: self.arrived,
            request_id: self.request_id.to_owned(),
            peer: self.peer,
            principal: self.principal.cloned(),
            method: self.method.clone(),
            route: self.route.cloned(),
            model: self.model.map(Into::into),
            reference: self.reference.map(Into::into),
            version: self.version,
            status: self.status,
            error_code: self.error_code.map(str::to_owned),
            outcome: self.outcome,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            queued: self.queued,
            worked: self.worked,
            attempts: self.attempts,
            took: self.took,
            user_agent: self.user_agent.map(str::to_owned),
            trace_id: self.trace_id.map(str::to_owned),
        }
    }
}

impl Outcome {
    /// Its name in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::BrokenOff => "broken_off",
            Self::ClientGone => "client_gone",
        }
    }
}

/// Writes one entry as a record of level info and target `access`, in the format of all records.
pub fn emit(record: &AccessRecord) {
    if records::are_json() {
        if enabled!(target: TARGET, Level::INFO) {
            access_line::write(&record.as_entry(), &mut StandardError);
        }
        return;
    }
    info!(
        target: TARGET,
        time = %Timestamp(record.arrived),
        request_id = record.request_id,
        peer = %record.peer,
        principal = record.principal.as_deref(),
        method = record.method.as_str(),
        route = record.route.as_deref(),
        model = record.model.as_deref(),
        reference = record.reference.as_deref(),
        version = record.version,
        status = record.status,
        error_code = record.error_code,
        outcome = record.outcome.as_str(),
        bytes_in = record.bytes_in,
        bytes_out = record.bytes_out,
        queue_ms = record.queued.map(milliseconds),
        worker_ms = record.worked.map(milliseconds),
        total_ms = milliseconds(record.took),
        attempts = record.attempts,
        user_agent = record.user_agent,
        trace_id = record.trace_id,
        "{MESSAGE}"
    );
}

/// With three places: what a small model takes would round to nothing.
pub(super) fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
