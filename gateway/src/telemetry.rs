//! What the gateway tells of its doings while it does them: records on standard error, the access log, and traces.
//!
//! A request that somebody wants to know about has a `Trail`: its modules write on it what they know, and when the
//! answer has ended it becomes one entry of the access log and one trace. Without anybody who wants to know there is no
//! trail, and each of those notes is a look whether there is one.

mod access_line;
mod access_log;
mod access_record;
mod collector;
mod gathered;
mod line_time;
mod records;
mod standard_error;
mod trace_context;
mod traces;
mod trail;
mod trails;
mod watched;

pub use access_log::{AccessLog, AccessLogWriter};
pub use access_record::{AccessRecord, Outcome, emit};
pub(crate) use records::are_json;
pub use records::{InvalidLevel, init};
pub(crate) use standard_error::write as write_lines;
pub use traces::{Traces, TracesError};
pub(crate) use trail::{Leg, Queued, Trail};
pub(crate) use trails::Plane;
pub use trails::Trails;
