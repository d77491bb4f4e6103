//! A share of an answer on its way to its client, who may be in no hurry.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::Instant;

use super::super::answer::{CutShort, SHORT};
use super::super::body::{Body, BodyError, SegmentsBody};
use super::super::cutoff::{Cutoff, Standing};
use crate::protocol::Segments;

/// Bytes that are given at once: the connection takes more when it has sent them.
const PIECE: usize = 64 << 10;

/// A long share. Alone it would be streamed, and its connection cut at the deadline: so is this.
#[derive(Debug)]
struct LongShare {
    share: Segments,
    given: usize,
    deadline: Instant,
    _cutoff: Option<Standing>,
}

/// The body of `share`, of which nothing is kept beyond `deadline`, unless it is short.
pub(super) fn body(share: Segments, deadline: Instant, cutoff: Option<&Cutoff>) -> Body {
    if share.len() as u64 <= SHORT {
        return SegmentsBody::new(share).boxed_unsync();
    }
    let body = LongShare {
        share,
        given: 0,
        deadline,
        _cutoff: cutoff.map(|cutoff| cutoff.stand(deadline)),
    };
    body.boxed_unsync()
}

impl http_body::Body for LongShare {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.is_end_stream() {
            return Poll::Ready(None);
        }
        if Instant::now() >= self.deadline {
            return Poll::Ready(Some(Err(CutShort.into())));
        }
        let end = self.share.len().min(self.given + PIECE);
        let piece = self.share.slice(self.given..end);
        // Mostly it lies within one part.
        let piece = match piece.parts() {
            [only] => only.clone(),
            _ => piece.to_vec().into(),
        };
        self.given = end;
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.given == self.share.len()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact((self.share.len() - self.given) as u64)
    }
}
