//! Waits for the head of an answer while its bytes come in, however they are cut.

use bytes::{Buf, BytesMut};

use super::answer_head::{AnswerHead, LONGEST_HEAD, Parsed, parse};
use super::error::Garbled;

/// Answers that only say that one will come.
pub(super) const MOST_INTERIM: usize = 16;

/// What is known while the head is not whole.
#[derive(Debug, Default)]
pub(in crate::data_plane::upstream) struct HeadReader {
    /// Bytes in which no head ends.
    searched: usize,
    /// Bytes that were there when it was last tried to read a head.
    tried: usize,
    interim: usize,
}

impl HeadReader {
    /// Takes the head out of `bytes`, once it is there.
    ///
    /// A head that comes byte by byte is not read from its beginning at each of them: only when it seems to be whole, and when twice
    /// as much is there as the last time, so that what is no HTTP is found out.
    pub(in crate::data_plane::upstream) fn read(
        &mut self,
        bytes: &mut BytesMut,
    ) -> Result<Option<AnswerHead>, Garbled> {
        while self.is_worth_a_try(bytes) {
            match parse(bytes)? {
                Parsed::Part => self.tried = bytes.len(),
                Parsed::Interim(length) => {
                    self.interim += 1;
                    if self.interim > MOST_INTERIM {
                        return Err(Garbled::Announced);
                    }
                    bytes.advance(length);
                    (self.searched, self.tried) = (0, 0);
                }
                Parsed::Whole(head, length) => {
                    bytes.advance(length);
                    return Ok(Some(head));
                }
            }
        }
        Ok(None)
    }

    /// Nothing will follow `bytes`. An error if they could not have become an answer.
    pub(in crate::data_plane::upstream) fn ended(bytes: &[u8]) -> Result<(), Garbled> {
        if !bytes.is_empty() {
            parse(bytes)?;
        }
        Ok(())
    }

    fn is_worth_a_try(&mut self, bytes: &[u8]) -> bool {
        // An end may lie across the seam: it is four bytes at most.
        let from = self.searched.saturating_sub(3);
        let fresh = bytes.get(from..).unwrap_or_default();
        self.searched = bytes.len();
        let is_long = bytes.len() >= 2 * self.tried || bytes.len() > LONGEST_HEAD;
        bytes.len() > self.tried && (is_long || has_end(fresh))
    }
}

/// Whether there is an empty line.
fn has_end(bytes: &[u8]) -> bool {
    let ends = |window: &[u8]| window.starts_with(b"\n\n") || window == b"\n\r\n";
    bytes.ends_with(b"\n\n") || bytes.windows(3).any(ends)
}
