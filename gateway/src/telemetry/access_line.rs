//! An entry of the access log as a line of JSON, written at once. The way of all other records, through a subscriber that formats
//! field by field, is nothing for a record now and then, and a tenth of what a small request costs; of a derived serialiser half is
//! left.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use super::access_record::{Entry, MESSAGE, TARGET};
use super::line_time::LineTime;

thread_local! {
    /// Room for one line, used again and again.
    static ROOM: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The end of a line that is being written. Each of its methods writes one field, with the comma before it.
#[derive(Debug)]
struct Line<'a>(&'a mut Vec<u8>);

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
    let mut line = Line(lines);
    line.put(b"{\"timestamp\":\"");
    line.time(LineTime::Microseconds(SystemTime::now()));
    line.put(b"\",\"level\":\"INFO\",\"fields\":{\"message\":\"");
    line.put(MESSAGE.as_bytes());
    line.put(b"\",\"time\":\"");
    line.time(LineTime::Milliseconds(entry.arrived));
    line.put(b"\"");
    line.text("request_id", Some(entry.request_id));
    line.peer("peer", entry.peer);
    line.text("principal", entry.principal.map(AsRef::as_ref));
    line.text("method", Some(entry.method.as_str()));
    line.text("route", entry.route.map(Cow::as_ref));
    line.text("model", entry.model);
    line.text("reference", entry.reference);
    line.number("version", entry.version);
    line.number("status", entry.status.map(u64::from));
    line.text("error_code", entry.error_code);
    line.text("outcome", Some(entry.outcome.as_str()));
    line.number("bytes_in", Some(entry.bytes_in));
    line.number("bytes_out", Some(entry.bytes_out));
    line.milliseconds("queue_ms", entry.queued);
    line.milliseconds("worker_ms", entry.worked);
    line.milliseconds("total_ms", Some(entry.took));
    line.number("attempts", Some(entry.attempts.into()));
    line.text("user_agent", entry.user_agent);
    line.text("trace_id", entry.trace_id);
    line.put(b"},\"target\":\"");
    line.put(TARGET.as_bytes());
    line.put(b"\"}\n");
}

impl Line<'_> {
    fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// A name of ours, which needs no escape.
    fn name(&mut self, name: &str) {
        self.put(b",\"");
        self.put(name.as_bytes());
        self.put(b"\":");
    }

    fn text(&mut self, name: &str, text: Option<&str>) {
        let Some(text) = text else { return };
        self.name(name);
        let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
        if text.bytes().all(is_plain) {
            self.put(b"\"");
            self.put(text.as_bytes());
            self.put(b"\"");
        } else if serde_json::to_writer(&mut *self.0, text).is_err() {
            // A text can always be written to memory; half a field would break the line.
            self.put(b"null");
        }
    }

    fn time(&mut self, time: LineTime) {
        time.append(self.0);
    }

    fn peer(&mut self, name: &str, peer: SocketAddr) {
        self.name(name);
        self.put(b"\"");
        match peer {
            SocketAddr::V4(peer) => {
                for (place, number) in peer.ip().octets().into_iter().enumerate() {
                    if place > 0 {
                        self.put(b".");
                    }
                    self.digits(number.into());
                }
                self.put(b":");
                self.digits(peer.port().into());
            }
            // Memory takes all.
            SocketAddr::V6(_) => drop(write!(self.0, "{peer}")),
        }
        self.put(b"\"");
    }

    fn number(&mut self, name: &str, number: Option<u64>) {
        if let Some(number) = number {
            self.name(name);
            self.digits(number);
        }
    }

    /// With three places: what a small model takes would round to nothing.
    fn milliseconds(&mut self, name: &str, time: Option<Duration>) {
        let Some(time) = time else { return };
        self.name(name);
        let rounded = time.saturating_add(Duration::from_nanos(500)).as_micros();
        let micros = u64::try_from(rounded).unwrap_or(u64::MAX);
        self.digits(micros / 1000);
        let rest = micros % 1000;
        let digit = |number: u64| b'0' + (number % 10) as u8;
        self.put(&[b'.', digit(rest / 100), digit(rest / 10), digit(rest)]);
    }

    fn digits(&mut self, mut number: u64) {
        let mut place = [0; 20];
        let mut begin = place.len();
        loop {
            begin -= 1;
            place[begin] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.put(&place[begin..]);
    }
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
