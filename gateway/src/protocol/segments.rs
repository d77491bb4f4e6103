//! A body as the list of buffers in which it arrived: cut and joined without copying.

use std::ops::Range;

use bytes::Bytes;

/// Consecutive pieces of one text. Empty pieces are not kept.
#[derive(Clone, Debug, Default)]
pub struct Segments {
    parts: Vec<Bytes>,
    len: usize,
}

impl Segments {
    /// Appends a piece.
    pub fn push(&mut self, part: Bytes) {
        if !part.is_empty() {
            self.len += part.len();
            self.parts.push(part);
        }
    }

    /// Bytes in all pieces together.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is not one byte.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The pieces, in order.
    pub fn parts(&self) -> &[Bytes] {
        &self.parts
    }

    /// The pieces, in order.
    pub fn into_parts(self) -> Vec<Bytes> {
        self.parts
    }

    /// The bytes of `range`, which ends within the text, sharing its buffers.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        let mut slice = Self::default();
        let mut begin = 0;
        for part in &self.parts {
            let end = begin + part.len();
            let from = range.start.clamp(begin, end);
            let to = range.end.clamp(from, end);
            slice.push(part.slice(from - begin..to - begin));
            begin = end;
        }
        slice
    }

    /// The text between `prefix` and `suffix`.
    #[must_use]
    pub fn between(self, prefix: &'static [u8], suffix: &'static [u8]) -> Self {
        let mut joined = Self::default();
        joined.push(Bytes::from_static(prefix));
        joined.extend(self.parts);
        joined.push(Bytes::from_static(suffix));
        joined
    }

    /// The first byte that is not JSON whitespace.
    pub fn first_significant(&self) -> Option<u8> {
        self.parts
            .iter()
            .flat_map(|part| part.iter())
            .copied()
            .find(|byte| !is_whitespace(*byte))
    }

    /// All bytes in one new buffer.
    pub fn to_vec(&self) -> Vec<u8> {
        self.parts.concat()
    }
}

/// JSON whitespace (RFC 8259, section 2).
pub(super) fn is_whitespace(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

impl Extend<Bytes> for Segments {
    fn extend<I: IntoIterator<Item = Bytes>>(&mut self, parts: I) {
        for part in parts {
            self.push(part);
        }
    }
}

impl FromIterator<Bytes> for Segments {
    fn from_iter<I: IntoIterator<Item = Bytes>>(parts: I) -> Self {
        let mut segments = Self::default();
        segments.extend(parts);
        segments
    }
}

impl From<Bytes> for Segments {
    fn from(part: Bytes) -> Self {
        Self::from_iter([part])
    }
}
