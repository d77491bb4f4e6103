//! An answer's body that notices how it ends: given out whole, broken off, or dropped before its end.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;

use super::access_record::Outcome;
use super::trails::UnderWay;
use crate::data_plane::{Body, BodyError};

/// A body and the request that it answers. When it has ended, or is dropped, the request's trail is told.
#[derive(Debug)]
pub(super) struct Watched {
    /// `None` after the end.
    body: Option<Body>,
    /// `None` after the end.
    request: Option<UnderWay>,
}

impl Watched {
    pub(super) fn over(body: Body, request: UnderWay) -> Body {
        let mut watched = Self {
            body: Some(body),
            request: Some(request),
        };
        // Nobody asks an empty body for anything.
        watched.look();
        watched.boxed_unsync()
    }

    /// Whether that was all: nobody may ask again.
    fn look(&mut self) {
        if self.is_end_stream() {
            self.end(Outcome::Answered);
        }
    }

    fn end(&mut self, outcome: Outcome) {
        // What the body still holds notes its own end first.
        self.body = None;
        if let Some(mut request) = self.request.take() {
            request.outcome = outcome;
        }
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                let given = frame.data_ref().map_or(0, Bytes::len);
                if let Some(request) = &mut self.request {
                    request.bytes_out += given as u64;
                }
                self.look();
            }
            Some(Err(_)) => self.end(Outcome::BrokenOff),
            None => self.end(Outcome::Answered),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let ended = SizeHint::with_exact(0);
        self.body.as_ref().map_or(ended, Body::size_hint)
    }
}
