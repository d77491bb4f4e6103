//! Takes a stream of events apart: <https://html.spec.whatwg.org/multipage/server-sent-events.html>

use crate::error::CommandError;

/// A record that is longer is none.
const LONGEST_RECORD: usize = 16 << 20;

/// One of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// What it is; empty for the plain kind.
    pub(crate) kind: String,
    /// What is handed back to go on after it.
    pub(crate) id: Option<String>,
    /// Its lines, without the last line end.
    pub(crate) data: String,
}

/// What has come of a stream and was not taken yet.
#[derive(Debug, Default)]
pub(super) struct Records {
    text: Vec<u8>,
    /// How much of it was taken.
    taken: usize,
    /// The record that has not come to its end, and whether it has data, be it empty.
    record: Record,
    has_data: bool,
}

impl Records {
    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.text.drain(..std::mem::take(&mut self.taken));
        self.text.extend_from_slice(chunk);
    }

    /// The next record that has come to its end.
    pub(super) fn next(&mut self) -> Option<Result<Record, CommandError>> {
        while let Some(line) = self.line() {
            if line.is_empty() {
                let record = std::mem::take(&mut self.record);
                if std::mem::take(&mut self.has_data) {
                    return Some(Ok(record));
                }
                continue;
            }
            // A line that begins with a colon is a comment.
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => value.clone_into(&mut self.record.kind),
                "id" => self.record.id = Some(value.to_owned()),
                "data" => {
                    if std::mem::replace(&mut self.has_data, true) {
                        self.record.data.push('\n');
                    }
                    self.record.data.push_str(value);
                }
                _ => {}
            }
        }
        let waits = self.text.len() - self.taken + self.record.data.len();
        (waits > LONGEST_RECORD).then(|| Err(CommandError::failed("an event has no end")))
    }

    fn line(&mut self) -> Option<String> {
        let rest = &self.text[self.taken..];
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let line = String::from_utf8_lossy(&rest[..end]);
        let line = line.strip_suffix('\r').unwrap_or(&line).to_owned();
        self.taken += end + 1;
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All records, however the stream is cut.
    fn read(stream: &str, piece: usize) -> Vec<Record> {
        let mut records = Records::default();
        let mut read = Vec::new();
        for chunk in stream.as_bytes().chunks(piece) {
            records.push(chunk);
            while let Some(record) = records.next() {
                read.push(record.unwrap());
            }
        }
        read
    }

    #[test]
    fn records_are_found_among_comments_wherever_the_stream_is_cut() {
        let stream = "retry: 2000\n\n: still here\n\nid: 7\nevent: event\ndata: {\"ü\":1}\n\nevent: status\ndata: {}\n\n\
                      id: 8\r\nevent:event\r\ndata:a\r\ndata: b\r\n\r\nid: 3:9\ndata:  printed\n\ndata: \n\nevent: event\ndata: half";
        let record = |kind: &str, id: Option<&str>, data: &str| Record {
            kind: kind.to_owned(),
            id: id.map(str::to_owned),
            data: data.to_owned(),
        };
        let expected = [
            record("event", Some("7"), "{\"ü\":1}"),
            record("status", None, "{}"),
            record("event", Some("8"), "a\nb"),
            record("", Some("3:9"), " printed"),
            record("", None, ""),
        ];
        for piece in 1..stream.len() {
            assert_eq!(read(stream, piece), expected, "pieces of {piece}");
        }
    }

    #[test]
    fn a_record_without_an_end_is_not_waited_for() {
        let mut records = Records::default();
        records.push(&vec![b'x'; LONGEST_RECORD + 1]);
        assert!(records.next().unwrap().is_err());
    }
}
