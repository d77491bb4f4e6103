//! A request's body, and how much of it was left unread when the answer was there.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::telemetry::Trail;

/// A rest of this size is read away by hyper or lost without harm: it is in the buffers already.
const LITTLE: u64 = 8 * 1024;

/// A body on its way in.
#[derive(Debug)]
pub(super) struct RequestBody {
    incoming: Incoming,
    /// `None` for a small one: nobody asks.
    progress: Option<Arc<AtomicBool>>,
    trail: Trail,
}

/// What is known of a body that was given away.
#[derive(Debug)]
pub(super) struct Progress {
    /// Whether its last byte has been read; `None` for a small one, of which nothing much can be left.
    read: Option<Arc<AtomicBool>>,
}

/// Gives a request's body away and keeps an eye on it.
pub(super) fn follow(incoming: Incoming, trail: &Trail) -> (RequestBody, Progress) {
    let is_little = incoming
        .size_hint()
        .exact()
        .is_some_and(|length| length <= LITTLE);
    let read = (!is_little).then(|| Arc::new(AtomicBool::new(incoming.is_end_stream())));
    let progress = Progress { read: read.clone() };
    let body = RequestBody {
        incoming,
        progress: read,
        trail: trail.clone(),
    };
    (body, progress)
}

impl Progress {
    /// Whether the client may have much more to send that nobody is going to read.
    pub(super) fn leaves_much(&self) -> bool {
        let read = self.read.as_ref();
        read.is_some_and(|read| !read.load(Ordering::Acquire))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(context);
        if let Some(progress) = &self.progress
            && (matches!(polled, Poll::Ready(None)) || self.incoming.is_end_stream())
        {
            progress.store(true, Ordering::Release);
        }
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let read = frame.data_ref().map_or(0, Bytes::len);
            self.trail.took_in(read);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
