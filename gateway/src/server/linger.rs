//! Closing a connection whose client is still sending.
//!
//! A socket that is closed with unread bytes in it resets the connection, and the reset can overtake the answer: the
//! client of a body that is too large would see a broken connection and not the 413. So the answer is ended first,
//! and what the client still sends is thrown away for a while (RFC 9112, section 9.6).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::impatient::Impatient;

/// A client that sends for longer than this has had its chance.
const LONGEST: Duration = Duration::from_secs(10);
/// Bytes thrown away at most.
const MOST: usize = 64 << 20;

/// A stream that lingers when it is shut down, if it was told to.
#[derive(Debug)]
pub(super) struct Lingering {
    stream: Impatient,
    unread: Arc<AtomicBool>,
    rest: Option<Rest>,
}

/// What is still allowed to come after our side was closed.
#[derive(Debug)]
struct Rest {
    bytes: usize,
    end: Pin<Box<Sleep>>,
}

impl Lingering {
    /// `unread` says whether the client may still be sending.
    pub(super) fn new(stream: Impatient, unread: Arc<AtomicBool>) -> Self {
        Self {
            stream,
            unread,
            rest: None,
        }
    }
}

impl AsyncRead for Lingering {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Lingering {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self {
            stream,
            unread,
            rest,
        } = &mut *self;
        if rest.is_none() {
            ready!(Pin::new(&mut *stream).poll_shutdown(context))?;
            if !unread.load(Ordering::Acquire) {
                return Poll::Ready(Ok(()));
            }
        }
        let rest = rest.get_or_insert_with(|| Rest {
            bytes: MOST,
            end: Box::pin(sleep(LONGEST)),
        });
        let mut space = [0; 16 * 1024];
        loop {
            let mut buffer = ReadBuf::new(&mut space);
            match Pin::new(&mut *stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    rest.bytes = rest.bytes.saturating_sub(buffer.filled().len());
                    if rest.bytes == 0 {
                        return Poll::Ready(Ok(()));
                    }
                }
                // The client has closed its side, or is gone.
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => {
                    ready!(rest.end.as_mut().poll(context));
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}
