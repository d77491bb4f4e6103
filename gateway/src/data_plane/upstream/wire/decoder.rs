//! The body of an answer, out of the bytes that carry it.

use bytes::{Buf, Bytes, BytesMut};
use http_body::SizeHint;

use super::error::BrokenOff;
use super::framing::Framing;

/// Bytes of all extensions and trailers of one answer, which nobody reads.
pub(super) const MOST_OVERHEAD: usize = 16 * 1024;
/// Pieces from this size on are handed on in the buffer that they were read into, shorter ones in one of their own: then that
/// buffer can be read into again.
const LONG: usize = 16 * 1024;

/// Reads one body.
#[derive(Debug)]
pub(in crate::data_plane::upstream) struct Decoder {
    state: State,
    /// Bytes of extensions and trailers so far.
    overhead: usize,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// So many bytes, and no more.
    Length(u64),
    /// Whatever comes.
    UntilEnd,
    /// The line that says how long a chunk is.
    Size,
    /// So many bytes of a chunk.
    Chunk(u64),
    /// The end of the line after a chunk.
    AfterChunk,
    /// Lines, up to an empty one.
    Trailers,
    /// Nothing: all was read.
    Done,
}

/// What could be read.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::data_plane::upstream) enum Piece {
    /// Of the body.
    Data(Bytes),
    /// Nothing, before more has come.
    More,
    /// Nothing any more.
    End,
}

impl Decoder {
    pub(super) fn new(framing: Framing) -> Self {
        Self {
            state: match framing {
                Framing::Length(0) => State::Done,
                Framing::Length(length) => State::Length(length),
                Framing::Chunked => State::Size,
                Framing::UntilEnd => State::UntilEnd,
            },
            overhead: 0,
        }
    }

    /// Whether all was read.
    pub(in crate::data_plane::upstream) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Bytes that are known to come, at least.
    pub(in crate::data_plane::upstream) fn expected(&self) -> u64 {
        match self.state {
            State::Length(left) | State::Chunk(left) => left,
            _ => 0,
        }
    }

    /// What is known of the length of the rest.
    pub(in crate::data_plane::upstream) fn size_hint(&self) -> SizeHint {
        match self.state {
            State::Done => SizeHint::with_exact(0),
            State::Length(left) => SizeHint::with_exact(left),
            _ => SizeHint::default(),
        }
    }

    /// Takes the next piece out of `bytes`, the first of which follow those that were taken before.
    pub(in crate::data_plane::upstream) fn take(
        &mut self,
        bytes: &mut BytesMut,
    ) -> Result<Piece, BrokenOff> {
        self.pass(bytes)?;
        let (left, after) = match self.state {
            State::Done => return Ok(Piece::End),
            State::Length(left) => (left, State::Done),
            State::Chunk(left) => (left, State::AfterChunk),
            State::UntilEnd => (u64::MAX, State::UntilEnd),
            State::Size | State::AfterChunk | State::Trailers => return Ok(Piece::More),
        };
        if bytes.is_empty() {
            return Ok(Piece::More);
        }
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let data = cut(bytes, length);
        let left = left - length as u64;
        self.state = match self.state {
            _ if left == 0 => after,
            State::Length(_) => State::Length(left),
            State::Chunk(_) => State::Chunk(left),
            other => other,
        };
        // The end may be there already, and whoever holds the body waits for it. What is wrong there is found again.
        let _ = self.pass(bytes);
        Ok(Piece::Data(data))
    }

    /// The connection has ended, and everything that came was taken.
    pub(in crate::data_plane::upstream) fn ended(&mut self) -> Result<(), BrokenOff> {
        match self.state {
            State::Done | State::UntilEnd => {
                self.state = State::Done;
                Ok(())
            }
            _ => Err(BrokenOff::Closed),
        }
    }

    /// There will be no more of it.
    pub(in crate::data_plane::upstream) fn give_up(&mut self) {
        self.state = State::Done;
    }

    /// Passes over what is no data, as far as it is there. After an error nothing was passed over that was wrong.
    fn pass(&mut self, bytes: &mut BytesMut) -> Result<(), BrokenOff> {
        loop {
            self.state = match self.state {
                State::Size => match size_line(bytes)? {
                    None => return self.affords(bytes.len()),
                    Some((size, extension)) => {
                        self.affords(extension.len())?;
                        self.overhead += extension.len();
                        let passed = extension.end;
                        bytes.advance(passed + 2);
                        if size == 0 {
                            State::Trailers
                        } else {
                            State::Chunk(size)
                        }
                    }
                },
                State::AfterChunk => match bytes.as_ref() {
                    [b'\r', b'\n', ..] => {
                        bytes.advance(2);
                        State::Size
                    }
                    [] | [b'\r'] => return Ok(()),
                    _ => return Err(BrokenOff::Chunk),
                },
                State::Trailers => match line(bytes)? {
                    None => return self.affords(bytes.len()),
                    Some(0) => {
                        bytes.advance(2);
                        State::Done
                    }
                    Some(length) => {
                        let line = length + 2;
                        self.affords(line)?;
                        self.overhead += line;
                        bytes.advance(line);
                        State::Trailers
                    }
                },
                State::Length(_) | State::UntilEnd | State::Chunk(_) | State::Done => {
                    return Ok(());
                }
            };
        }
    }

    fn affords(&self, more: usize) -> Result<(), BrokenOff> {
        if self.overhead + more > MOST_OVERHEAD {
            return Err(BrokenOff::Overhead);
        }
        Ok(())
    }
}

/// The first bytes of a buffer, which are handed on.
fn cut(bytes: &mut BytesMut, length: usize) -> Bytes {
    if length >= LONG {
        return bytes.split_to(length).freeze();
    }
    let short = Bytes::copy_from_slice(bytes.get(..length).unwrap_or_default());
    bytes.advance(length);
    short
}

/// The length of the first line without its end, which is CRLF and nothing else; `None` if it is not whole.
fn line(bytes: &[u8]) -> Result<Option<usize>, BrokenOff> {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        return Ok(None);
    };
    match end.checked_sub(1) {
        Some(length) if bytes.get(length) == Some(&b'\r') => Ok(Some(length)),
        _ => Err(BrokenOff::Chunk),
    }
}

/// The size that the first line says, and where in it the extensions are (RFC 9112, section 7.1). What cannot become such a
/// line is refused before it has ended.
fn size_line(bytes: &[u8]) -> Result<Option<(u64, std::ops::Range<usize>)>, BrokenOff> {
    let count = bytes
        .iter()
        .take_while(|byte| byte.is_ascii_hexdigit())
        .count();
    let (digits, rest) = bytes.split_at(count);
    let is_possible = match rest {
        [] => count <= 16,
        [b'\r' | b';' | b' ' | b'\t', ..] => (1..=16).contains(&count),
        _ => false,
    };
    if !is_possible {
        return Err(BrokenOff::Chunk);
    }
    let Some(length) = line(rest)? else {
        return Ok(None);
    };
    let extension = rest.get(..length).unwrap_or_default();
    let is_named = matches!(extension.trim_ascii_start().first(), None | Some(b';'));
    if !is_named || extension.contains(&b'\r') {
        return Err(BrokenOff::Chunk);
    }
    let digits = std::str::from_utf8(digits).map_err(|_| BrokenOff::Chunk)?;
    let size = u64::from_str_radix(digits, 16).map_err(|_| BrokenOff::Chunk)?;
    Ok(Some((size, count..count + length)))
}
