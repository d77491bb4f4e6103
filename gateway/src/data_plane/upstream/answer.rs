//! The body of a worker's answer, which drives its connection and gives it back when it has ended.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::connection::Connection;
use super::pool::Pool;

#[derive(Debug)]
pub(in crate::data_plane) struct WorkerBody {
    incoming: Incoming,
    /// `None` once it is given back.
    connection: Option<Connection>,
    pool: Arc<Pool>,
}

impl WorkerBody {
    pub(super) fn new(incoming: Incoming, connection: Connection, pool: Arc<Pool>) -> Self {
        Self {
            incoming,
            connection: Some(connection),
            pool,
        }
    }

    /// The answer is whole: the connection can take the next request, unless the worker closes it.
    fn give_back(&mut self, context: &mut Context<'_>) {
        if let Some(mut connection) = self.connection.take()
            && connection.is_free(context)
        {
            self.pool.put(connection);
        }
    }
}

impl Body for WorkerBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut polled = Pin::new(&mut self.incoming).poll_frame(context);
        if polled.is_pending()
            && let Some(connection) = &mut self.connection
        {
            connection.drive(context);
            polled = Pin::new(&mut self.incoming).poll_frame(context);
        }
        let ended = match &polled {
            Poll::Ready(None) => true,
            Poll::Ready(Some(Ok(_))) => self.incoming.is_end_stream(),
            Poll::Ready(Some(Err(_))) => {
                self.connection = None;
                false
            }
            Poll::Pending => false,
        };
        if ended {
            self.give_back(context);
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
