//! The body of a worker's answer, which drives its connection and gives it back when it has ended.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::connection::{Connection, LARGEST_READ};
use super::pool::Pool;
use super::wire::{BrokenOff, Decoder, Piece};

#[derive(Debug)]
pub(in crate::data_plane) struct WorkerBody {
    decoder: Decoder,
    /// `None` once it is given back, or closed.
    connection: Option<Connection>,
    /// Whether the worker keeps it open, and has the request whole.
    may_return: bool,
    pool: Arc<Pool>,
}

impl WorkerBody {
    pub(super) fn new(
        decoder: Decoder,
        connection: Connection,
        may_return: bool,
        pool: Arc<Pool>,
    ) -> Self {
        Self {
            decoder,
            connection: Some(connection),
            may_return,
            pool,
        }
    }

    /// The answer is whole: the connection can take the next request, unless the worker closes it.
    fn give_back(&mut self) {
        if let Some(mut connection) = self.connection.take()
            && self.may_return
            && connection.is_free()
        {
            connection.slim();
            self.pool.put(connection);
        }
    }

    /// The next piece, or the end. A long answer of known length comes in long pieces, where they are there.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BrokenOff>> {
        let Some(connection) = &mut self.connection else {
            return Poll::Ready(Ok(None));
        };
        let mut is_waiting = false;
        loop {
            let expected = self.decoder.expected();
            let whole = usize::try_from(expected).unwrap_or(usize::MAX);
            if is_waiting || connection.incoming.len() >= whole.min(LARGEST_READ) {
                match self.decoder.take(&mut connection.incoming)? {
                    Piece::Data(data) => return Poll::Ready(Ok(Some(data))),
                    Piece::End => return Poll::Ready(Ok(None)),
                    Piece::More if is_waiting => return Poll::Pending,
                    Piece::More => {}
                }
            }
            match connection.poll_read(context, self.decoder.expected()) {
                Poll::Pending => is_waiting = true,
                Poll::Ready(Ok(0)) => {
                    let piece = self.decoder.take(&mut connection.incoming)?;
                    if let Piece::Data(data) = piece {
                        return Poll::Ready(Ok(Some(data)));
                    }
                    self.decoder.ended()?;
                    return Poll::Ready(Ok(None));
                }
                Poll::Ready(read) => {
                    read?;
                }
            }
        }
    }
}

impl Body for WorkerBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let polled = ready!(self.poll_piece(context));
        if polled.is_err() {
            self.decoder.give_up();
            self.connection = None;
        }
        if self.decoder.is_done() {
            self.give_back();
        }
        Poll::Ready(polled.transpose().map(|data| data.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.decoder.is_done()
    }

    fn size_hint(&self) -> SizeHint {
        self.decoder.size_hint()
    }
}
