//! One entry of the access log: what is told of a request, and nothing else. No body, query or header has a place in it.

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
        self.outcome != Outcome::BrokenOff && self.status.is_some_and(|status| status < 400)
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
            access_line::write(record, &mut StandardError);
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
