//! Bodies: what an answer is made of, and what a worker is sent.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};

use super::body_memory::Held;
use crate::protocol::Segments;

/// Why a body ended before its end. The connection is cut then, so that nobody takes a part for the whole.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// The body of any answer.
pub type Body = UnsyncBoxBody<Bytes, BodyError>;

/// A body that is there already.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}

/// Segments on their way to a worker, with a known length. Cheap to make again for another try.
#[derive(Debug)]
pub(super) struct SegmentsBody {
    parts: std::vec::IntoIter<Bytes>,
    left: u64,
    _memory: Option<Held>,
}

impl SegmentsBody {
    pub(super) fn new(segments: Segments) -> Self {
        Self {
            left: segments.len() as u64,
            parts: segments.into_parts().into_iter(),
            _memory: None,
        }
    }

    /// Segments with what they hold of the memory, for as long as some of them have to be sent.
    pub(super) fn holding(segments: &Segments, memory: &Held) -> Self {
        Self {
            _memory: Some(Arc::clone(memory)),
            ..Self::new(segments.clone())
        }
    }
}

impl http_body::Body for SegmentsBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let part = self.parts.next();
        if let Some(part) = &part {
            self.left -= part.len() as u64;
        }
        Poll::Ready(part.map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
