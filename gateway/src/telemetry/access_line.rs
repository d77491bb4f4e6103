//! An entry of the access log as a line of JSON, written at once. The way of all other records, through a subscriber that formats
//! field by field, is nothing for a record now and then, and a tenth of what a small request costs.

use std::cell::RefCell;
use std::io::Write;
use std::time::SystemTime;

use serde::{Serialize, Serializer};

use super::access_record::{Entry, MESSAGE, TARGET, milliseconds};
use super::line_time::LineTime;

#[derive(Serialize)]
struct Line<'a> {
    /// When it is written, as all records have it.
    timestamp: LineTime,
    level: &'a str,
    fields: Fields<'a>,
    target: &'a str,
}

#[derive(Serialize)]
struct Fields<'a> {
    message: &'a str,
    time: LineTime,
    request_id: &'a str,
    #[serde(serialize_with = "as_displayed")]
    peer: std::net::SocketAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<&'a str>,
    method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'a str>,
    outcome: &'a str,
    bytes_in: u64,
    bytes_out: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker_ms: Option<f64>,
    total_ms: f64,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
}

thread_local! {
    /// Room for one line, used again and again.
    static ROOM: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Writes `entry` to `place` in one go.
pub(super) fn write(entry: &Entry<'_>, place: &mut impl Write) {
    ROOM.with_borrow_mut(|room| {
        room.clear();
        append(entry, room);
        // Who cannot write counts it there.
        let _ = place.write_all(room);
    });
}

/// Appends `entry` to `lines`, as the format of all records has it.
pub(super) fn append(entry: &Entry<'_>, lines: &mut Vec<u8>) {
    let line = Line {
        timestamp: LineTime::Microseconds(SystemTime::now()),
        level: "INFO",
        fields: Fields {
            message: MESSAGE,
            time: LineTime::Milliseconds(entry.arrived),
            request_id: entry.request_id,
            peer: entry.peer,
            principal: entry.principal.map(AsRef::as_ref),
            method: entry.method.as_str(),
            route: entry.route.map(AsRef::as_ref),
            model: entry.model,
            reference: entry.reference,
            version: entry.version,
            status: entry.status,
            error_code: entry.error_code,
            outcome: entry.outcome.as_str(),
            bytes_in: entry.bytes_in,
            bytes_out: entry.bytes_out,
            queue_ms: entry.queued.map(milliseconds),
            worker_ms: entry.worked.map(milliseconds),
            total_ms: milliseconds(entry.took),
            attempts: entry.attempts,
            user_agent: entry.user_agent,
            trace_id: entry.trace_id,
        },
        target: TARGET,
    };
    let before = lines.len();
    match serde_json::to_writer(&mut *lines, &line) {
        Ok(()) => lines.push(b'\n'),
        // Nothing of it fails, and half a line is none.
        Err(_) => lines.truncate(before),
    }
}

fn as_displayed<S: Serializer>(
    peer: &std::net::SocketAddr,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(peer)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

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

    fn read(lines: &[u8]) -> Vec<Value> {
        let lines = std::str::from_utf8(lines).unwrap();
        let line = |line: &str| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            let time = line["timestamp"].take();
            assert!(time.as_str().unwrap().ends_with('Z'), "{time}");
            line
        };
        lines.lines().map(line).collect()
    }

    fn told(record: &AccessRecord) -> Vec<Value> {
        let theirs = Lines::default();
        let lines = theirs.clone();
        let subscriber = fmt().with_writer(move || lines.clone()).json().finish();
        tracing::subscriber::with_default(subscriber, || emit(record));
        let lines = theirs.0.lock().unwrap();
        read(&lines)
    }

    fn record(name: &str, took: Duration) -> AccessRecord {
        AccessRecord {
            arrived: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
            request_id: name.to_owned(),
            peer: ([192, 0, 2, 1], 4242).into(),
            principal: Some(name.into()),
            method: http::Method::POST,
            route: Some("/model/{name}".into()),
            model: Some(name.into()),
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
        let mut lines = Vec::new();
        let mut all = Vec::new();
        for name in names {
            for took in [0, 1, 1_234, 1_000_000, 86_400_000_001] {
                let whole = record(name, Duration::from_micros(took));
                let bare = AccessRecord {
                    principal: None,
                    route: None,
                    model: None,
                    version: None,
                    status: None,
                    queued: None,
                    worked: None,
                    user_agent: None,
                    reference: Some(name.into()),
                    error_code: Some(name.to_owned()),
                    trace_id: Some(name.to_owned()),
                    ..whole.clone()
                };
                for record in [whole, bare] {
                    append(&record.as_entry(), &mut lines);
                    all.extend(told(&record));
                }
            }
        }
        assert_eq!(read(&lines), all);
        assert_eq!(all.len(), 60);
    }
}
