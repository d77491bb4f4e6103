//! A body as the list of buffers in which it arrived: cut and joined without copying.

use std::iter::Chain;
use std::ops::Range;
use std::{option, vec};

use bytes::Bytes;

/// Consecutive pieces of one text. Empty pieces are not kept.
#[derive(Clone, Debug, Default)]
pub struct Segments {
    parts: Parts,
    len: usize,
}

/// Most bodies come in one piece, and are cut and joined several times: that takes no list.
#[derive(Clone, Debug)]
enum Parts {
    One(Option<Bytes>),
    Several(Vec<Bytes>),
}

/// The pieces of a text, one after the other.
pub(crate) type IntoParts = Chain<option::IntoIter<Bytes>, vec::IntoIter<Bytes>>;

impl Segments {
    /// Appends a piece.
    pub fn push(&mut self, part: Bytes) {
        if !part.is_empty() {
            self.len += part.len();
            match &mut self.parts {
                Parts::Several(parts) => parts.push(part),
                Parts::One(one) => match one.take() {
                    Some(first) => self.parts = Parts::Several(vec![first, part]),
                    None => *one = Some(part),
                },
            }
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
        match &self.parts {
            Parts::One(one) => one.as_slice(),
            Parts::Several(parts) => parts,
        }
    }

    /// The pieces, in order.
    pub(crate) fn into_parts(self) -> IntoParts {
        let (one, several) = match self.parts {
            Parts::One(one) => (one, Vec::new()),
            Parts::Several(parts) => (None, parts),
        };
        one.into_iter().chain(several)
    }

    /// The bytes of `range`, which ends within the text, sharing its buffers.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        let mut slice = Self::default();
        let mut begin = 0;
        for part in self.parts() {
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
        joined.extend(self.into_parts());
        joined.push(Bytes::from_static(suffix));
        joined
    }

    /// The first byte that is not JSON whitespace.
    pub fn first_significant(&self) -> Option<u8> {
        self.parts()
            .iter()
            .flat_map(|part| part.iter())
            .copied()
            .find(|byte| !is_whitespace(*byte))
    }

    /// All bytes in one new buffer.
    pub fn to_vec(&self) -> Vec<u8> {
        self.parts().concat()
    }
}

/// JSON whitespace (RFC 8259, section 2).
pub(super) fn is_whitespace(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

impl Default for Parts {
    fn default() -> Self {
        Self::One(None)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_kept_in_order_however_many_there_are() {
        let all: [&[u8]; 5] = [b"a", b"", b"bc", b"", b"d"];
        for count in 0..=all.len() {
            let some = &all[..count];
            let segments: Segments = some.iter().map(|part| Bytes::from_static(part)).collect();
            let expected: Vec<&[u8]> = some.iter().copied().filter(|it| !it.is_empty()).collect();
            assert_eq!(segments.parts(), expected);
            assert_eq!(segments.len(), expected.concat().len());
            assert_eq!(segments.is_empty(), expected.is_empty());
            let parts: Vec<Bytes> = segments.clone().into_parts().collect();
            assert_eq!(parts, expected);
            let text = [b"<", expected.concat().as_slice(), b">"].concat();
            assert_eq!(segments.clone().between(b"<", b">").to_vec(), text);
            for end in 0..=segments.len() {
                assert_eq!(segments.slice(0..end).to_vec(), expected.concat()[..end]);
            }
        }
    }
}
