//! Entries of the access log as lines of JSON, written down as their fields come. The format for all other records gathers a
//! record's fields in a map first, which is nothing for a record now and then, and a tenth of what a small request costs.

use std::fmt::{self, Debug, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::access_record::TARGET;

/// The access log's entries in the shape of all records, and `others` as they are. An entry belongs to no span.
#[derive(Clone, Debug)]
pub(super) struct JsonLines<F> {
    others: F,
}

/// Writes fields as the members of an object.
struct Members<'a, 'w> {
    line: &'a mut Writer<'w>,
    is_first: bool,
    written: fmt::Result,
}

/// What is written to it stands between quotation marks in JSON.
struct Quoted<'a, W>(&'a mut W);

impl<F> JsonLines<F> {
    /// Lines that differ from those of `others` in nothing but the order of fields.
    pub(super) fn beside(others: F) -> Self {
        Self { others }
    }
}

impl<S, N, F> FormatEvent<S, N> for JsonLines<F>
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    N: for<'writer> FormatFields<'writer> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut line: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let about = event.metadata();
        if about.target() != TARGET {
            return self.others.format_event(context, line, event);
        }
        line.write_str("{\"timestamp\":\"")?;
        SystemTime.format_time(&mut line)?;
        line.write_str("\",\"level\":\"")?;
        line.write_str(about.level().as_str())?;
        line.write_str("\",\"fields\":{")?;
        let mut members = Members {
            line: &mut line,
            is_first: true,
            written: Ok(()),
        };
        event.record(&mut members);
        members.written?;
        line.write_str("},\"target\":\"")?;
        line.write_str(about.target())?;
        line.write_str("\"}\n")
    }
}

impl Members<'_, '_> {
    fn member(&mut self, field: &Field, write: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        if self.written.is_ok() {
            self.written = self.begin(field).and_then(|()| write(self.line));
        }
    }

    fn begin(&mut self, field: &Field) -> fmt::Result {
        let before = if self.is_first { "\"" } else { ",\"" };
        self.is_first = false;
        // Names of fields are ours: nothing in them has to be written otherwise.
        self.line.write_str(before)?;
        self.line.write_str(field.name())?;
        self.line.write_str("\":")
    }
}

impl Visit for Members<'_, '_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.member(field, |line| {
            line.write_char('"')?;
            Quoted(line).write_str(value)?;
            line.write_char('"')
        });
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field, |line| write!(line, "{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field, |line| write!(line, "{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field, |line| write!(line, "{value}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.member(field, |line| {
            if value.is_finite() {
                write!(line, "{value:?}")
            } else {
                line.write_str("null")
            }
        });
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.member(field, |line| {
            line.write_char('"')?;
            write!(Quoted(line), "{value:?}")?;
            line.write_char('"')
        });
    }
}

impl<W: Write> Write for Quoted<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let is_special = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
        let mut rest = text;
        while let Some(place) = rest.bytes().position(is_special) {
            // All special ones are ASCII: both halves are text.
            let (plain, special) = rest.split_at(place);
            self.0.write_str(plain)?;
            match special.as_bytes()[0] {
                b'"' => self.0.write_str("\\\"")?,
                b'\\' => self.0.write_str("\\\\")?,
                control => write!(self.0, "\\u{control:04x}")?,
            }
            rest = &special[1..];
        }
        self.0.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, SystemTime};

    use serde_json::Value;
    use tracing_subscriber::fmt;

    use super::super::access_record::{AccessRecord, Outcome, emit};
    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        fn read(&self) -> Vec<Value> {
            let lines = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
            let line = |line: &str| {
                let mut line: Value = serde_json::from_str(line).unwrap();
                let time = line["timestamp"].take();
                assert!(time.as_str().unwrap().ends_with('Z'), "{time}");
                line
            };
            lines.lines().map(line).collect()
        }
    }

    /// What `tell` tells, as it is in the log and as the format of all records has it.
    fn both(tell: impl Fn()) -> (Vec<Value>, Vec<Value>) {
        let (ours, theirs) = (Lines::default(), Lines::default());
        let lines = ours.clone();
        let subscriber = fmt()
            .with_writer(move || lines.clone())
            .json()
            .map_event_format(JsonLines::beside)
            .finish();
        tracing::subscriber::with_default(subscriber, &tell);
        let lines = theirs.clone();
        let subscriber = fmt().with_writer(move || lines.clone()).json().finish();
        tracing::subscriber::with_default(subscriber, &tell);
        (ours.read(), theirs.read())
    }

    fn record(name: &str, took: Duration) -> AccessRecord {
        AccessRecord {
            arrived: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
            request_id: name.to_owned(),
            peer: ([192, 0, 2, 1], 4242).into(),
            principal: Some(name.into()),
            method: http::Method::POST,
            route: Some("/model/{name}".into()),
            model: Some(name.to_owned()),
            reference: None,
            version: Some(u64::MAX),
            status: Some(200),
            error_code: None,
            outcome: Outcome::Answered,
            bytes_in: 0,
            bytes_out: 7,
            queued: Some(Duration::ZERO),
            worked: Some(took),
            attempts: 1,
            took,
            user_agent: Some(name.to_owned()),
            trace_id: None,
        }
    }

    #[test]
    fn an_entry_says_what_it_would_say_in_the_format_of_all_records() {
        let controls: String = (0..=0x20_u8).map(char::from).collect();
        let names = [
            "iris",
            "",
            "\"",
            "a\\b\"",
            "caf\u{e9}\n\u{1f600}\t\u{7f}",
            &controls,
        ];
        for name in names {
            for took in [0, 1, 1_234, 1_000_000, 86_400_000_001] {
                let record = record(name, Duration::from_micros(took));
                let (ours, theirs) = both(|| emit(&record));
                assert_eq!(ours, theirs);
                assert_eq!(ours.len(), 1);
            }
        }
    }

    #[test]
    fn other_records_are_as_they_were() {
        let (ours, theirs) = both(|| {
            let _in = tracing::info_span!("outer", of = 1).entered();
            tracing::warn!(reason = "a \"b\"", "something");
        });
        assert_eq!(ours, theirs);
        assert_eq!(ours[0]["span"]["name"], "outer");
    }
}
