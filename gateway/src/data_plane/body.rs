//! Bodies: what an answer is made of, and what a worker is sent.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};

use super::arriving::{Arrival, Live};
use super::body_memory::Held;
use crate::protocol::{IntoParts, Segments};

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
    source: Source,
    left: u64,
}

#[derive(Debug)]
enum Source {
    /// All are there.
    There {
        parts: IntoParts,
        _memory: Option<Held>,
    },
    /// Some have yet to come.
    Arriving(Box<Live>),
}

impl SegmentsBody {
    pub(super) fn new(segments: Segments) -> Self {
        Self {
            left: segments.len() as u64,
            source: Source::There {
                parts: segments.into_parts(),
                _memory: None,
            },
        }
    }

    /// Bytes that are still to be sent.
    pub(super) fn len(&self) -> u64 {
        self.left
    }

    /// Segments with what they hold of the memory, for as long as some of them have to be sent.
    pub(super) fn holding(segments: &Segments, memory: &Held) -> Self {
        Self {
            left: segments.len() as u64,
            source: Source::There {
                parts: segments.clone().into_parts(),
                _memory: Some(Arc::clone(memory)),
            },
        }
    }

    /// Segments that come while they are sent, of so many bytes together.
    pub(super) fn arriving(live: Live, length: usize) -> Self {
        Self {
            left: length as u64,
            source: Source::Arriving(Box::new(live)),
        }
    }

    /// Where they come from, if they have yet to come.
    pub(super) fn arrival(&self) -> Option<&Arc<Arrival>> {
        match &self.source {
            Source::There { .. } => None,
            Source::Arriving(live) => Some(live.arrival()),
        }
    }
}

impl http_body::Body for SegmentsBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let part = match &mut self.source {
            Source::There { parts, .. } => parts.next().map(Ok),
            Source::Arriving(live) => ready!(live.poll_part(context)),
        };
        if let Some(Ok(part)) = &part {
            self.left -= part.len() as u64;
        }
        Poll::Ready(part.map(|part| part.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
