//! One HTTP/1.1 connection to a worker, driven by whoever holds it.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustix::net::sockopt::set_socket_send_buffer_size;
use tokio::net::{TcpStream, UnixStream};
use tokio_util::either::Either;
use tracing::debug;

use super::Endpoint;
use crate::data_plane::body::SegmentsBody;

/// Bytes that a Unix socket takes before its worker has read them; the kernel may allow less (`net.core.wmem_max`). By default
/// it is about 200 KiB: a large body would go over in as many steps, each with a switch to the worker and back.
const SEND_BUFFER: usize = 1 << 20;

type Stream = TokioIo<Either<UnixStream, TcpStream>>;

/// Open, and with at most one request on it.
pub(in crate::data_plane) struct Connection {
    sender: http1::SendRequest<SegmentsBody>,
    /// `None` once it has ended: a finished future must not be polled.
    driver: Option<Box<http1::Connection<Stream, SegmentsBody>>>,
}

/// The connection ended, or what came over it was no answer.
#[derive(Debug)]
pub(super) struct Failed(pub(super) hyper::Error);

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
        let (sender, driver) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        Ok(Self {
            sender,
            driver: Some(Box::new(driver)),
        })
    }

    /// Sends a request and drives the connection until the head of the answer is there.
    pub(super) async fn send(
        &mut self,
        request: http::Request<SegmentsBody>,
    ) -> Result<http::Response<Incoming>, Failed> {
        let mut answer = pin!(self.sender.send_request(request));
        poll_fn(|context| {
            drive(&mut self.driver, context);
            answer.as_mut().poll(context).map_err(Failed)
        })
        .await
    }

    /// Lets the connection read and write as far as it can. What goes wrong shows in the answer.
    pub(super) fn drive(&mut self, context: &mut Context<'_>) {
        drive(&mut self.driver, context);
    }

    /// Whether the next request can go over it.
    pub(super) fn is_free(&mut self, context: &mut Context<'_>) -> bool {
        self.drive(context);
        self.driver.is_some() && self.sender.is_ready()
    }
}

fn drive(
    driver: &mut Option<Box<http1::Connection<Stream, SegmentsBody>>>,
    context: &mut Context<'_>,
) {
    let ended = driver
        .as_mut()
        .is_some_and(|driver| matches!(Pin::new(driver).poll(context), Poll::Ready(_)));
    if ended {
        // Dropping it hands whatever is still awaited its error.
        *driver = None;
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let open = self.driver.is_some();
        formatter
            .debug_struct("Connection")
            .field("open", &open)
            .finish_non_exhaustive()
    }
}
