//! A request on its way to a worker, until the head of its answer is there.
//!
//! Both directions are looked at as long as something is to be sent: an answer may come before the request was sent whole. Then the
//! rest stays unsent, and the connection is not used again.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Body;

use super::SendError;
use super::connection::{Connection, MOST_PIECES};
use super::wire::{AnswerHead, HeadReader};
use crate::data_plane::body::BodyError;

/// The head is written, nothing is sent.
#[derive(Debug)]
pub(in crate::data_plane) struct Outgoing {
    connection: Connection,
    /// Bytes of the body that are to follow.
    length: u64,
}

/// The head of an answer, and the connection that its body comes over.
#[derive(Debug)]
pub(super) struct Answering {
    pub(super) head: AnswerHead,
    pub(super) connection: Connection,
}

/// The body is not of the length that was told.
#[derive(Debug, thiserror::Error)]
#[error("the body of a request is not as long as it says")]
struct OtherLength;

/// Why nothing more is sent.
enum Stopped {
    /// There is no more of the body.
    Body(BodyError),
    /// The worker takes no more.
    Connection(io::Error),
}

impl Outgoing {
    pub(super) fn new(connection: Connection, length: u64) -> Self {
        Self { connection, length }
    }

    /// Sends the request with this body, and waits for the head of the answer.
    pub(super) async fn send<B>(self, body: B) -> Result<Answering, SendError>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BodyError>,
    {
        let Self {
            mut connection,
            length,
        } = self;
        // `None` once all of it was taken: what it holds is free then.
        let mut body = pin!(Some(body));
        let mut left = length;
        let mut is_sent = false;
        let mut refused = None;
        let mut reader = HeadReader::default();
        let mut head = poll_fn(|context| {
            if !is_sent && refused.is_none() {
                match poll_send(&mut connection, body.as_mut(), &mut left, context) {
                    Poll::Ready(Ok(())) => is_sent = true,
                    Poll::Ready(Err(Stopped::Body(reason))) => {
                        return Poll::Ready(Err(SendError::Body(reason)));
                    }
                    Poll::Ready(Err(Stopped::Connection(reason))) => {
                        // Perhaps it has said why.
                        body.set(None);
                        connection.stop_sending();
                        refused = Some(reason);
                    }
                    Poll::Pending => {}
                }
            }
            poll_head(&mut connection, &mut reader, &mut refused, context)
        })
        .await?;
        connection.stop_sending();
        head.keeps_open &= is_sent;
        Ok(Answering { head, connection })
    }
}

/// Sends as much as there is and as the worker takes.
fn poll_send<B>(
    connection: &mut Connection,
    mut body: Pin<&mut Option<B>>,
    left: &mut u64,
    context: &mut Context<'_>,
) -> Poll<Result<(), Stopped>>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BodyError>,
{
    // A worker that takes nothing is not the client's fault: more is asked for when what is there has gone.
    if !connection.pieces.is_empty() {
        ready!(connection.poll_write(context)).map_err(Stopped::Connection)?;
    }
    loop {
        let gathered = gather(connection, body.as_mut(), left, context)?;
        if *left == 0 {
            body.set(None);
        }
        ready!(connection.poll_write(context)).map_err(Stopped::Connection)?;
        if *left == 0 {
            return Poll::Ready(Ok(()));
        }
        ready!(gathered);
    }
}

/// Takes pieces of the body, as many as are written at once. Pending if it has none now.
fn gather<B>(
    connection: &mut Connection,
    mut body: Pin<&mut Option<B>>,
    left: &mut u64,
    context: &mut Context<'_>,
) -> Result<Poll<()>, Stopped>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BodyError>,
{
    // One is left for the head.
    while *left > 0 && connection.pieces.len() + 1 < MOST_PIECES {
        let Some(body) = body.as_mut().as_pin_mut() else {
            return Err(Stopped::Body(OtherLength.into()));
        };
        let frame = match body.poll_frame(context) {
            Poll::Pending => return Ok(Poll::Pending),
            Poll::Ready(None) => return Err(Stopped::Body(OtherLength.into())),
            Poll::Ready(Some(Err(reason))) => return Err(Stopped::Body(reason.into())),
            Poll::Ready(Some(Ok(frame))) => frame,
        };
        let piece = frame.into_data().unwrap_or_default();
        let rest = left.checked_sub(piece.len() as u64);
        *left = rest.ok_or_else(|| Stopped::Body(OtherLength.into()))?;
        if !piece.is_empty() {
            connection.pieces.push_back(piece);
        } else if !connection.pieces.is_empty() {
            // There is no more that could go with them.
            return Ok(Poll::Ready(()));
        }
    }
    Ok(Poll::Ready(()))
}

/// Reads until the head of the answer is there. `refused` is why the worker takes no more of the request.
fn poll_head(
    connection: &mut Connection,
    reader: &mut HeadReader,
    refused: &mut Option<io::Error>,
    context: &mut Context<'_>,
) -> Poll<Result<AnswerHead, SendError>> {
    loop {
        let reason = match ready!(connection.poll_read(context, 0)) {
            Ok(0) => {
                HeadReader::ended(&connection.incoming).map_err(SendError::Garbled)?;
                ErrorKind::UnexpectedEof.into()
            }
            Ok(_) => match reader.read(&mut connection.incoming) {
                Ok(Some(head)) => return Poll::Ready(Ok(head)),
                Ok(None) => continue,
                Err(reason) => return Poll::Ready(Err(SendError::Garbled(reason))),
            },
            Err(reason) => reason,
        };
        let reason = refused.take().unwrap_or(reason);
        return Poll::Ready(Err(SendError::Unanswered(reason)));
    }
}
