//! One connection to a worker, and the buffers that it keeps from request to request.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use rustix::net::sockopt::set_socket_send_buffer_size;
use tokio::io::AsyncWrite;
use tokio::net::{TcpStream, UnixStream};
use tokio_util::either::Either;
use tokio_util::io::poll_read_buf;
use tracing::debug;

use super::Endpoint;
use super::outgoing::Outgoing;
use super::wire::RequestHead;

/// Bytes that a Unix socket takes before its worker has read them; the kernel may allow less (`net.core.wmem_max`). By default
/// it is about 200 KiB: a large body would go over in as many steps, each with a switch to the worker and back.
const SEND_BUFFER: usize = 1 << 20;
/// Bytes of a buffer that answers are read into; nearly all fit.
const USUAL_READ: usize = 8 * 1024;
/// Bytes that are read at once, and handed on in one piece, when at least as much is to come.
pub(super) const LARGEST_READ: usize = 128 * 1024;
/// With less room than this left behind what has come, more is made before the next read, unless less is missing.
const LEAST_READ: usize = 4 * 1024;
/// The same where much is to come.
const LEAST_LONG_READ: usize = 32 * 1024;
/// Pieces that one call of the system is given.
pub(super) const MOST_PIECES: usize = 64;

type Stream = Either<UnixStream, TcpStream>;

/// Open, and with at most one request on it.
pub(in crate::data_plane) struct Connection {
    stream: Stream,
    /// What has come and was not looked at.
    pub(super) incoming: BytesMut,
    /// Bytes that the next read takes where it is not known how many will come.
    read: usize,
    /// Whether the buffer is, or was, longer than most answers need.
    is_long: bool,
    /// The head of a request, as long as some of it is to be sent.
    pub(super) head: Vec<u8>,
    /// Bytes of the head that were sent.
    sent: usize,
    /// The next pieces of its body; fewer than [`MOST_PIECES`].
    pub(super) pieces: VecDeque<Bytes>,
}

impl Connection {
    pub(super) async fn open(endpoint: &Endpoint) -> io::Result<Self> {
        let stream = match endpoint {
            Endpoint::Unix(path) => {
                let stream = UnixStream::connect(path).await?;
                if let Err(reason) = set_socket_send_buffer_size(&stream, SEND_BUFFER) {
                    debug!(%reason, "large bodies go to this worker in small steps");
                }
                Either::Left(stream)
            }
            Endpoint::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                // A request is written in one go; waiting for more of it only costs time.
                stream.set_nodelay(true)?;
                Either::Right(stream)
            }
        };
        Ok(Self::over(stream))
    }

    pub(super) fn over(stream: Stream) -> Self {
        Self {
            stream,
            incoming: BytesMut::new(),
            read: USUAL_READ,
            is_long: false,
            head: Vec::new(),
            sent: 0,
            pieces: VecDeque::new(),
        }
    }

    /// The next request over it: a `POST` to `target`, which is made of pieces, with the headers that `write` adds and a body of
    /// so many bytes.
    pub(in crate::data_plane) fn post<'t>(
        mut self,
        target: impl IntoIterator<Item = &'t str>,
        write: impl FnOnce(&mut RequestHead<'_>),
        content_type: &'static str,
        length: u64,
    ) -> Outgoing {
        let mut head = RequestHead::post(&mut self.head, target);
        write(&mut head);
        head.end(content_type, length);
        self.sent = 0;
        Outgoing::new(self, length)
    }

    /// Whether the next request can go over it, after an exchange that has ended. Asks the system only where something was
    /// heard of the connection since it was last read.
    pub(super) fn is_free(&self) -> bool {
        let mut byte = [0];
        let read = match &self.stream {
            Either::Left(stream) => stream.try_read(&mut byte),
            Either::Right(stream) => stream.try_read(&mut byte),
        };
        // Whatever it is that nobody asked for, the next answer cannot be told from it.
        let is_silent = matches!(read, Err(reason) if reason.kind() == ErrorKind::WouldBlock);
        is_silent && self.incoming.is_empty()
    }

    /// Gives up buffers that only a long answer needs.
    pub(super) fn slim(&mut self) {
        self.read = USUAL_READ;
        if self.head.capacity() > USUAL_READ {
            self.head = Vec::new();
        }
        if std::mem::take(&mut self.is_long) {
            self.incoming = BytesMut::new();
        }
    }

    /// Whether nothing is left to be written.
    pub(super) fn has_sent(&self) -> bool {
        self.sent >= self.head.len() && self.pieces.is_empty()
    }

    /// Forgets what is left to be written.
    pub(super) fn stop_sending(&mut self) {
        self.head.clear();
        self.sent = 0;
        self.pieces.clear();
    }

    /// Writes what is there. Does not end before all is written.
    pub(super) fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.has_sent() {
            let head = self.head.get(self.sent..).unwrap_or_default();
            let pieces = self.pieces.iter().map(|piece| &piece[..]);
            let mut slices = [IoSlice::new(&[]); MOST_PIECES];
            let mut count = 0;
            let parts = std::iter::once(head).filter(|head| !head.is_empty());
            for (slice, part) in slices.iter_mut().zip(parts.chain(pieces)) {
                *slice = IoSlice::new(part);
                count += 1;
            }
            let slices = slices.get(..count).unwrap_or_default();
            let stream = Pin::new(&mut self.stream);
            match ready!(stream.poll_write_vectored(context, slices))? {
                0 => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                written => self.wrote(written),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn wrote(&mut self, mut written: usize) {
        let of_head = written.min(self.head.len() - self.sent);
        self.sent += of_head;
        written -= of_head;
        while let Some(piece) = self.pieces.front_mut() {
            if written < piece.len() {
                piece.advance(written);
                return;
            }
            written -= piece.len();
            self.pieces.pop_front();
        }
    }

    /// Reads once what has come, where at least `expected` bytes are known to come (0: nobody knows). No bytes mean that there
    /// will be none any more.
    pub(super) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        expected: u64,
    ) -> Poll<io::Result<usize>> {
        let missing = usize::try_from(expected).unwrap_or(usize::MAX);
        let missing = missing.saturating_sub(self.incoming.len());
        self.make_room(missing);
        let room = self.incoming.capacity() - self.incoming.len();
        let read = ready!(poll_read_buf(
            Pin::new(&mut self.stream),
            context,
            &mut self.incoming
        ))?;
        if read == room {
            self.read = (2 * self.read).min(LARGEST_READ);
        }
        Poll::Ready(Ok(read))
    }

    /// Room for the next read, where so many bytes are known to be missing. What was taken out of the buffer before is used
    /// again, unless somebody holds it.
    fn make_room(&mut self, missing: usize) {
        let room = self.incoming.capacity() - self.incoming.len();
        let wanted = missing.max(self.read).min(LARGEST_READ);
        let enough = match self.incoming.is_empty() {
            _ if wanted > USUAL_READ => wanted.min(LEAST_LONG_READ),
            true => USUAL_READ,
            false => LEAST_READ,
        };
        let is_enough = room >= enough || (missing > 0 && room >= missing);
        if !is_enough {
            self.incoming.reserve(wanted);
            self.is_long |= self.incoming.capacity() > 2 * USUAL_READ;
        }
    }
}

/// Of what people send and models answer only how much there is: this may end up in a log.
impl std::fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Connection")
            .field("incoming", &self.incoming.len())
            .field("pieces", &self.pieces.len())
            .finish_non_exhaustive()
    }
}
