//! A worker's answer on its way to the client, which frees the request's places when its last byte has come, whether
//! the client reads on or not.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

use super::body::{Body, BodyError, SegmentsBody};
use super::cutoff::{Cutoff, Standing};
use super::exchange::Exchange;
use super::upstream::BrokenOff;
use crate::protocol::{AnswerShape, Rewrite, Segments, rewrite_whole};

/// Bytes of an answer that is taken in whole.
pub(super) const SHORT: u64 = 64 * 1024;

/// The deadline passed while an answer was on its way: what was sent of it is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the deadline passed before the answer had ended")]
pub(super) struct CutShort;

/// An answer that has only begun.
#[derive(Debug)]
struct Streamed {
    exchange: Exchange,
    /// `None` after the last chunk.
    rewrite: Option<Rewrite>,
    ready: VecDeque<Bytes>,
    deadline: Pin<Box<Sleep>>,
    _cutoff: Option<Standing>,
}

/// Makes a body of the worker's answer in the shape that the client expects. A short one, as nearly all are, is taken
/// in whole: it frees what it held before the client has read it. An error means that the client has nothing of it yet.
pub(super) async fn open(
    exchange: &mut Exchange,
    shape: AnswerShape,
    cutoff: Option<&Cutoff>,
) -> Result<Body, BodyError> {
    let length = exchange.size_hint().exact();
    if length.is_some_and(|length| length <= SHORT) {
        let answer = gather(exchange).await?;
        let body = SegmentsBody::new(rewrite_whole(shape, answer));
        return Ok(body.boxed_unsync());
    }
    // Boxed: the many that answer shortly are not to make room for it.
    Box::pin(stream(exchange.take(), shape, cutoff)).await
}

/// A long answer, or one of unknown length, as it comes.
async fn stream(
    exchange: Exchange,
    shape: AnswerShape,
    cutoff: Option<&Cutoff>,
) -> Result<Body, BodyError> {
    let deadline = exchange.deadline();
    let mut body = Streamed {
        exchange,
        rewrite: Some(Rewrite::new(shape)),
        ready: VecDeque::new(),
        deadline: Box::pin(sleep_until(deadline)),
        _cutoff: cutoff.map(|cutoff| cutoff.stand(deadline)),
    };
    if shape == AnswerShape::Bare {
        // The worker prints its predictions as a whole: the beginning cannot be far, and it may say that this is
        // something else.
        poll_fn(|context| body.poll_ready(context)).await?;
    }
    Ok(body.boxed_unsync())
}

/// All of a short answer.
async fn gather(exchange: &mut Exchange) -> Result<Bytes, BodyError> {
    let mut answer = Segments::default();
    loop {
        let Ok(frame) = timeout_at(exchange.deadline(), exchange.frame()).await else {
            return Err(CutShort.into());
        };
        match frame.transpose()? {
            Some(frame) => answer.push(frame.into_data().unwrap_or_default()),
            None => break,
        }
    }
    Ok(match answer.parts() {
        [only] => only.clone(),
        _ => answer.to_vec().into(),
    })
}

/// The headers of a worker's answer, which only describe it, as those of an answer in this shape: where the body changes, its
/// length is another one.
pub(super) fn headers(mut worker: HeaderMap, shape: AnswerShape) -> HeaderMap {
    if shape != AnswerShape::AsItIs {
        worker.remove(header::CONTENT_LENGTH);
    }
    worker
}

impl Streamed {
    /// Takes in what the worker gave.
    fn take(&mut self, frame: Option<Result<Frame<Bytes>, BrokenOff>>) -> Result<(), BodyError> {
        if let Some(frame) = frame.transpose()? {
            let chunk = frame.into_data().unwrap_or_default();
            if let Some(rewrite) = &mut self.rewrite {
                self.ready.extend(rewrite.push(chunk)?.into_parts());
            }
            if !self.exchange.has_ended() {
                return Ok(());
            }
        }
        if let Some(rewrite) = self.rewrite.take() {
            self.ready.extend(rewrite.finish()?.into_parts());
        }
        Ok(())
    }

    /// Waits until there is something to give, or nothing will be any more.
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        while self.ready.is_empty() && self.rewrite.is_some() {
            let deadline = self.exchange.deadline();
            let Poll::Ready(frame) = self.exchange.poll_frame(context) else {
                ready!(self.deadline.as_mut().poll(context));
                return Poll::Ready(Err(CutShort.into()));
            };
            // A worker that never pauses must not outrun its deadline.
            if frame.is_some() && Instant::now() >= deadline {
                return Poll::Ready(Err(CutShort.into()));
            }
            self.take(frame)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl http_body::Body for Streamed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        ready!(self.poll_ready(context))?;
        let chunk = self.ready.pop_front();
        Poll::Ready(chunk.map(|chunk| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.ready.is_empty() && self.rewrite.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
