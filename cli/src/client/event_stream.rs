//! Takes a stream of events apart: <https://html.spec.whatwg.org/multipage/server-sent-events.html>

use crate::error::CommandError;

/// A record that is longer is none.
const LONGEST_RECORD: usize = 16 << 20;

/// The name of the records that are wanted.
const WANTED: &str = "event";

/// What has come of a stream and was not taken yet.
#[derive(Debug, Default)]
pub(super) struct Records {
    text: Vec<u8>,
    /// How much of it was taken.
    taken: usize,
    kind: String,
    data: String,
}

impl Records {
    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.text.drain(..std::mem::take(&mut self.taken));
        self.text.extend_from_slice(chunk);
    }

    /// The data of the next record that has come to its end; others than events are passed over.
    pub(super) fn next(&mut self) -> Option<Result<String, CommandError>> {
        while let Some(line) = self.line() {
            if line.is_empty() {
                let (kind, data) = (
                    std::mem::take(&mut self.kind),
                    std::mem::take(&mut self.data),
                );
                if kind == WANTED && !data.is_empty() {
                    return Some(Ok(data));
                }
                continue;
            }
            // A line that begins with a colon is a comment.
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => value.clone_into(&mut self.kind),
                "data" if self.data.is_empty() => value.clone_into(&mut self.data),
                "data" => {
                    self.data.push('\n');
                    self.data.push_str(value);
                }
                _ => {}
            }
        }
        let waits = self.text.len() - self.taken + self.data.len();
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

    /// The data of all records, however the stream is cut.
    fn read(stream: &str, piece: usize) -> Vec<String> {
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
    fn events_are_found_among_comments_and_other_records_wherever_the_stream_is_cut() {
        let stream = "retry: 2000\n\n: still here\n\nid: 7\nevent: event\ndata: {\"ü\":1}\n\n\
                      event: status\ndata: {}\n\nid: 8\r\nevent:event\r\ndata:a\r\ndata: b\r\n\r\nevent: event\ndata: half";
        for piece in 1..stream.len() {
            assert_eq!(
                read(stream, piece),
                ["{\"ü\":1}", "a\nb"],
                "pieces of {piece}"
            );
        }
    }

    #[test]
    fn a_record_without_an_end_is_not_waited_for() {
        let mut records = Records::default();
        records.push(&vec![b'x'; LONGEST_RECORD + 1]);
        assert!(records.next().unwrap().is_err());
    }
}
